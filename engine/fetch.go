package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/resilience"
)

// fetch asks the source under the fetch policy. ErrDrained and the end of ctx
// are no failures.
func (e *Engine) fetch(ctx context.Context, room int) ([]ergon.Delivery, *FetchRecord, error) {
	var deliveries []ergon.Delivery
	var drained bool
	var record *FetchRecord
	began := time.Now()
	if e.tracer != nil || e.trail != nil {
		record = &FetchRecord{Began: began}
	}
	stats := &e.stats.phases[stepStart]
	once := func(ctx context.Context) (err error) {
		if e.fetchPhase.Enter(ctx) != nil {
			return nil // ctx ended
		}
		stats.began.Add(1)
		defer func() {
			if err != nil {
				stats.failed[resultOf(err)].Add(1)
			}
		}()
		defer func() { e.fetchPhase.Leave(err) }()
		defer ergon.Recover(&err)
		fetching := ctx
		if d := e.fetchPhase.Timeout(); d > 0 {
			var cancel context.CancelFunc
			fetching, cancel = context.WithTimeoutCause(ctx, d, errAttemptTimeout)
			defer cancel()
		}
		deliveries, err = e.in.Fetch(fetching, room)
		drained = errors.Is(err, ergon.ErrDrained)
		if drained || ctx.Err() != nil {
			return nil
		}
		if err != nil && fetching.Err() != nil {
			return ergon.Timeout("fetch exceeded its %v: %w", e.fetchPhase.Timeout(), errAttemptTimeout)
		}
		return err
	}
	since := began
	err := once(ctx)
	var failed error // for good
	defer func() { stats.took[resultOf(failed)].Record(time.Since(since)) }()
	if err != nil {
		defer e.health.fetched(nil)
		out := e.fetchPhase.Retry(ctx, &resilience.Run{
			First:   1,
			Random:  randomOf(e.task.name, stepStart).Float64,
			Attempt: func(ctx context.Context, _ int) error { return once(ctx) },
			Scheduled: func(n int, err error, delay time.Duration) {
				e.health.fetched(fmt.Errorf("fetch fails: %w", err))
				stats.retries.Add(1)
				stats.backoff.Record(delay)
				e.emit(FetchFailed{Task: e.task.name, Connector: e.connector, Attempt: n, Err: err, Delay: delay})
				record.failed(n, e.fetchPhase.MaxAttempts(), &began, err, delay)
			},
		}, err)
		if out.Err != nil && ctx.Err() == nil {
			failed = out.Err
			e.emit(FetchFailed{Task: e.task.name, Connector: e.connector, Attempt: out.Attempts, Err: out.Err, Final: true})
			return nil, nil, &ergon.Error{
				Category: ergon.CategoryOf(out.Err), Task: e.task.name, Phase: ergon.PhaseFetch, Attempt: out.Attempts,
				Err: fmt.Errorf("fetch from %s: %w", cmpOr(e.connector, "the source"), causeOf(out.Err)),
			}
		}
	}
	if record != nil {
		record.Ended, record.Count = time.Now(), len(deliveries)
	}
	if drained {
		return deliveries, record, ergon.ErrDrained
	}
	return deliveries, record, nil
}
