package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// hang returns when its context ends.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// lifecycles are the ways in which one transaction can end, for both kinds of
// task: main is process or produce, which has 4 attempts of a second here; the
// hooks have 3.
var lifecycles = map[string]struct {
	main, success func(context.Context) error
	succeeds      bool
	category      ergon.Category
	inSuccess     bool // the success hook failed, not main
	attempt       int
}{
	"happy path":                 {succeeds: true},
	"fails":                      {main: func(context.Context) error { return errors.New("bad value") }, category: ergon.CategorySystem, attempt: 4},
	"returns a timeout":          {main: func(context.Context) error { return fmt.Errorf("call: %w", context.DeadlineExceeded) }, category: ergon.CategoryTimeout, attempt: 4},
	"exceeds its time":           {main: hang, category: ergon.CategoryTimeout, attempt: 4},
	"is refused":                 {main: func(context.Context) error { return ergon.Business("no") }, category: ergon.CategoryBusiness, attempt: 1},
	"success hook fails":         {success: func(context.Context) error { return errors.New("bad value") }, category: ergon.CategorySystem, inSuccess: true, attempt: 3},
	"success hook exceeds its":   {success: hang, category: ergon.CategoryTimeout, inSuccess: true, attempt: 3},
	"success hook is refused":    {success: func(context.Context) error { return ergon.Business("no") }, category: ergon.CategoryBusiness, inSuccess: true, attempt: 1},
	"success hook panics":        {success: func(context.Context) error { panic("bad value") }, category: ergon.CategorySystem, inSuccess: true, attempt: 3},
	"main panics with a context": {main: func(context.Context) error { panic(context.Canceled) }, category: ergon.CategorySystem, attempt: 4},
}

// R018, R044, R091 to R094, R107: one handler has the last word, once, and what it
// gets names the transaction, the task, the phase and the attempt.
func TestConsumerLifecycle(t *testing.T) {
	for name, c := range lifecycles {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				processed, succeeded := 0, 0
				var handled []*ergon.Error
				r := newRig(engine.Consume("score", &hooked[string, string]{
					process: func(ctx context.Context, _ ergon.Transaction[string]) (string, error) {
						processed++
						if c.main != nil {
							return "", c.main(ctx)
						}
						return "out", nil
					},
					success: func(ctx context.Context, _ ergon.Transaction[string], _ string) error {
						succeeded++
						if c.success != nil {
							return c.success(ctx)
						}
						return nil
					},
					exception: func(_ context.Context, tx ergon.Transaction[string], exc *ergon.Error) error {
						require.Equal(t, "a", tx.Payload())
						handled = append(handled, exc)
						return nil
					},
				}))
				r.policy.Process.Retry.Timeout, r.policy.Success.Retry.Timeout = dur(time.Second), dur(time.Second)
				r.push("a")
				report := r.run(t)
				if c.succeeds {
					require.EqualValues(t, 1, report.Succeeded)
					require.Equal(t, []int{1, 1}, []int{processed, succeeded})
					require.Len(t, r.queue.Acked(), 1)
					require.Empty(t, handled)
					return
				}
				phase, attempts := ergon.PhaseProcess, []int{c.attempt, 0}
				if c.inSuccess {
					phase, attempts = ergon.PhaseSuccess, []int{1, c.attempt}
				}
				require.Equal(t, attempts, []int{processed, succeeded})
				require.EqualValues(t, 1, report.Dead)
				require.Len(t, handled, 1)
				exc := *handled[0]
				require.Error(t, exc.Err)
				exc.Err = nil
				require.Equal(t, ergon.Error{Category: c.category, TransactionID: "a", Task: "score", Phase: phase, Attempt: c.attempt}, exc)
				require.Empty(t, r.queue.Acked())
			})
		})
	}
}

// R113, R116 to R118, R123, R127: a producer's transaction ends as a consumer's
// does, and no raw error of the task leaves the engine.
func TestProducerLifecycle(t *testing.T) {
	for name, c := range lifecycles {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				produced, succeeded := 0, 0
				var handled []*ergon.Error
				p := newProducing()
				p.policy.Produce.Retry.MaxAttempts = 4
				p.policy.Produce.Retry.Timeout, p.policy.Success.Retry.Timeout = dur(time.Second), dur(time.Second)
				report, err := p.run(t.Context(), &maker[int, string]{
					produce: func(ctx context.Context, tx ergon.Transaction[int]) (string, error) {
						produced++
						if c.main != nil {
							return "", c.main(ctx)
						}
						return spell(ctx, tx)
					},
					success: func(ctx context.Context, _ ergon.Transaction[int], _ string) error {
						succeeded++
						if c.success != nil {
							return c.success(ctx)
						}
						return nil
					},
					exception: func(_ context.Context, _ ergon.Transaction[int], exc *ergon.Error) error {
						handled = append(handled, exc)
						return errors.New("the hook's own")
					},
				}, counted(1))
				require.NoError(t, err)
				result := report.Results[0]
				if c.succeeds {
					require.Equal(t, engine.Result{ID: "0", Outcome: engine.Succeeded}, result)
					require.Equal(t, []int{1, 1}, []int{produced, succeeded})
					require.Empty(t, handled)
					return
				}
				phase, attempts := ergon.PhaseProduce, []int{c.attempt, 0}
				if c.inSuccess {
					// The produce policy, with one attempt more, is not the hook's.
					phase, attempts = ergon.PhaseSuccess, []int{1, c.attempt}
					require.Len(t, p.sink.All(), 1, "what was sent stays sent")
				}
				require.Equal(t, attempts, []int{produced, succeeded})
				require.Equal(t, engine.Dead, result.Outcome)
				require.Len(t, handled, 3, "its own retries")
				require.Same(t, result.Err, handled[0])
				exc := *result.Err
				require.Error(t, exc.Err)
				exc.Err = nil
				require.Equal(t, ergon.Error{Category: c.category, TransactionID: "0", Task: "make", Phase: phase, Attempt: c.attempt}, exc)
				var own *ergon.Error
				require.ErrorAs(t, result.HandlerErr, &own)
				require.Equal(t, ergon.PhaseException, own.Phase)
				require.Equal(t, "0", own.TransactionID)
			})
		})
	}
}
