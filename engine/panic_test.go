package engine_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// A panic of one transaction is SYSTEM, with its stack, and touches no other.
func TestPanicOfATaskIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
			if tx.ID() == "bad" {
				attempts++
				panic(errors.New("index out of range"))
			}
			return "fine", nil
		}))
		r.push("bad", "good")
		report := r.run(t)
		require.EqualValues(t, 1, report.Succeeded)
		require.Equal(t, 4, attempts, "SYSTEM is retried")
		err := r.onlyDead(t).Settlement.Err
		require.Equal(t, ergon.CategorySystem, err.Category)
		require.ErrorContains(t, err, "panic: index out of range")
		var p *ergon.PanicError
		require.ErrorAs(t, err, &p)
		require.Contains(t, string(p.Stack), "panic_test.go")
	})
}

func TestPanicOfAHookIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(engine.Consume("score", &hooked[string, ergon.None]{
			process:   func(context.Context, ergon.Transaction[string]) (ergon.None, error) { return ergon.None{}, nil },
			success:   func(context.Context, ergon.Transaction[string], ergon.None) error { panic("success") },
			exception: func(context.Context, ergon.Transaction[string], *ergon.Error) error { panic("exception") },
		}))
		r.push("a")
		r.run(t)
		dead := r.onlyDead(t).Settlement
		require.ErrorContains(t, dead.Err, "panic: success")
		require.Equal(t, ergon.PhaseSuccess, dead.Err.Phase)
		require.ErrorContains(t, dead.Dead.HandlerErr, "panic: exception")
	})
}

// A sink that panics did not take the output, as far as anybody knows: it is sent
// again. A source's settlement and extension likewise.
func TestPanicsOfConnectorsAreContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := map[string]int{}
		var mu sync.Mutex
		once := func(what string) error {
			mu.Lock()
			defer mu.Unlock()
			if calls[what]++; calls[what] == 1 {
				panic(what)
			}
			return nil
		}
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.queueO.OnFetch = func(int) error { return once("fetch") }
		r.queueO.OnSettle = func(memory.Settled) error { return once("settle") }
		r.sinkO.OnSend = func(ergon.Raw) error { return once("send") }
		r.push("a")
		report := r.run(t)
		require.EqualValues(t, 1, report.Succeeded)
		require.Len(t, r.sink.All(), 1)
		require.Len(t, r.queue.Acked(), 1)
		require.Equal(t, 2, calls["send"])
		require.Equal(t, 2, calls["settle"])
		var p *ergon.PanicError
		require.ErrorAs(t, eventsOf[engine.FetchFailed](r)[0].Err, &p)
		require.ErrorAs(t, eventsOf[engine.SettleFailed](r)[0].Err, &p)
	})
}

// runtime.Goexit, which a test's FailNow calls, ends the worker's goroutine: the
// attempt fails, and another worker takes the place.
func TestGoexitOfATaskIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			if tx.ID() == "bad" {
				runtime.Goexit()
			}
			return ergon.None{}, nil
		}))
		r.policy.Loop.Concurrency = 1
		r.policy.Process.Bulkhead.MaxConcurrency = 1
		r.push("bad", "good", "better")
		report := r.run(t)
		require.EqualValues(t, 2, report.Succeeded)
		require.ErrorContains(t, r.onlyDead(t).Settlement.Err, "ended its goroutine")
	})
}

// closing is a source or sink whose Close does something.
type closing struct {
	ergon.Source
	close func() error
}

func (c closing) Close(context.Context) error { return c.close() }

// plainSink is a sink that can't be a map's key.
type plainSink struct {
	ergon.Sink
	closed []*int
}

func (s plainSink) Close(context.Context) error { *s.closed[0]++; return nil }

// Close errors are the run's, by name, and the others are closed all the same.
func TestCloseFaultsAreReported(t *testing.T) {
	bad := errors.New("bad")
	for name, close := range map[string]func() error{
		"error": func() error { return bad },
		"panic": func() error { panic(bad) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(outputs())
			r.make()
			closed := 0
			sink := plainSink{memory.NewSink(memory.SinkOptions{}), []*int{&closed}}
			e, err := engine.New(engine.Config{
				Task: r.task, Policy: r.policy, Source: closing{r.queue.Source(), close},
				Sinks: map[string]ergon.Sink{"a": sink, "b": memory.NewSink(memory.SinkOptions{})},
			})
			require.NoError(t, err)
			_, err = e.Run(t.Context())
			require.ErrorIs(t, err, bad)
			require.ErrorContains(t, err, `task "split": close source`)
			require.Equal(t, 1, closed)
		})
	}
}
