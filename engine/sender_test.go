package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// gate is a sink whose Send blocks until it is opened or its context ends, as one may
// whose buffers are full.
type gate struct {
	open    chan struct{}
	entered atomic.Int32
	stored  atomic.Int32
}

func (g *gate) Send(ctx context.Context, _ ergon.Raw, done func(error)) {
	g.entered.Add(1)
	select {
	case <-g.open:
		g.stored.Add(1)
		done(nil)
	case <-ctx.Done():
		done(context.Cause(ctx))
	}
}

func (g *gate) Close(context.Context) error { return nil }

// gated is a rig with one slot whose task takes 1 ms, which is long, and whose sink
// is the gate.
func gated(g *gate, begun *atomic.Int32, window int) *rig {
	r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) {
		begun.Add(1)
		time.Sleep(ms)
		return "x", nil
	}))
	r.policy.Loop.Concurrency, r.policy.Loop.Window = 1, window
	r.policy.Produce.Retry.Timeout = 0
	r.routes = g
	r.push(names(12)...)
	return r
}

// The slot of a long attempt is free while its output is being sent: the next attempt
// begins while the first Send has not returned. The window bounds how far that goes.
func TestASlotIsFreeWhileItsOutputsAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = 5
		g := &gate{open: make(chan struct{})}
		var begun atomic.Int32
		e, wait := gated(g, &begun, window).start(t)
		time.Sleep(time.Second)
		synctest.Wait()
		require.EqualValues(t, 1, g.entered.Load(), "as many senders as slots")
		require.EqualValues(t, window, begun.Load())
		require.Equal(t, window, e.Snapshot().Held)
		require.Zero(t, e.Snapshot().Running)
		close(g.open)
		report, err := wait(false)
		require.NoError(t, err)
		require.EqualValues(t, 12, report.Succeeded)
		require.EqualValues(t, 12, report.Outputs)
		require.EqualValues(t, 12, g.stored.Load())
	})
}

// A stop finishes what waits for a sender as it finishes what runs.
func TestStopFinishesWhatWaitsForASender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		var begun atomic.Int32
		r := gated(g, &begun, 5)
		r.policy.Loop.Streaming, r.policy.Shutdown.Grace = true, dur(10*time.Second)
		_, wait := r.start(t)
		time.Sleep(time.Second)
		time.AfterFunc(time.Second, func() { close(g.open) })
		report, err := wait(true)
		require.NoError(t, err)
		require.EqualValues(t, 5, report.Succeeded)
		require.Zero(t, report.Abandoned)
		require.Equal(t, report.Fetched, report.Succeeded+report.Released)
		require.Equal(t, 7, r.queue.Counts().Len())
	})
}

// Past the grace, what a sink that takes nothing holds up is given back, and so is
// what waits behind it: nothing is left to its lease.
func TestStopGivesBackWhatWaitsForASender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		var begun atomic.Int32
		r := gated(g, &begun, 5)
		r.policy.Loop.Streaming, r.policy.Shutdown.Grace = true, dur(time.Second)
		_, wait := r.start(t)
		time.Sleep(time.Second)
		began := time.Now()
		report, err := wait(true)
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(began), engine.StopTime(r.policy.Shutdown))
		require.Zero(t, report.Succeeded)
		require.Zero(t, report.Dead)
		require.Zero(t, report.Abandoned)
		require.Equal(t, report.Fetched, report.Released)
		time.Sleep(time.Second)
		require.Equal(t, 12, r.queue.Counts().Ready)
	})
}

// slowSink keeps the order in which it was given outputs. Taking one whose payload says
// long takes a while.
type slowSink struct{ got history }

func (s *slowSink) Send(_ context.Context, tx ergon.Raw, done func(error)) {
	if strings.Contains(string(tx.Payload()), "long") {
		time.Sleep(10 * ms)
	}
	s.got.add("%s", tx.CausationID())
	done(nil)
}

func (s *slowSink) Close(context.Context) error { return nil }

// One slot is in order: what a short attempt sends does not overtake what a long one
// before it left to the sender.
func TestOneSlotSendsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &slowSink{}
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
			if strings.HasPrefix(tx.ID(), "long") {
				time.Sleep(ms)
			}
			return tx.ID(), nil
		}))
		r.policy.Loop.Concurrency, r.routes = 1, sink
		var ids []string
		for i := range 60 {
			ids = append(ids, fmt.Sprintf("%s-%d", [...]string{"long", "short", "short", "long", "long", "short"}[i%6], i))
		}
		r.push(ids...)
		require.EqualValues(t, len(ids), r.run(t).Succeeded)
		require.Equal(t, ids, sink.got.all())
	})
}
