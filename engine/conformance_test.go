package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

// The tests of this file, of conformance_producer_test.go and of lifecycle_test.go
// fill in what docs/reference/conformance.md asks for and no other test shows.

// R082, R103: until empty, all of it is processed, whatever the batch and the mode.
func TestUntilEmptyProcessesAll(t *testing.T) {
	for _, mode := range []policy.Mode{policy.ModeContinuous, policy.ModeBatch} {
		for _, c := range []struct{ transactions, batch, concurrency int }{{5, 5, 4}, {10, 3, 4}, {3, 256, 4}, {7, 256, 2}, {2, 256, 4}, {0, 5, 4}} {
			synctest.Test(t, func(t *testing.T) {
				var g gauge
				r := sleeper(&g)
				r.policy.Loop.Mode, r.policy.Fetch.Batch.Size, r.policy.Loop.Concurrency = mode, c.batch, c.concurrency
				r.push(names(c.transactions)...)
				report := r.run(t)
				require.EqualValues(t, c.transactions, report.Succeeded, "%v %+v", mode, c)
				require.EqualValues(t, c.transactions, report.Started)
				require.Zero(t, r.queue.Counts().Len())
				require.LessOrEqual(t, g.peak(), c.concurrency)
			})
		}
	}
}

// R077, R104, decision e: a fetch asks for the batch size, or for less where fewer
// slots are free or the limit leaves fewer; what came is run as it came.
func TestFetchAsksForItsShare(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*policy.Consumer)
		asked  []int // of the first fetches
	}{
		"batch size":  {func(*policy.Consumer) {}, []int{5, 5}},
		"limit":       {func(p *policy.Consumer) { p.Loop.Limit = 7 }, []int{5, 2}},
		"free slots":  {func(p *policy.Consumer) { p.Loop.Concurrency, p.Loop.Prefetch, p.Fetch.Batch.Size = 2, 1, 256 }, []int{3}},
		"free window": {func(p *policy.Consumer) { p.Loop.Concurrency, p.Loop.Window = 4, 4 }, []int{4, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []int
				began := time.Now()
				var first history
				r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
					if time.Since(began) == 0 {
						first.add("%s", tx.ID())
					}
					time.Sleep(time.Second)
					return ergon.None{}, nil
				}))
				r.policy.Loop.Mode, r.policy.Loop.Concurrency, r.policy.Fetch.Batch.Size = policy.ModeBatch, 16, 5
				c.change(&r.policy)
				r.queueO.OnFetch = func(max int) error { asked = append(asked, max); return nil }
				r.push(names(10)...)
				r.run(t)
				require.Equal(t, c.asked, asked[:len(c.asked)])
				require.ElementsMatch(t, names(10)[:min(asked[0], r.policy.Loop.Concurrency)], first.all(), "the first ones, in the queue's order")
			})
		})
	}
}

// barren is a source that answers at once and has nothing.
type barren struct{ fetched func() }

func (b barren) Fetch(context.Context, int) ([]ergon.Delivery, error) { b.fetched(); return nil, nil }
func (b barren) Close(context.Context) error                          { return nil }

// R078, R096: an empty answer is no error. It ends a run that does not stream, at
// once; one that streams backs off by the number of empty answers in a row.
func TestEmptyAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		r := newRig(nothing())
		r.source = barren{func() { at = append(at, time.Since(began)) }}
		require.Zero(t, r.run(t).Fetched)
		require.Equal(t, []time.Duration{0}, at)

		at = nil
		r.policy.Loop.Streaming = true
		r.policy.Fetch.Empty = policy.Empty{Backoff: dur(time.Second), BackoffMultiplier: 2, BackoffCap: dur(5 * time.Second)}
		_, wait := r.start(t)
		time.Sleep(20 * time.Second)
		_, err := wait(true)
		require.NoError(t, err)
		require.Equal(t, []time.Duration{0, 1000 * ms, 3000 * ms, 7000 * ms, 12000 * ms, 17000 * ms}, at)
	})
}

// R082: streaming goes on when the queue is refilled while it runs or while it is
// idle, until the limit.
func TestStreamingGoesOnWhenRefilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var r *rig
		var calls atomic.Int32
		r = newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			switch n := calls.Add(1); {
			case n < 3:
				r.push(fmt.Sprintf("while-%d", n))
			case n == 3:
				time.AfterFunc(10*time.Second, func() { r.push("idle-1", "idle-2", "idle-3") })
			}
			return ergon.None{}, nil
		}))
		r.policy.Loop.Streaming, r.policy.Loop.Limit = true, 5
		r.push("first")
		report := r.run(t)
		require.EqualValues(t, 5, report.Succeeded)
		require.Equal(t, 10*time.Second, time.Since(began))
		synctest.Wait() // the third push may come after the end
		require.Equal(t, memory.Counts{Ready: 1}, r.queue.Counts())
	})
}

// R004, R070: each phase has three attempts, and each needs all of its own.
func TestEachPhaseSpendsItsOwnBudget(t *testing.T) {
	for name, good := range map[string]bool{"success": true, "exception": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				calls := map[string]int{}
				twice := func(what string) error {
					mu.Lock()
					defer mu.Unlock()
					if calls[what]++; calls[what] < 3 {
						return errors.New(what)
					}
					return nil
				}
				r := newRig(engine.Consume("score", &hooked[string, string]{
					process: func(context.Context, ergon.Transaction[string]) (string, error) { return "x", twice("process") },
					success: func(context.Context, ergon.Transaction[string], string) error {
						if err := twice("success"); err != nil || good {
							return err
						}
						return errors.New("the third time too")
					},
					exception: func(context.Context, ergon.Transaction[string], *ergon.Error) error { return twice("exception") },
				}))
				p := &r.policy
				three := policy.Retry{MaxAttempts: 3, Timeout: dur(time.Second), Backoff: dur(10 * ms), BackoffMultiplier: 1}
				p.Fetch.Retry, p.Process.Retry, p.Produce.Retry, p.Success.Retry, p.Exception.Retry = three, three, three, three, three
				p.Fetch.Retry.Timeout = 0
				r.queueO.OnFetch = func(int) error { return twice("fetch") }
				r.sinkO.OnSend = func(ergon.Raw) error { return twice("produce") }
				r.push("a")
				report := r.run(t)
				for _, what := range []string{"process", "produce", "success"} {
					require.Equal(t, 3, calls[what], what)
				}
				require.GreaterOrEqual(t, calls["fetch"], 3)
				if good {
					require.EqualValues(t, 1, report.Succeeded)
					require.Zero(t, calls["exception"])
					return
				}
				require.Equal(t, 3, calls["exception"])
				require.NoError(t, r.onlyDead(t).Settlement.Dead.HandlerErr)
			})
		})
	}
}

// seeing is a sink that shows the context of each send.
type seeing struct {
	ergon.Sink
	see func(context.Context)
}

func (s seeing) Send(ctx context.Context, tx ergon.Raw, done func(error)) {
	s.see(ctx)
	s.Sink.Send(ctx, tx, done)
}

// R017, R020, R042, R046, R099: every attempt of every phase has the values of
// Run's context and the same transaction: identity, time, flow, trace, metadata.
func TestEveryAttemptSharesOneContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		tx := ergon.New([]byte(`"in"`), ergon.WithID("a"), ergon.WithSource("shop"), ergon.WithCorrelationID("flow"), ergon.WithCausationID("cause"),
			ergon.WithType("placed"), ergon.WithKey("k"), ergon.WithMetadata("tenant", "7"), ergon.WithTrace(ergon.Trace{Parent: "p", State: "s", Baggage: "b"}))
		var seen []string
		note := func(ctx context.Context, got ergon.Envelope) {
			require.Equal(t, "value", ctx.Value(key{}))
			require.Equal(t, tx.Envelope(), got)
			x := ergon.ExecutionOf(ctx)
			require.Equal(t, "a", x.TransactionID)
			seen = append(seen, fmt.Sprintf("%s %d", x.Phase, x.Attempt))
		}
		failing := errors.New("again")
		sends := 0
		sink := memory.NewSink(memory.SinkOptions{OnSend: func(ergon.Raw) error {
			if sends++; sends == 1 {
				return failing
			}
			return nil
		}})
		queue := memory.NewQueue(memory.QueueOptions{})
		queue.Push(tx)
		e, err := engine.New(engine.Config{
			Task: engine.Consume("score", &hooked[string, string]{
				process: func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
					if note(ctx, tx.Envelope()); ergon.ExecutionOf(ctx).Attempt == 1 {
						return "", failing
					}
					return "out", nil
				},
				success: func(ctx context.Context, tx ergon.Transaction[string], _ string) error {
					note(ctx, tx.Envelope())
					return failing
				},
				exception: func(ctx context.Context, tx ergon.Transaction[string], _ *ergon.Error) error {
					note(ctx, tx.Envelope())
					return failing
				},
			}),
			Source: queue.Source(), Policy: newRig(nothing()).policy,
			Sinks: map[string]ergon.Sink{"out": seeing{sink, func(ctx context.Context) { note(ctx, tx.Envelope()) }}},
		})
		require.NoError(t, err)
		_, err = e.Run(context.WithValue(t.Context(), key{}, "value"))
		require.NoError(t, err)
		require.Equal(t, []string{
			"process 1", "process 2", "produce 1", "produce 2", "success 1", "success 2", "success 3", "exception 1", "exception 2", "exception 3",
		}, seen)
		require.Equal(t, tx.Envelope(), queue.DeadLetters()[0].Transaction.Envelope())
	})
}

// R040: the counters that a task sees are a copy; what it writes there changes
// neither its retries nor what its next attempt, its hook or anybody else is told.
func TestAttemptCountIsTheEngines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		note := func(ctx context.Context) error {
			x := ergon.ExecutionOf(ctx)
			seen = append(seen, fmt.Sprintf("%s %s %d/%d", x.TransactionID, x.Phase, x.Attempt, x.MaxAttempts))
			x.TransactionID, x.Phase, x.Attempt, x.MaxAttempts, x.Deadline = "b", ergon.PhaseDecode, 99, 1, time.Time{}
			return errors.New("again")
		}
		r := newRig(engine.Consume("score", &hooked[string, ergon.None]{
			process: func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
				return ergon.None{}, note(ctx)
			},
			exception: func(ctx context.Context, _ ergon.Transaction[string], exc *ergon.Error) error {
				require.Equal(t, 4, exc.Attempt)
				return note(ctx)
			},
		}))
		r.push("a")
		r.run(t)
		require.Equal(t, []string{
			"a process 1/4", "a process 2/4", "a process 3/4", "a process 4/4", "a exception 1/3", "a exception 2/3", "a exception 3/3",
		}, seen)
	})
}

// R081, R098, decision f: the transaction's time begins when it runs. What waits
// in the queue spends none of it, and neither does the transaction before.
func TestTransactionTimeBeginsWithTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var g gauge
		r := sleeper(&g)
		r.policy.Loop.Concurrency = 1
		r.policy.Transaction.Timeout, r.policy.Process.Retry.Timeout = dur(1500*ms), dur(1500*ms)
		r.push(names(5)...)
		report := r.run(t)
		require.EqualValues(t, 5, report.Succeeded)
		require.Zero(t, report.Retries)
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

// R094, R098, decision f: the exception hook of a transaction whose time is over has
// its own time, at each of its own attempts.
func TestExceptionHookHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		r := newRig(engine.Consume("score", &hooked[string, ergon.None]{
			process: func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
				return ergon.None{}, hang(ctx)
			},
			exception: func(ctx context.Context, _ ergon.Transaction[string], exc *ergon.Error) error {
				require.NoError(t, ctx.Err())
				require.ErrorContains(t, exc, "the transaction exceeded its 1s")
				if at = append(at, time.Since(began)); len(at) < 3 {
					return hang(ctx)
				}
				return nil
			},
		}))
		r.policy.Transaction.Timeout = dur(time.Second)
		r.policy.Exception.Retry = policy.Retry{MaxAttempts: 3, Timeout: dur(2 * time.Second), Backoff: dur(100 * ms), BackoffMultiplier: 1}
		r.push("a")
		require.EqualValues(t, 1, r.run(t).Dead)
		require.Equal(t, []time.Duration{1000 * ms, 3100 * ms, 5200 * ms}, at)
		require.NoError(t, r.onlyDead(t).Settlement.Dead.HandlerErr)
	})
}

// R071, R110, R129: an engine leaves the policy that it was given as it is.
func TestEngineLeavesThePolicyAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := failing(errors.New("x"))
		r.policy.Fetch.Extra = map[string]any{"list": []any{"a", map[string]any{"b": 1.5}}}
		before := r.policy.Clone()
		r.push("a")
		r.run(t)
		require.Equal(t, before, r.policy)

		p := newProducing()
		p.policy.Fetch.Extra = map[string]any{"a": "b"}
		kept := p.policy.Clone()
		_, err := p.run(t.Context(), &maker[int, string]{produce: spell}, counted(3))
		require.NoError(t, err)
		require.Equal(t, kept, p.policy)
	})
}

// R087: two engines of one policy share nothing but its values: what one of them
// used up of a limit the other still has.
func TestEnginesOfOnePolicyShareNoState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		first := newRig(nothing())
		first.policy.Process.RateLimit = policy.RateLimit{Limit: 1, Per: dur(time.Hour)}
		first.push("a")
		second := newRig(nothing())
		second.policy = first.policy
		second.push("a")
		require.EqualValues(t, 1, first.run(t).Succeeded)
		require.EqualValues(t, 1, second.run(t).Succeeded)
		require.Zero(t, time.Since(began))
	})
}

// ledger is a part with both hooks, for any task of its types to embed.
type ledger struct{ lines *history }

func (a ledger) HandleSuccess(_ context.Context, tx ergon.Transaction[order], out scored) error {
	a.lines.add("%s scored %d", tx.ID(), out.Score)
	return nil
}

func (a ledger) HandleException(_ context.Context, tx ergon.Transaction[order], exc *ergon.Error) error {
	a.lines.add("%s %s", tx.ID(), exc.Category)
	return nil
}

type pricing struct{}

func (pricing) Process(_ context.Context, tx ergon.Transaction[order]) (scored, error) {
	if tx.Payload().SKU == "" {
		return scored{}, ergon.Business("no SKU")
	}
	return scored{SKU: tx.Payload().SKU, Score: 7}, nil
}

// R058, R067: a task is composed of parts by embedding, and none of them changes.
func TestHooksComposeByEmbedding(t *testing.T) {
	var h history
	r := newRig(engine.Consume("score", struct {
		pricing
		ledger
	}{ledger: ledger{&h}}))
	r.make()
	r.queue.Push(raw("good", `{"sku":"x"}`), raw("bad", `{}`))
	r.run(t)
	require.ElementsMatch(t, []string{"good scored 7", "bad BUSINESS"}, h.all())

	alone := newRig(engine.Consume("score", pricing{}))
	alone.make()
	alone.queue.Push(raw("good", `{"sku":"x"}`), raw("bad", `{}`))
	require.EqualValues(t, 1, alone.run(t).Succeeded, "the hooks are optional")
}

// mute is an error that says nothing.
type mute struct{}

func (mute) Error() string { return "" }

// R044: an error without a text is named by its type wherever it is shown, and
// stays the cause.
func TestErrorWithoutATextIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(engine.Consume("score", &hooked[string, ergon.None]{
			process: func(context.Context, ergon.Transaction[string]) (ergon.None, error) { return ergon.None{}, nil },
			success: func(context.Context, ergon.Transaction[string], ergon.None) error { return mute{} },
		}))
		r.push("a")
		r.run(t)
		err := r.onlyDead(t).Settlement.Err
		require.Equal(t, "SYSTEM in success: engine_test.mute", err.Error())
		require.ErrorIs(t, err, mute{})
	})
}
