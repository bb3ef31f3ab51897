package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
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

// maker is a producer with both hooks; a nil one does nothing.
type maker[In, Out any] struct {
	produce   func(context.Context, ergon.Transaction[In]) (Out, error)
	success   func(context.Context, ergon.Transaction[In], Out) error
	exception func(context.Context, ergon.Transaction[In], *ergon.Error) error
}

func (m *maker[In, Out]) Produce(ctx context.Context, tx ergon.Transaction[In]) (Out, error) {
	return m.produce(ctx, tx)
}

func (m *maker[In, Out]) HandleSuccess(ctx context.Context, tx ergon.Transaction[In], out Out) error {
	if m.success == nil {
		return nil
	}
	return m.success(ctx, tx, out)
}

func (m *maker[In, Out]) HandleException(ctx context.Context, tx ergon.Transaction[In], exc *ergon.Error) error {
	if m.exception == nil {
		return nil
	}
	return m.exception(ctx, tx, exc)
}

// producing is a run of a producer over a sequence.
type producing struct {
	policy policy.Producer
	sinkO  memory.SinkOptions
	sink   *memory.Sink
	events recorder
}

func newProducing() *producing {
	p := policy.DefaultProducer()
	p.Loop.Concurrency = 3
	p.Produce.Retry = policy.Retry{MaxAttempts: 3, Timeout: dur(10 * time.Second), Backoff: dur(100 * time.Millisecond), BackoffMultiplier: 2}
	p.Success.Retry, p.Exception.Retry = p.Produce.Retry, p.Produce.Retry
	return &producing{policy: p}
}

func (p *producing) run(ctx context.Context, m *maker[int, string], seq iter.Seq[ergon.Transaction[int]]) (engine.SeqReport, error) {
	p.sink = memory.NewSink(p.sinkO)
	return engine.RunSeq(ctx, engine.Config{
		Task: engine.Produce("make", m), Producer: p.policy, App: "test",
		Sinks: map[string]ergon.Sink{"out": p.sink}, Observe: p.events.observe,
	}, seq)
}

// counted yields n transactions with the IDs "0", "1", …
func counted(n int) iter.Seq[ergon.Transaction[int]] {
	return func(yield func(ergon.Transaction[int]) bool) {
		for i := range n {
			if !yield(ergon.New(i, ergon.WithID(fmt.Sprint(i)), ergon.WithSource("seq"))) {
				return
			}
		}
	}
}

func spell(_ context.Context, tx ergon.Transaction[int]) (string, error) {
	return fmt.Sprintf("n%d", tx.Payload()), nil
}

// R113, R126: all of the sequence is produced, and the report says of each.
func TestSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProducing()
		p.policy.Batch.Size = 3
		report, err := p.run(t.Context(), &maker[int, string]{produce: spell}, counted(10))
		require.NoError(t, err)
		require.EqualValues(t, 10, report.Succeeded)
		require.Len(t, p.sink.All(), 10)
		for i, r := range report.Results {
			require.Equal(t, engine.Result{ID: fmt.Sprint(i), Outcome: engine.Succeeded}, r)
		}
		out := p.sink.All()[0]
		require.Equal(t, "/ergon/test/make", out.Source())
		require.NotEmpty(t, out.CausationID())
	})
}

func TestEmptySequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProducing()
		report, err := p.run(t.Context(), &maker[int, string]{produce: spell}, counted(0))
		require.NoError(t, err)
		require.Zero(t, report.Started)
		require.Empty(t, report.Results)
	})
}

// R116: the outcome table of process holds for produce, and an attempt is the code
// and its sends.
func TestProduceOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProducing()
		var sends atomic.Int64
		p.sinkO.OnSend = func(ergon.Raw) error {
			if sends.Add(1) == 1 {
				return errors.New("the first send fails")
			}
			return nil
		}
		p.policy.Loop.Concurrency, p.policy.Batch.Size = 1, 1
		calls := map[int]int{}
		var handled []string
		report, err := p.run(t.Context(), &maker[int, string]{
			produce: func(ctx context.Context, tx ergon.Transaction[int]) (string, error) {
				n := tx.Payload()
				calls[n]++
				x := ergon.ExecutionOf(ctx)
				if x.Phase != ergon.PhaseProduce || x.Attempt != calls[n] || x.MaxAttempts != 3 {
					return "", ergon.Business("facts: %+v", x.Phase)
				}
				switch n {
				case 1:
					return "", ergon.Business("never")
				case 2:
					return "", errors.New("always")
				case 3:
					panic("boom")
				case 4:
					<-ctx.Done()
				}
				return spell(ctx, tx)
			},
			exception: func(_ context.Context, tx ergon.Transaction[int], exc *ergon.Error) error {
				handled = append(handled, fmt.Sprintf("%d %s %s %d", tx.Payload(), exc.Category, exc.Phase, exc.Attempt))
				return nil
			},
		}, counted(5))
		require.NoError(t, err)
		require.Equal(t, map[int]int{0: 2, 1: 1, 2: 3, 3: 3, 4: 3}, calls, "a failed send runs the code again; BUSINESS does not")
		require.Equal(t, []string{"1 BUSINESS produce 1", "2 SYSTEM produce 3", "3 SYSTEM produce 3", "4 TIMEOUT produce 3"}, handled)
		require.EqualValues(t, 1, report.Succeeded)
		require.EqualValues(t, 4, report.Dead)
		require.Equal(t, engine.Succeeded, report.Results[0].Outcome)
		require.ErrorContains(t, report.Results[1].Err, "never")
		require.Len(t, p.sink.All(), 1)
	})
}

// R117, R118: a success hook that fails leads to the exception hook, whose own
// failure is the end.
func TestProduceHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProducing()
		hook := errors.New("hook")
		var success, exception atomic.Int64
		report, err := p.run(t.Context(), &maker[int, string]{
			produce: spell,
			success: func(_ context.Context, _ ergon.Transaction[int], out string) error {
				success.Add(1)
				if out != "n0" {
					return errors.New("wrong result")
				}
				return hook
			},
			exception: func(context.Context, ergon.Transaction[int], *ergon.Error) error { exception.Add(1); return hook },
		}, counted(1))
		require.NoError(t, err)
		require.EqualValues(t, 3, success.Load())
		require.EqualValues(t, 3, exception.Load())
		r := report.Results[0]
		require.Equal(t, engine.Dead, r.Outcome)
		require.Equal(t, ergon.PhaseSuccess, r.Err.Phase)
		require.ErrorIs(t, r.Err, hook)
		require.ErrorIs(t, r.HandlerErr, hook)
	})
}

// R114, R119, R120: chunks one after the other, bounded inside, and nothing is
// pulled that there is no room for.
func TestChunksAndBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProducing()
		p.policy.Batch.Size = 6
		var g gauge
		pulled, most := 0, 0
		var done atomic.Int64
		seq := func(yield func(ergon.Transaction[int]) bool) {
			for tx := range counted(30) {
				pulled++
				most = max(most, pulled-int(done.Load()))
				if !yield(tx) {
					return
				}
			}
		}
		report, err := p.run(t.Context(), &maker[int, string]{produce: func(ctx context.Context, tx ergon.Transaction[int]) (string, error) {
			g.enter()
			defer g.leave()
			time.Sleep(time.Second) // virtual
			defer done.Add(1)
			return spell(ctx, tx)
		}}, seq)
		require.NoError(t, err)
		require.EqualValues(t, 30, report.Succeeded)
		require.Equal(t, 3, g.peak())
		require.LessOrEqual(t, most, 6)
	})
}

// R126, R128: the limit is exact, and a stop releases what is not done.
func TestSequenceLimitAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProducing()
		p.policy.Loop.Limit = 5
		report, err := p.run(t.Context(), &maker[int, string]{produce: spell}, counted(20))
		require.NoError(t, err)
		require.EqualValues(t, 5, report.Succeeded)
		require.Len(t, report.Results, 5, "no more is taken than is run")

		p = newProducing()
		p.policy.Loop.Timeout = dur(300 * time.Millisecond)
		report, err = p.run(t.Context(), &maker[int, string]{produce: func(ctx context.Context, _ ergon.Transaction[int]) (string, error) {
			<-ctx.Done()
			return "", context.Cause(ctx)
		}}, counted(4))
		require.ErrorIs(t, err, engine.ErrLoopTimeout)
		require.Zero(t, report.Abandoned)
		for _, r := range report.Results {
			require.Equal(t, engine.Released, r.Outcome, r.ID)
		}
	})
}

// What the caller's sequence does wrong is said, and loses nothing that came
// before.
func TestSequenceFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProducing()
		report, err := p.run(t.Context(), &maker[int, string]{produce: spell}, func(yield func(ergon.Transaction[int]) bool) {
			yield(ergon.New(1))
			panic("the sequence broke")
		})
		require.ErrorContains(t, err, "the sequence broke")
		require.EqualValues(t, 1, report.Succeeded)

		p = newProducing()
		report, err = p.run(t.Context(), &maker[int, string]{produce: spell}, func(yield func(ergon.Transaction[int]) bool) {
			_ = yield(ergon.New(1)) && yield(ergon.Transaction[int]{})
		})
		require.ErrorContains(t, err, "transaction 2 has no ID")
		require.EqualValues(t, 1, report.Succeeded)

		_, err = engine.RunSeq(t.Context(), engine.Config{Task: engine.Produce("make", &maker[int, string]{}), Source: memory.NewQueue(memory.QueueOptions{}).Source()}, counted(1))
		require.ErrorContains(t, err, "leave Source nil")
		_, err = engine.RunSeq(t.Context(), engine.Config{Task: engine.Produce("make", &maker[int, string]{})}, counted(1))
		require.ErrorContains(t, err, "its policy")
	})
}

// An attempt cannot change what the caller or the next attempt sees.
func TestSequencePayloadsAreCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		payload := map[string]int{"n": 1}
		attempts := 0
		p := policy.DefaultProducer()
		report, err := engine.RunSeq(t.Context(), engine.Config{
			Task: engine.Produce("make", &maker[map[string]int, ergon.None]{
				produce: func(_ context.Context, tx ergon.Transaction[map[string]int]) (ergon.None, error) {
					attempts++
					n := tx.Payload()["n"]
					tx.Payload()["n"] = 99
					if attempts == 1 {
						return ergon.None{}, errors.New("again")
					}
					if n != 1 {
						return ergon.None{}, ergon.Business("saw %d", n)
					}
					return ergon.None{}, nil
				},
			}), Producer: p,
		}, func(yield func(ergon.Transaction[map[string]int]) bool) { yield(ergon.New(payload)) })
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Succeeded)
		require.Equal(t, 1, payload["n"])
	})
}

// A producer task with a source: decode, produce, settle.
func TestProducerWithASource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue, sink := memory.NewQueue(memory.QueueOptions{}), memory.NewSink(memory.SinkOptions{})
		queue.Push(raw("a", "1"), raw("b", `"not a number"`))
		e, err := engine.New(engine.Config{
			Task: engine.Produce("make", &maker[int, string]{produce: spell}), Producer: policy.DefaultProducer(),
			Source: queue.Source(), Sinks: map[string]ergon.Sink{"out": sink},
		})
		require.NoError(t, err)
		report, err := e.Run(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Succeeded)
		require.Len(t, sink.All(), 1)
		dead := queue.DeadLetters()
		require.Len(t, dead, 1)
		require.Equal(t, ergon.PhaseDecode, dead[0].Settlement.Err.Phase)
	})
}

// The permits of the produce phase cover the code and its sends.
func TestProducerBulkhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProducing()
		p.policy.Produce.Bulkhead.MaxConcurrency = 2
		p.sinkO.Delay = time.Second
		var g gauge
		p.sinkO.OnSend = func(ergon.Raw) error { g.enter(); return nil }
		p.events.also = func(ev engine.Event) {
			if a, ok := ev.(engine.AttemptEnded); ok && a.Phase == ergon.PhaseProduce {
				g.leave()
			}
		}
		report, err := p.run(t.Context(), &maker[int, string]{produce: spell}, counted(8))
		require.NoError(t, err)
		require.EqualValues(t, 8, report.Succeeded)
		require.LessOrEqual(t, g.peak(), 3)
	})
}

// A sequence ends, also for a policy that streams, and bytes in it are what stands on the
// wire.
func TestSequenceForAConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seq := slices.Values([]ergon.Raw{
			ergon.New([]byte("1")), ergon.New([]byte("{")), ergon.New([]byte("1"), ergon.WithContentType("text/plain")),
		})
		report, err := engine.RunSeq(t.Context(), engine.Config{
			Task: engine.Consume("take", taker{}), Policy: policy.DefaultConsumer(),
		}, seq)
		require.NoError(t, err)
		require.Equal(t, engine.Succeeded, report.Results[0].Outcome)
		require.ErrorContains(t, report.Results[1].Err, "unexpected end of JSON input")
		require.ErrorContains(t, report.Results[2].Err, "text/plain")
	})
}

type taker struct{}

func (taker) Process(context.Context, ergon.Transaction[int]) (ergon.None, error) {
	return ergon.None{}, nil
}

// What an attempt returned is void once its sends have failed: the next one's outputs
// are all sent, whatever was confirmed before.
func TestProducerAttemptsSendTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := memory.NewSink(memory.SinkOptions{OnSend: func() func(ergon.Raw) error {
			sends := 0
			return func(ergon.Raw) error {
				if sends++; sends == 2 {
					return errors.New("again")
				}
				return nil
			}
		}()})
		task := engine.Produce("make", &maker[int, ergon.Outputs]{produce: func(ctx context.Context, _ ergon.Transaction[int]) (ergon.Outputs, error) {
			n := ergon.ExecutionOf(ctx).Attempt
			return ergon.Outputs{ergon.To("a", n), ergon.To("a", 10*n)}, nil
		}}, engine.Routes("a"))
		report, err := engine.RunSeq(t.Context(), engine.Config{
			Task: task, Producer: newProducing().policy, Sinks: map[string]ergon.Sink{"a": sink},
		}, counted(1))
		require.NoError(t, err)
		require.EqualValues(t, 2, report.Outputs, "of the second attempt")
		var payloads []string
		for _, tx := range sink.All() {
			payloads = append(payloads, string(tx.Payload()))
		}
		require.Equal(t, []string{"1", "2", "20"}, payloads)
	})
}

// R121: the sends of a producer's attempt are over with it.
func TestProducerSendsEndWithTheirAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProducing()
		var sends atomic.Int32
		p.sinkO.OnSend = func(ergon.Raw) error {
			if sends.Add(1) == 1 {
				return memory.Answer{Never: true}
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		report, err := p.run(ctx, &maker[int, string]{produce: spell}, counted(1))
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Succeeded)
		require.EqualValues(t, 1, report.Retries)
	})
}
