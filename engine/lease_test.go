package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// DESIGN §2: everything held, running or queued or waiting, is extended.
func TestLeasesAreKept(t *testing.T) {
	for name, lease := range map[string]time.Duration{"short": 90 * ms, "second": time.Second, "default": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
					time.Sleep(30 * lease)
					return "x", nil
				}))
				r.queueO.Lease = lease
				r.policy.Process.Retry.Timeout, r.policy.Transaction.Timeout = 0, 0
				r.policy.Produce.Retry.Timeout = 0
				r.sinkO.Delay = 10 * lease
				r.policy.Loop.Concurrency = 2
				r.push("a", "b", "c", "a") // two run, one is queued, one waits for its ID
				report := r.run(t)
				require.EqualValues(t, 4, report.Succeeded)
				require.EqualValues(t, 4, report.Fetched, "nothing was delivered again")
				require.Zero(t, report.Lost)
			})
		})
	}
}

// A lease that is shorter than those before it is not too late for the sweeper.
func TestAShorterLeaseLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &scripted{fetches: make(chan []ergon.Delivery, 2)}
		var extended atomic.Int32
		ack := func(_ ergon.Settlement, done func(error)) { done(nil) }
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			time.Sleep(300 * ms)
			return ergon.None{}, nil
		}))
		r.source = source
		source.fetches <- []ergon.Delivery{&scriptedDelivery{tx: raw("a", `"a"`), lease: time.Hour, settle: ack}}
		_, wait := r.start(t)
		time.Sleep(10 * ms)
		began := time.Now()
		var last time.Duration
		source.fetches <- []ergon.Delivery{&scriptedDelivery{tx: raw("b", `"b"`), lease: 60 * ms, settle: ack, extend: func() error {
			extended.Add(1)
			require.Less(t, time.Since(began)-last, 45*ms)
			last = time.Since(began)
			return nil
		}}}
		close(source.fetches)
		report, err := wait(false)
		require.NoError(t, err)
		require.EqualValues(t, 2, report.Succeeded)
		require.GreaterOrEqual(t, extended.Load(), int32(7))
	})
}

// An extension that fails is tried again while the lease stands.
func TestExtensionIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			time.Sleep(5 * time.Second)
			return ergon.None{}, nil
		}))
		r.queueO.Lease = time.Second
		r.queueO.OnExtend = func(ergon.Raw) error {
			switch calls.Add(1) % 3 {
			case 1:
				return errors.New("no connection")
			case 2:
				panic("no connection")
			}
			return nil
		}
		r.push("a")
		report := r.run(t)
		require.EqualValues(t, 1, report.Succeeded)
		require.EqualValues(t, 1, report.Fetched)
	})
}

// loseFirst makes the first extension of each message say that its lease is lost.
func loseFirst(r *rig) {
	lost := map[string]bool{}
	r.queueO.Lease = time.Second
	r.queueO.OnExtend = func(tx ergon.Raw) error { // only the sweeper calls it
		if !lost[tx.ID()] {
			lost[tx.ID()] = true
			return ergon.ErrLeaseLost
		}
		return nil
	}
}

// A lost lease cancels the attempt; no hook runs, nothing is sent or settled, no
// outcome is recorded. The next delivery does it all.
func TestLostLeaseCancelsTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, result := range map[string]error{"an error": errors.New("cut"), "nil": nil} {
			var h history
			deliveries := 0
			r := traced(&h, &hooked[string, string]{
				process: func(ctx context.Context, _ ergon.Transaction[string]) (string, error) {
					if deliveries++; deliveries == 1 {
						<-ctx.Done()
						require.ErrorIs(t, ctx.Err(), context.Canceled, name)
						require.ErrorIs(t, context.Cause(ctx), ergon.ErrLeaseLost)
						return "cut", result
					}
					require.Equal(t, 2, ergon.ExecutionOf(ctx).Delivery)
					require.Equal(t, 1, ergon.ExecutionOf(ctx).Attempt)
					return "out", nil
				},
			})
			loseFirst(r)
			r.push("a")
			report := r.run(t)
			require.Equal(t, []string{"process", "process", "send", "success hook", "ack"}, h.all())
			require.EqualValues(t, 1, report.Lost)
			require.EqualValues(t, 1, report.Succeeded)
			require.Len(t, eventsOf[engine.LeaseLost](r), 1)
			require.Zero(t, report.Retries)
		}
	})
}

// A transaction that loses its lease while it is queued is never begun.
func TestLostLeaseInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			h.add("%s%d", tx.ID(), ergon.ExecutionOf(ctx).Delivery)
			if tx.ID() == "slow" {
				time.Sleep(5 * time.Second)
			}
			return ergon.None{}, nil
		}))
		loseFirst(r)
		r.policy.Loop.Concurrency = 1
		lose := r.queueO.OnExtend
		r.queueO.OnExtend = func(tx ergon.Raw) error {
			if tx.ID() == "slow" {
				return nil
			}
			return lose(tx)
		}
		r.push("slow", "a")
		report := r.run(t)
		require.Equal(t, []string{"slow1", "a2"}, h.all())
		require.EqualValues(t, 1, report.Lost)
		require.EqualValues(t, 2, report.Started)
		require.EqualValues(t, 2, report.Succeeded)
	})
}

// A lost lease ends a backoff, and the wait for a limit.
func TestLostLeaseEndsTheWaits(t *testing.T) {
	t.Run("backoff", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			deliveries := 0
			r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
				if deliveries++; deliveries == 1 {
					return ergon.None{}, ergon.RetryAfter(time.Minute, errors.New("x"))
				}
				return ergon.None{}, nil
			}))
			loseFirst(r)
			r.push("a")
			report := r.run(t)
			require.EqualValues(t, 1, report.Lost)
			require.EqualValues(t, 1, report.Succeeded)
			require.Less(t, time.Since(began), 3*time.Second)
		})
	})
	t.Run("limit of produce", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
			loseFirst(r)
			r.policy.Produce.RateLimit.Limit, r.policy.Produce.RateLimit.Per = 1, dur(10*time.Second)
			r.push("a", "b")
			report := r.run(t)
			require.EqualValues(t, 1, report.Lost, "b waited for its turn")
			require.EqualValues(t, 2, report.Succeeded)
			require.Len(t, r.sink.All(), 2)
			require.Zero(t, r.sink.Duplicates(), "what lost its lease sent nothing")
		})
	})
}

// What was already handed to a sink can't be taken back; no hook follows, and
// nothing is settled.
func TestLostLeaseDuringASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		r := traced(&h, &hooked[string, string]{})
		loseFirst(r)
		r.sinkO.Delay = 5 * time.Second
		r.push("a")
		report := r.run(t)
		require.Equal(t, []string{"process", "send", "process", "send", "success hook", "ack"}, h.all())
		require.EqualValues(t, 1, report.Lost)
		require.Len(t, r.sink.All(), 1)
		require.Equal(t, 1, r.sink.Duplicates(), "the same ID")
	})
}
