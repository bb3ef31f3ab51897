package engine

import (
	"context"
	"errors"
	"log/slog"

	"github.com/ergon-framework/ergon"
)

// LogEvents returns an observer that writes events as log lines: DEBUG for each
// attempt and each transaction that did well, WARN for a failure that is tried
// again, with the next delay, ERROR for one that is final. No line carries a
// payload or metadata, unless LogContents is given. With LogsRoutine a logger without
// DEBUG costs a transaction that does well a few nanoseconds.
//
// A line of a transaction that is traced is logged with a context that has its span,
// and the logger's handler adds trace_id and span_id from there, as telemetry's does.
// The line of one that is not has trace_id by itself.
func LogEvents(log *slog.Logger, options ...LogOption) func(Event) {
	l := &eventLog{log: log}
	for _, o := range options {
		o(l)
	}
	return l.observe
}

// eventLog writes events as log lines.
type eventLog struct {
	log      *slog.Logger
	contents bool // see LogContents
	hide     func(name string) bool
}

func (l *eventLog) observe(ev Event) {
	level, msg := describe(ev)
	ctx := context.Background() // events belong to no call of the observer's
	if !l.log.Enabled(ctx, level) {
		return
	}
	if at, ok := ev.(interface{ Context() context.Context }); ok {
		ctx = at.Context()
	}
	l.log.LogAttrs(ctx, level, msg, l.attributes(ev)...)
}

// LogsRoutine is the Routine of an engine whose only observer is LogEvents.
func LogsRoutine(log *slog.Logger) func() bool {
	ctx := context.Background()
	return func() bool { return log.Enabled(ctx, slog.LevelDebug) }
}

func describe(ev Event) (slog.Level, string) {
	switch ev := ev.(type) {
	case Fetched:
		return slog.LevelDebug, "fetched"
	case FetchFailed:
		if ev.Final {
			return slog.LevelError, "fetch failed for good: the loop ends"
		}
		return slog.LevelWarn, "fetch failed: trying again"
	case Started:
		return slog.LevelDebug, "transaction started"
	case AttemptEnded:
		if ev.Err != nil {
			return slog.LevelDebug, "attempt failed"
		}
		return slog.LevelDebug, "attempt done"
	case RetryScheduled:
		return slog.LevelWarn, "attempt failed: trying again"
	case Deferring:
		return slog.LevelWarn, "attempt failed: stored for a later one"
	case SettleFailed:
		return slog.LevelWarn, "settlement failed: trying again; the transaction is kept"
	case LeaseLost:
		return slog.LevelWarn, "lease lost: another delivery has the transaction"
	case Stuck:
		return slog.LevelError, "task is stuck: it ignores its cancelled context"
	case Finished:
		switch ev.Outcome {
		case Dead:
			return slog.LevelError, "transaction failed for good"
		case Abandoned:
			return slog.LevelWarn, "transaction abandoned: it comes back when its lease ends"
		case Succeeded, Deferred, Released, Lost, Merged:
			return slog.LevelDebug, "transaction " + string(ev.Outcome)
		}
	case StartNotRecorded:
		return slog.LevelWarn, "start not recorded: if it kills the process, nobody will know"
	case HealthChanged:
		if ev.Err != nil {
			return slog.LevelWarn, "task is not ready"
		}
		return slog.LevelInfo, "task is ready again"
	case BreakerChanged:
		if ev.Open {
			return slog.LevelWarn, "circuit breaker opened: nothing new is fetched"
		}
		return slog.LevelInfo, "circuit breaker closed"
	case Stopping:
		return slog.LevelInfo, "stopping: finishing what runs"
	case Ended:
		if ev.Err != nil {
			return slog.LevelError, "task ended with an error"
		}
		if ev.Report.Abandoned > 0 {
			return slog.LevelWarn, "task ended: what is abandoned comes back when its lease ends"
		}
		return slog.LevelInfo, "task ended"
	}
	return slog.LevelDebug, "event"
}

func (l *eventLog) attributes(ev Event) []slog.Attr {
	switch ev := ev.(type) {
	case Fetched:
		return []slog.Attr{slog.String("task", ev.Task), slog.Int("count", ev.Count)}
	case FetchFailed:
		return append(failure(ev.Err), slog.String("task", ev.Task), slog.String("connector", ev.Connector),
			slog.Int("attempt", ev.Attempt), slog.Duration("delay", ev.Delay))
	case Started:
		attrs := append(of(ev.Task, ev.Transaction, ev.Place), slog.Int("deliveries", ev.Info.Deliveries))
		return append(attrs, l.shown(ev.Transaction)...)
	case AttemptEnded:
		return append(append(of(ev.Task, ev.Transaction, ev.Place), failure(ev.Err)...), slog.String("phase", string(ev.Phase)),
			slog.Int("attempt", ev.Attempt), slog.Int("max_attempts", ev.MaxAttempts), slog.Duration("took", ev.Duration))
	case RetryScheduled:
		return append(append(of(ev.Task, ev.Transaction, ev.Place), failure(ev.Err)...), slog.String("phase", string(ev.Phase)),
			slog.Int("attempt", ev.Attempt), slog.Int("max_attempts", ev.MaxAttempts), slog.Duration("delay", ev.Delay))
	case Deferring: // only process is
		return append(append(of(ev.Task, ev.Transaction, ev.Place), failure(ev.Err)...), slog.String("phase", string(ergon.PhaseProcess)), slog.Int("attempt", ev.Attempt),
			slog.Int("max_attempts", ev.MaxAttempts), slog.Duration("delay", ev.Delay))
	case SettleFailed:
		return append(append(of(ev.Task, ev.Transaction, ev.Place), failure(ev.Err)...), slog.String("settlement", ev.Kind.String()),
			slog.Int("attempt", ev.Attempt), slog.Duration("delay", ev.Delay))
	case LeaseLost:
		return of(ev.Task, ev.Transaction, ev.Place)
	case Stuck:
		return append(of(ev.Task, ev.Transaction, ev.Place), slog.String("phase", string(ev.Phase)), slog.Int("attempt", ev.Attempt),
			slog.Duration("after", ev.After), slog.Bool("slot_replaced", ev.Replaced), slog.String("stack", ev.Stack))
	case Finished:
		attrs := append(of(ev.Task, ev.Transaction, ev.Place), slog.String("outcome", string(ev.Outcome)),
			slog.Int("outputs", ev.Outputs), slog.Duration("took", ev.Duration))
		if ev.Err != nil {
			attrs = append(append(attrs, failure(ev.Err)...), slog.String("phase", string(ev.Err.Phase)), slog.Int("attempt", ev.Err.Attempt))
		}
		if ev.HandlerErr != nil {
			attrs = append(attrs, slog.String("handler_error", ev.HandlerErr.Error()))
		}
		if ev.Outcome == Dead {
			attrs = append(attrs, l.shown(ev.Transaction)...)
		}
		return attrs
	case StartNotRecorded:
		return append(of(ev.Task, ev.Transaction, ev.Place), failure(ev.Err)...)
	case HealthChanged:
		return append(failure(ev.Err), slog.String("task", ev.Task))
	case BreakerChanged:
		return []slog.Attr{slog.String("task", ev.Task), slog.String("phase", string(ev.Phase))}
	case Stopping:
		return []slog.Attr{slog.String("task", ev.Task), slog.Int("held", ev.Held)}
	case Ended:
		r := ev.Report
		attrs := append(failure(ev.Err), slog.String("task", ev.Task), slog.Int64("succeeded", r.Succeeded), slog.Int64("dead", r.Dead),
			slog.Int64("released", r.Released), slog.Int64("abandoned", r.Abandoned), slog.Duration("took", r.Duration))
		if len(ev.Abandoned) > 0 {
			attrs = append(attrs, slog.Any("transactions", ev.Abandoned))
		}
		return attrs
	}
	return nil
}

func of(task string, tx ergon.Raw, at Place) []slog.Attr {
	attrs := []slog.Attr{slog.String("task", task), slog.String("transaction", tx.ID()), slog.String("source", tx.Source())}
	if !at.traced() { // otherwise it is the span's, of which the handler tells
		attrs = append(attrs, slog.String("trace_id", traceID(tx)))
	}
	return attrs
}

// failure shows an error and, for a panic, the stack: without it a panic can't
// be found.
func failure(err error) []slog.Attr {
	if err == nil {
		return nil
	}
	attrs := []slog.Attr{slog.String("error", err.Error()), slog.String("category", string(ergon.CategoryOf(err)))}
	if p, ok := errors.AsType[*ergon.PanicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	}
	return attrs
}
