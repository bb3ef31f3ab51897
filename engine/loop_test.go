package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/stretchr/testify/require"
)

// sleeper returns a rig whose task sleeps a second and counts in g.
func sleeper(g *gauge) *rig {
	return newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
		g.enter()
		defer g.leave()
		time.Sleep(time.Second)
		return ergon.None{}, nil
	}))
}

// R076, R097: the bound is reached and not exceeded, and it does not depend on the
// batch size (defect 9).
func TestConcurrencyIsExact(t *testing.T) {
	for _, c := range []struct{ concurrency, batch int }{{1, 256}, {3, 256}, {5, 2}, {7, 1}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var g gauge
				r := sleeper(&g)
				r.policy.Loop.Concurrency, r.policy.Fetch.Batch.Size = c.concurrency, c.batch
				r.push(names(30)...)
				require.EqualValues(t, 30, r.run(t).Succeeded)
				require.Equal(t, c.concurrency, g.peak())
				rounds := (30 + c.concurrency - 1) / c.concurrency
				require.Equal(t, time.Duration(rounds)*time.Second, time.Since(began), "no slot stands idle")
			})
		})
	}
}

// R076: a retry stands in line for a slot as a first attempt does: beside others that
// are busy it is not one more.
func TestRetriesStayWithinTheConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gauge
		r := newRig(consume(func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
			g.enter()
			defer g.leave()
			time.Sleep(time.Second)
			if ergon.ExecutionOf(ctx).Attempt < 3 {
				return ergon.None{}, errors.New("not yet")
			}
			return ergon.None{}, nil
		}))
		r.policy.Loop.Concurrency = 3
		r.push(names(12)...)
		report := r.run(t)
		require.EqualValues(t, 12, report.Succeeded)
		require.EqualValues(t, 24, report.Retries)
		require.Equal(t, 3, g.peak())
	})
}

// R007: a phase's bulkhead bounds the phase, and waiting spends no attempt time.
func TestBulkheadBoundsThePhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var g gauge
		r := sleeper(&g)
		r.policy.Loop.Concurrency, r.policy.Process.Bulkhead.MaxConcurrency = 8, 2
		r.policy.Process.Retry.Timeout = dur(1500 * ms)
		r.push(names(8)...)
		report := r.run(t)
		require.EqualValues(t, 8, report.Succeeded)
		require.Zero(t, report.Retries)
		require.Equal(t, 2, g.peak())
		require.Equal(t, 4*time.Second, time.Since(began))
	})
}

// DESIGN §2: window bounds what awaits its confirmation, concurrency only what
// runs.
func TestWindowBoundsWhatIsUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started atomic.Int32
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) {
			started.Add(1)
			return "x", nil
		}))
		r.policy.Loop.Concurrency, r.policy.Loop.Window = 2, 5
		r.sinkO.Delay = time.Second
		r.push(names(12)...)
		e, wait := r.start(t)
		for _, want := range []int{5, 10, 12} {
			time.Sleep(500 * ms)
			synctest.Wait()
			require.EqualValues(t, want, started.Load())
			require.LessOrEqual(t, e.Snapshot().Held, 5)
			time.Sleep(500 * ms)
		}
		report, err := wait(false)
		require.NoError(t, err)
		require.EqualValues(t, 12, report.Succeeded)
	})
}

// DESIGN §2: at most prefetch are held and not started.
func TestPrefetchBoundsWhatIsHeldUnstarted(t *testing.T) {
	for _, prefetch := range []int{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			var g gauge
			r := sleeper(&g)
			r.policy.Loop.Concurrency, r.policy.Loop.Prefetch = 3, prefetch
			r.push(names(30)...)
			e, wait := r.start(t)
			for range 9 {
				synctest.Wait()
				s := e.Snapshot()
				require.Equal(t, 3, s.Running)
				require.LessOrEqual(t, s.Queued, prefetch)
				require.Equal(t, s.Held, r.queue.Counts().Leased)
				time.Sleep(time.Second)
			}
			_, err := wait(false)
			require.NoError(t, err)
		})
	}
}

// R097: a slot is refilled while a slow transaction runs, also where the window
// leaves room for few.
func TestRefillsWhileASlowOneRuns(t *testing.T) {
	for name, set := range map[string]func(*policy.Consumer){
		"room enough": func(*policy.Consumer) {},
		"small window": func(p *policy.Consumer) {
			p.Loop.Concurrency, p.Loop.Window = 8, 8
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var done atomic.Int32
				r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
					if tx.ID() < "tx-003" {
						time.Sleep(time.Minute)
						require.GreaterOrEqual(t, done.Load(), int32(37), "the others waited for the slow ones")
					}
					done.Add(1)
					return ergon.None{}, nil
				}))
				r.policy.Process.Retry.Timeout = 0
				set(&r.policy)
				r.push(names(40)...)
				require.EqualValues(t, 40, r.run(t).Succeeded)
				require.Equal(t, time.Minute, time.Since(began))
			})
		})
	}
}

// Places that are taken by long backoffs don't stop the others.
func TestRefillsBesideLongBackoffs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var last atomic.Int64
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			if tx.ID() < "tx-014" && ergon.ExecutionOf(ctx).Attempt == 1 {
				return ergon.None{}, ergon.RetryAfter(time.Minute, errors.New("x"))
			}
			if tx.ID() >= "tx-014" {
				last.Store(int64(time.Since(began)))
			}
			return ergon.None{}, nil
		}))
		r.policy.Loop.Concurrency, r.policy.Loop.Window = 8, 16
		r.push(names(60)...)
		require.EqualValues(t, 60, r.run(t).Succeeded)
		require.Less(t, time.Duration(last.Load()), time.Second)
	})
}

// Mode batch: a batch is finished before the next is taken (R119).
func TestBatchModeFinishesABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var h history
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			h.add("%v", time.Since(began))
			if tx.ID() == "tx-000" {
				time.Sleep(time.Minute)
			}
			return ergon.None{}, nil
		}))
		r.policy.Loop.Mode, r.policy.Fetch.Batch.Size = policy.ModeBatch, 3
		r.policy.Process.Retry.Timeout = 0
		r.push(names(5)...)
		report := r.run(t)
		require.EqualValues(t, 5, report.Succeeded)
		require.Equal(t, []string{"0s", "0s", "0s", "1m0s", "1m0s"}, h.all())
		var counts []int
		for _, ev := range eventsOf[engine.Fetched](r) {
			counts = append(counts, ev.Count)
		}
		require.Equal(t, []int{3, 2}, counts)
	})
}

// A place that becomes free in a full window is filled, whatever else is held.
func TestAFreePlaceIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var last atomic.Int64
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
			last.Store(int64(time.Since(began)))
			return tx.ID(), nil
		}))
		r.sinkO.OnSend = func(tx ergon.Raw) error {
			if tx.CausationID() == "tx-000" {
				return memory.Answer{After: time.Minute}
			}
			return memory.Answer{After: time.Second}
		}
		r.policy.Loop.Concurrency, r.policy.Loop.Window, r.policy.Produce.Retry.Timeout = 2, 2, 0
		r.push(names(5)...)
		require.EqualValues(t, 5, r.run(t).Succeeded)
		require.Equal(t, 3*time.Second, time.Duration(last.Load()), "each begins at the moment at which another ends")
		require.Equal(t, time.Minute, time.Since(began))
	})
}

// Where most of the window waits out long backoffs, what is left of it goes on being
// used, though it is too little to be worth a fetch by itself.
func TestTheRestOfTheWindowIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var quick atomic.Int64
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			if tx.ID() < "tx-062" {
				return ergon.None{}, ergon.System("not within the hour")
			}
			quick.Add(1)
			return ergon.None{}, nil
		}))
		r.policy.Loop.Concurrency, r.policy.Loop.Window = 4, 64
		r.policy.Process.Retry = policy.Retry{MaxAttempts: 2, Backoff: dur(time.Hour), BackoffMultiplier: 1}
		r.policy.Transaction.Timeout = 0
		r.push(names(200)...)
		_, wait := r.start(t)
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 200-62, quick.Load())
		time.Sleep(2 * time.Hour)
		report, err := wait(false)
		require.NoError(t, err)
		require.EqualValues(t, 62, report.Dead)
	})
}
