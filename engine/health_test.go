package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
)

// ailing is a source that says how it is.
type ailing struct {
	ergon.Source
	health atomic.Pointer[string]
	seen   time.Time // when its lag was
}

func (a *ailing) Health() error {
	if why := a.health.Load(); why != nil {
		return errors.New(*why)
	}
	return nil
}

func (a *ailing) Lag() ergon.Lag { return ergon.Lag{Pending: 7, InFlight: 2, Parked: 1, At: a.seen} }

func healthEvents(r *rig) (texts []string) {
	for _, ev := range eventsOf[engine.HealthChanged](r) {
		text := "ready"
		if ev.Err != nil {
			text = ev.Err.Error()
		}
		texts = append(texts, text)
	}
	return texts
}

// What a source reports is in the engine's health, and a change of it is an event.
func TestHealthIsWhatTheSourceReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) { return ergon.None{}, nil }))
		r.policy.Loop.Streaming = true
		r.make()
		source := &ailing{Source: r.queue.Source(), seen: time.Now()}
		r.source = source
		e, wait := r.start(t)
		time.Sleep(2 * time.Second)
		require.NoError(t, e.Health())
		require.Empty(t, e.Snapshot().Unready)
		require.EqualValues(t, 7, e.Snapshot().Lag.Pending)
		why := "the consumer is paused"
		source.health.Store(&why)
		time.Sleep(2 * time.Second)
		time.Sleep(time.Minute)
		require.Zero(t, e.Snapshot().Lag, "nobody knows any more")
		require.EqualError(t, e.Health(), "the consumer is paused")
		require.Equal(t, "the consumer is paused", e.Snapshot().Unready)
		source.health.Store(nil)
		time.Sleep(2 * time.Second)
		_, err := wait(true)
		require.NoError(t, err)
		require.Equal(t, []string{"the consumer is paused", "ready"}, healthEvents(r))
	})
}

// A dead letter that can't be stored keeps its transaction and makes the engine
// unready, until it is stored.
func TestUnreadyWhileADeadLetterCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		full.Store(true)
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			return ergon.None{}, ergon.Business("no")
		}))
		r.policy.Loop.Streaming = true
		r.queueO.OnSettle = func(memory.Settled) error {
			if full.Load() {
				return errors.New("the dead-letter stream is full")
			}
			return nil
		}
		r.push("a", "b")
		e, wait := r.start(t)
		time.Sleep(10 * time.Second)
		require.ErrorContains(t, e.Health(), "dead letters can't be stored")
		require.ErrorContains(t, e.Health(), "the dead-letter stream is full")
		full.Store(false)
		time.Sleep(time.Minute)
		require.NoError(t, e.Health())
		report, err := wait(true)
		require.NoError(t, err)
		require.EqualValues(t, 2, report.Dead)
		require.Len(t, healthEvents(r), 2)
	})
}

// A fetch that is tried again makes the engine unready as long as it fails.
func TestUnreadyWhileFetchingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := 3
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) { return ergon.None{}, nil }))
		r.policy.Fetch.Retry.Backoff, r.policy.Fetch.Retry.BackoffMultiplier = dur(time.Second), 1
		r.queueO.OnFetch = func(int) error {
			if failures--; failures >= 0 {
				return errors.New("no answer")
			}
			return nil
		}
		r.push("a")
		e, wait := r.start(t)
		time.Sleep(1500 * time.Millisecond)
		require.EqualError(t, e.Health(), "fetch fails: no answer")
		_, err := wait(false)
		require.NoError(t, err)
		require.NoError(t, e.Health())
	})
}

// Whether an acknowledgement is to be confirmed is the policy's word.
func TestConfirmAckIsAskedOfTheSource(t *testing.T) {
	for _, confirm := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) { return ergon.None{}, nil }))
			r.policy.Transaction.ConfirmAck = confirm
			var asked []bool
			r.queueO.OnSettle = func(s memory.Settled) error {
				asked = append(asked, s.Settlement.Confirm)
				return nil
			}
			r.push("a")
			r.run(t)
			require.Equal(t, []bool{confirm}, asked)
		})
	}
}
