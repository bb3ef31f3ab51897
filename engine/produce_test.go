package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// R116: what failed is sent again under the same ID; what is confirmed is not.
func TestOnlyUnconfirmedOutputsAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		began := time.Now()
		fails := map[string]int{"1": 2, "3": 1}
		r := newRig(outputs(ergon.To("a", 0), ergon.To("a", 1), ergon.To("b", 2), ergon.To("b", 3)))
		r.sinkO.OnSend = func(tx ergon.Raw) error {
			payload := string(tx.Payload())
			h.add("%v %s %s", time.Since(began), payload, tx.ID())
			if fails[payload]--; fails[payload] >= 0 {
				return errors.New("refused")
			}
			return nil
		}
		r.push("in")
		report := r.run(t)
		var times []string
		ids := map[string]map[string]bool{}
		for _, line := range h.all() {
			f := strings.Fields(line)
			times = append(times, f[0]+" "+f[1])
			if ids[f[1]] == nil {
				ids[f[1]] = map[string]bool{}
			}
			ids[f[1]][f[2]] = true
		}
		require.Equal(t, []string{"0s 0", "0s 1", "0s 2", "0s 3", "100ms 1", "100ms 3", "300ms 1"}, times)
		for payload, same := range ids {
			require.Len(t, same, 1, "output %s changed its ID", payload)
		}
		require.EqualValues(t, 1, report.Succeeded)
		require.EqualValues(t, 4, report.Outputs)
		require.EqualValues(t, 2, report.Retries)
		require.Zero(t, r.sink.Duplicates())
	})
}

// What will never be taken is final, whatever else could still be tried.
func TestBusinessFromASinkIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(outputs(ergon.To("a", 0), ergon.To("a", 1), ergon.To("b", 2)))
		r.sinkO.OnSend = func(tx ergon.Raw) error {
			switch string(tx.Payload()) {
			case "0":
				return errors.New("down")
			case "1":
				return ergon.Business("too large")
			}
			return nil
		}
		r.push("in")
		report := r.run(t)
		require.Zero(t, report.Retries)
		dead := r.onlyDead(t).Settlement
		require.Equal(t, ergon.CategoryBusiness, dead.Err.Category)
		require.ErrorContains(t, dead.Err, "too large")
		require.Equal(t, 3, dead.Dead.Outputs)
		require.Equal(t, 1, dead.Dead.Confirmed)
		require.Equal(t, 2, dead.Dead.Unknown)
		require.Len(t, r.sink.All(), 1, "nothing is undone")
	})
}

// DESIGN §2: a final failure says how many outputs are confirmed.
func TestProduceThatKeepsFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(outputs(ergon.To("a", 0), ergon.To("b", 1)))
		r.sinkO.OnSend = func(tx ergon.Raw) error {
			if tx.Type() == "b" {
				return errors.New("down")
			}
			return nil
		}
		r.push("in")
		require.EqualValues(t, 3, r.run(t).Retries)
		dead := r.onlyDead(t).Settlement
		require.Equal(t, ergon.PhaseProduce, dead.Err.Phase)
		require.Equal(t, 4, dead.Err.Attempt)
		require.Equal(t, ergon.DeadFacts{
			Outputs: 2, Confirmed: 1, Unknown: 1, FailedAt: dead.Dead.FailedAt,
		}, dead.Dead)
	})
}

// A PubAck that never comes is TIMEOUT after the attempt's time, and resolved by
// sending the same ID again.
func TestLostConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sends atomic.Int32
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.policy.Produce.Retry.Timeout = dur(2 * time.Second)
		r.sinkO.OnSend = func(ergon.Raw) error {
			if sends.Add(1) == 1 {
				return memory.Answer{Never: true, Done: true}
			}
			return nil
		}
		r.push("a")
		report := r.run(t)
		require.EqualValues(t, 1, report.Succeeded)
		require.Len(t, r.sink.All(), 1)
		require.Equal(t, 1, r.sink.Duplicates())
		var errs []error
		for _, ev := range eventsOf[engine.AttemptEnded](r) {
			if ev.Phase == ergon.PhaseProduce {
				errs = append(errs, ev.Err)
			}
		}
		require.Len(t, errs, 2)
		require.ErrorIs(t, errs[0], ergon.CategoryTimeout)
		require.ErrorContains(t, errs[0], "did not answer")
		require.NoError(t, errs[1])
	})
}

// A sink that answers twice, or long after it was given up, ends nothing twice.
func TestAnswersTooManyAndTooLate(t *testing.T) {
	for name, answer := range map[string]memory.Answer{
		"twice":             {Twice: true},
		"twice with errors": {Err: errors.New("x"), Twice: true},
		"late":              {After: 10 * time.Second},
		"late and twice":    {After: 10 * time.Second, Twice: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				sends := map[string]int{}
				r := newRig(outputs(ergon.To("a", 0), ergon.To("a", 1), ergon.To("b", 2)))
				r.policy.Produce.Retry.Timeout = dur(2 * time.Second)
				r.sinkO.OnSend = func(tx ergon.Raw) error {
					mu.Lock()
					defer mu.Unlock()
					if sends[tx.ID()]++; sends[tx.ID()] == 1 && string(tx.Payload()) != "0" {
						return answer
					}
					return nil
				}
				r.push(names(10)...)
				report := r.run(t)
				require.EqualValues(t, 10, report.Succeeded)
				require.EqualValues(t, 30, report.Outputs)
				require.Len(t, r.sink.All(), 30)
				require.Len(t, r.queue.Acked(), 10)
				require.Len(t, eventsOf[engine.Finished](r), 10)
				time.Sleep(time.Minute)
			})
		})
	}
}

// R007: the phase's own limits bound what is on its way to the sinks.
func TestProduceLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var g gauge
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.policy.Produce.Bulkhead.MaxConcurrency = 2
		r.policy.Produce.Retry.Timeout = dur(1500 * ms)
		r.sinkO.OnSend = func(ergon.Raw) error {
			g.enter()
			time.AfterFunc(time.Second-1, g.leave)
			return memory.Answer{After: time.Second}
		}
		r.push(names(8)...)
		report := r.run(t)
		require.EqualValues(t, 8, report.Succeeded)
		require.Equal(t, 2, g.peak())
		require.Equal(t, 4*time.Second, time.Since(began))
		require.Zero(t, report.Retries, "waiting spends no attempt, nor the time of one")
	})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.policy.Produce.RateLimit.Limit, r.policy.Produce.RateLimit.Per = 1, dur(time.Second)
		r.push(names(5)...)
		require.EqualValues(t, 5, r.run(t).Succeeded)
		require.Equal(t, 4*time.Second, time.Since(began))
	})
}

// A transaction that waits for produce's limits is bounded by its own time, as
// long as nothing of it was sent.
func TestTransactionTimeoutWhileWaitingToSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) { return tx.Payload(), nil }))
		r.policy.Produce.Bulkhead.MaxConcurrency = 1
		r.policy.Transaction.Timeout = dur(time.Second)
		r.sinkO.Delay = 5 * time.Second
		r.push("a", "b")
		report := r.run(t)
		require.EqualValues(t, 1, report.Succeeded)
		require.Zero(t, report.Retries)
		dead := r.onlyDead(t).Settlement
		require.ErrorContains(t, dead.Err, "the transaction exceeded its 1s")
		require.Zero(t, dead.Dead.Unknown, "it was never sent")
		require.Len(t, r.sink.All(), 1)
	})
}
