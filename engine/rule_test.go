package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
)

// rules says of each remembered delivery of an ID how it went on, and how it ended.
func rules(trail *engine.Trail, id string) (lines []string) {
	for _, r := range trail.Of(id) {
		var b strings.Builder
		for i, a := range r.Attempts {
			fmt.Fprintf(&b, "%s %d [%s] ", a.Phase, a.Attempt, r.Rule(i))
		}
		lines = append(lines, fmt.Sprintf("%s%s [%s]", &b, r.Outcome, r.Final()))
	}
	return lines
}

// The trail says which rule decided, in each of the ways that a transaction can go.
func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rig)
		task   func(context.Context, ergon.Transaction[string]) (ergon.None, error)
		want   []string
	}{
		"did well": {nil, func(context.Context, ergon.Transaction[string]) (ergon.None, error) { return ergon.None{}, nil }, nil},
		"retried": {nil, func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
			if ergon.ExecutionOf(ctx).Attempt < 3 {
				return ergon.None{}, errors.New("not yet")
			}
			return ergon.None{}, nil
		}, []string{"process 1 [retry] process 2 [retry] process 3 [] succeeded []"}},
		"business": {nil, func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			return ergon.None{}, ergon.Business("no")
		}, []string{"process 1 [business] dead [business]"}},
		"attempts": {nil, func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			return ergon.None{}, errors.New("never")
		}, []string{"process 1 [retry] process 2 [retry] process 3 [retry] process 4 [retry.max_attempts] dead [retry.max_attempts]"}},
		"transaction timeout in an attempt": {
			func(r *rig) { r.policy.Transaction.Timeout = dur(time.Second) },
			func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
				<-ctx.Done()
				return ergon.None{}, ctx.Err()
			}, []string{"process 1 [transaction.timeout] dead [transaction.timeout]"},
		},
		"transaction timeout in a wait": {
			func(r *rig) {
				r.policy.Transaction.Timeout, r.policy.Process.Retry.Backoff = dur(time.Second), dur(time.Minute)
			},
			func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
				return ergon.None{}, errors.New("not yet")
			}, []string{"process 1 [transaction.timeout] dead [transaction.timeout]"},
		},
		"parked": {
			func(r *rig) {
				r.queueO.CanDefer = true
				r.policy.Process.Retry.Backoff, r.policy.Process.Retry.BackoffCap = dur(time.Hour), dur(time.Hour)
			},
			func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
				if ergon.ExecutionOf(ctx).Attempt == 1 {
					return ergon.None{}, errors.New("not within the hour")
				}
				return ergon.None{}, ergon.Business("no")
			}, []string{"process 1 [transaction.redeliver_over] deferred []", "process 2 [business] dead [business]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(consume(c.task))
				r.trail = engine.NewTrail(10)
				if c.change != nil {
					c.change(r)
				}
				r.push("a")
				r.run(t)
				require.Equal(t, c.want, rules(r.trail, "a"))
				for _, record := range r.trail.Of("a") {
					require.Nil(t, record.Transaction.Payload(), "a trail keeps no payload")
					for i, a := range record.Attempts {
						if record.Rule(i) == engine.RuleDeferred {
							require.Equal(t, time.Hour, a.Delay)
						}
					}
				}
			})
		})
	}
}

// Code that ignored its context, a stop during a wait, and starts that never ended.
func TestRulesOfWhatWasCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			<-release
			return ergon.None{}, nil
		}))
		r.trail = engine.NewTrail(10)
		r.policy.Transaction.StuckAfter = dur(time.Second)
		r.push("stuck")
		r.run(t)
		require.Equal(t, []string{"process 1 [transaction.stuck_after] dead [transaction.stuck_after]"}, rules(r.trail, "stuck"))
		close(release)
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			return ergon.None{}, errors.New("not yet")
		}))
		r.trail = engine.NewTrail(10)
		r.policy.Process.Retry.Backoff = dur(time.Minute)
		r.policy.Shutdown.Grace = dur(time.Second)
		r.push("cut")
		_, wait := r.start(t)
		time.Sleep(time.Second)
		_, err := wait(true)
		require.NoError(t, err)
		require.Equal(t, []string{"process 1 [shutdown] released []"}, rules(r.trail, "cut"))
	})
}

func TestQuantilesOfMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			if tx.ID() == "tx-000" {
				time.Sleep(9 * time.Second)
				return ergon.None{}, ergon.Business("no")
			}
			time.Sleep(time.Second)
			return ergon.None{}, nil
		}))
		r.push(names(100)...)
		e := r.engine(t)
		_, err := e.Run(t.Context())
		require.NoError(t, err)
		var process, ok engine.Histogram
		for _, p := range e.Metrics().Phases {
			if p.Phase == ergon.PhaseProcess {
				ok = p.Results[0].Duration
				process = ok.Plus(p.Results[1].Duration)
			}
		}
		require.EqualValues(t, 99, ok.Count, "a sum changes nothing that it is of")
		require.EqualValues(t, 100, process.Count)
		require.InDelta(t, 108, process.Sum, 0.001)
		require.InEpsilon(t, 1, process.Quantile(0.5), 0.05)
		require.InEpsilon(t, 9, process.Quantile(1), 0.05)
		require.Zero(t, engine.Histogram{}.Quantile(0.5))
		require.Positive(t, e.Metrics().Batch.Quantile(0.9))
		require.Equal(t, "score", e.Name())
		require.Equal(t, 1, e.Generation())
	})
}
