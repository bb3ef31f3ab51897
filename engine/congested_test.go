package engine_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
)

// blockedSink has no room for as long as it is held.
type blockedSink struct {
	most gauge
	held chan struct{}
}

func (s *blockedSink) Send(_ context.Context, _ ergon.Raw, done func(error)) {
	s.most.enter()
	<-s.held
	s.most.leave()
	done(nil)
}

func (s *blockedSink) Close(context.Context) error { return nil }

// asyncSink says that its calls wait for the same thing.
type asyncSink struct{ *blockedSink }

func (asyncSink) Async() {}

// Where a sink has no room, a few goroutines wait for it and not one for each slot;
// unless it never said that its calls wait for the same thing.
func TestFewWaitForASinkWithoutRoom(t *testing.T) {
	const slots = 64
	cores := runtime.GOMAXPROCS(0)
	for name, c := range map[string]struct {
		sink        func(*blockedSink) ergon.Sink
		least, most int
	}{
		"asynchronous": {func(s *blockedSink) ergon.Sink { return asyncSink{s} }, 1, 2 * cores},
		"plain":        {func(s *blockedSink) ergon.Sink { return s }, slots, slots},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				open := make(chan struct{})
				close(open)
				sink := &blockedSink{held: open}
				r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) { return tx.ID(), nil }))
				r.policy.Loop.Streaming, r.policy.Loop.Concurrency, r.policy.Produce.Retry.Timeout = true, slots, 0
				r.routes = c.sink(sink)
				r.push(someNames("short", 1000)...)
				e, wait := r.start(t)
				synctest.Wait()
				require.EqualValues(t, 1000, e.Snapshot().Succeeded)

				sink.most, sink.held = gauge{}, make(chan struct{})
				r.push(someNames("blocked", 1000)...)
				time.Sleep(100 * ms)
				require.GreaterOrEqual(t, sink.most.peak(), c.least)
				require.LessOrEqual(t, sink.most.peak(), c.most)
				close(sink.held)
				synctest.Wait()
				report, err := wait(true)
				require.NoError(t, err)
				require.EqualValues(t, 2000, report.Succeeded)
			})
		})
	}
}
