package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// faulty is a task that does what an ID says, and counts for itself. Whatever begins
// with
//
//	business  fails for good
//	once      fails at its first attempt
//	slow      lasts until its context ends, each time
//	hook      fails for good in its success hook
//	send      is not taken by the sink at first
//
// and all the rest does well. Each has two outputs.
type faulty struct {
	mu     sync.Mutex
	counts map[string]int64

	queue *memory.Queue
	sink  *memory.Sink
}

func (f *faulty) count(what string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[what] += int64(n)
}

func (f *faulty) Process(ctx context.Context, tx ergon.Transaction[string]) (ergon.Outputs, error) {
	kind, _, _ := strings.Cut(tx.ID(), "-")
	time.Sleep(3 * time.Millisecond)
	switch {
	case kind == "business":
		f.count("process BUSINESS", 1)
		return nil, ergon.Business("no")
	case kind == "once" && ergon.ExecutionOf(ctx).Attempt == 1:
		f.count("process SYSTEM", 1)
		f.count("process retries", 1)
		return nil, errors.New("not yet")
	case kind == "slow":
		f.count("process TIMEOUT", 1)
		if ergon.ExecutionOf(ctx).Attempt == 1 {
			f.count("process retries", 1)
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f.count("process", 1)
	f.count("produce", 1) // sooner or later
	return ergon.Outputs{ergon.To("out", 1), ergon.To("out", 2)}, nil
}

func (f *faulty) HandleSuccess(_ context.Context, tx ergon.Transaction[string], _ ergon.Outputs) error {
	if strings.HasPrefix(tx.ID(), "hook") {
		f.count("success BUSINESS", 1)
		return ergon.Business("not to be booked")
	}
	f.count("success", 1)
	return nil
}

func (f *faulty) HandleException(context.Context, ergon.Transaction[string], *ergon.Error) error {
	f.count("exception", 1)
	return nil
}

// pushed is how many transactions there are.
const pushed = 27

// engine is one whose second fetch and third settlement fail once.
func (f *faulty) engine(t testing.TB, name string) *engine.Engine {
	t.Helper()
	f.counts = map[string]int64{}
	var fetches, settled atomic.Int64
	f.queue = memory.NewQueue(memory.QueueOptions{OnFetch: func(int) error {
		if fetches.Add(1) == 2 {
			f.count("fetch SYSTEM", 1)
			f.count("fetch retries", 1)
			return errors.New("the queue is busy")
		}
		f.count("fetch", 1)
		return nil
	}, OnSettle: func(memory.Settled) error {
		if settled.Add(1) != 3 {
			return nil
		}
		f.count("settle failures", 1)
		return errors.New("the queue is busy")
	}})
	var refused sync.Map
	f.sink = memory.NewSink(memory.SinkOptions{OnSend: func(tx ergon.Raw) error {
		if _, again := refused.LoadOrStore(tx.CausationID(), true); again || !strings.HasPrefix(tx.CausationID(), "send") {
			return nil
		}
		f.count("produce SYSTEM", 1)
		f.count("produce retries", 1)
		return errors.New("the sink is busy")
	}})
	for kind, n := range map[string]int{"fine": 10, "business": 5, "once": 4, "slow": 3, "hook": 2, "send": 2} {
		for i := range n {
			f.queue.Push(ergon.New([]byte(`"x"`), ergon.WithID(fmt.Sprintf("%s-%d", kind, i)), ergon.WithSource("test")))
		}
	}
	f.queue.Push(ergon.New([]byte(`{`), ergon.WithID("garbage"), ergon.WithSource("test")))
	p := policy.DefaultConsumer()
	p.Loop.Streaming, p.Loop.Concurrency = false, 4
	p.Fetch.Batch.Size, p.Loop.Prefetch = 8, 4 // a setting, so that nothing is given back when attempts last
	p.Process.Retry = policy.Retry{MaxAttempts: 2, Timeout: policy.Duration(2 * time.Second), Backoff: policy.Duration(10 * time.Millisecond), BackoffMultiplier: 1, BackoffCap: policy.Duration(time.Second)}
	p.Process.Bulkhead.MaxConcurrency = 3
	p.Produce.Breaker = policy.Breaker{Failures: 5, Executions: 10, Delay: policy.Duration(time.Second), Successes: 1}
	e, err := engine.New(engine.Config{
		Task: engine.Consume[string, ergon.Outputs](name, f, engine.Routes("out")), Source: f.queue.Source(),
		Sinks: map[string]ergon.Sink{"out": f.sink}, Policy: p, Connector: "memory",
		Observe: func(ev engine.Event) {
			if _, ok := ev.(engine.Fetched); ok {
				f.count("batches", 1)
			}
		},
	})
	require.NoError(t, err)
	return e
}

// expected are all counters, by name and attributes but the task, as the faulty task
// counted them and its connectors have them.
func (f *faulty) expected() map[string]int64 {
	want := map[string]int64{
		"ergon.transactions succeeded":       int64(len(f.queue.Acked())),
		"ergon.transactions dead SYSTEM":     0,
		"ergon.transactions.started":         pushed,
		"ergon.outputs":                      int64(len(f.sink.All())),
		"ergon.attempts.stuck":               0,
		"ergon.fetch.empty":                  f.counts["fetch"] - f.counts["batches"],
		"ergon.redeliveries":                 0,
		"ergon.leases.lost":                  0,
		"ergon.task.restarts":                0,
		"ergon.settle.failures":              f.counts["settle failures"],
		"ergon.drain.transactions succeeded": 0,
		"ergon.drain.transactions dead":      0,
	}
	for _, d := range f.queue.DeadLetters() {
		exc, ok := errors.AsType[*ergon.Error](d.Settlement.Err)
		if !ok {
			panic("a dead letter does not say why")
		}
		want["ergon.transactions dead "+string(exc.Category)]++
		want["ergon.dead_letters "+string(exc.Phase)+" "+string(exc.Category)]++
	}
	f.count("process BUSINESS", 1) // the garbage never got to the task
	for _, phase := range []string{"fetch", "process", "produce", "success", "exception"} {
		want["ergon.attempts "+phase] = f.counts[phase]
		want["ergon.retries "+phase] = f.counts[phase+" retries"]
		want["ergon.timeouts "+phase] = f.counts[phase+" TIMEOUT"]
		for _, category := range []string{"BUSINESS", "SYSTEM", "TIMEOUT"} {
			if n := f.counts[phase+" "+category]; n > 0 {
				want["ergon.attempts "+phase+" "+category] = n
			}
		}
	}
	return want
}
