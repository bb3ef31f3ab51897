package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

var benchPayload = []byte(`{"sku":"85123A"}`)

func score(_ context.Context, tx ergon.Transaction[order]) (scored, error) {
	return scored{SKU: tx.Payload().SKU, Score: len(tx.Payload().SKU)}, nil
}

func audit(context.Context, ergon.Transaction[order]) (ergon.None, error) { return ergon.None{}, nil }

// BenchmarkEngine is one transaction through the engine with the memory connector
// and everything on: leases, the guard, retries and timeouts, counters, logging with
// DEBUG off, and the collector's room that a process has. Beside the whole it reports what the engine adds: that less what
// decode, process and encode cost in a loop, and less what the connector costs
// without an engine.
func BenchmarkEngine(b *testing.B) {
	for _, concurrency := range []int{1, 256} {
		for _, kind := range []struct {
			name   string
			task   engine.Task
			direct func() error
		}{{"output", consume(score), directOutput}, {"silent", consume(audit), directSilent}} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, concurrency), func(b *testing.B) {
				defer engine.NewBallast(1).Release()
				b.ReportAllocs()
				run := benchEngine(b, kind.task, concurrency, b.N, benchQueue(b.N, 0), nil)
				b.ResetTimer()
				whole := measure(b, run)
				b.StopTimer()
				direct := measure(b, func() { repeat(b, kind.direct) })
				connector := measure(b, benchMemory(b, kind.task.Sends()))
				b.ReportMetric(whole.ns-direct.ns-connector.ns, "engine-ns/op")
				b.ReportMetric(whole.allocs-direct.allocs-connector.allocs, "engine-allocs/op")
			})
		}
	}
}

// BenchmarkEngines is one transaction where so many engines share a process, each with a
// backlog, as BenchmarkEngine has it with outputs and 256 slots. What a bus costs for so
// many consumers is not in it.
func BenchmarkEngines(b *testing.B) {
	for _, engines := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(engines), func(b *testing.B) {
			defer engine.NewBallast(engines).Release()
			b.ReportAllocs()
			turns, runs := engine.NewTurns(), make([]func(), engines)
			for i := range runs {
				queue := benchQueue((b.N+i)/engines, 1)
				runs[i] = benchEngine(b, consume(score), 256, (b.N+i)/engines, queue, turns)
			}
			b.ResetTimer()
			var all sync.WaitGroup
			for _, run := range runs {
				all.Go(run)
			}
			all.Wait()
		})
	}
}

// cost is what one transaction takes.
type cost struct{ ns, allocs float64 }

// measure runs b.N transactions.
func measure(b *testing.B, run func()) cost {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	run()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	n := float64(b.N)
	return cost{ns: float64(took) / n, allocs: float64(after.Mallocs-before.Mallocs) / n}
}

// benchQueue holds n transactions in all and a few at a time, behind more of which are
// always there: a backlog in memory would be scanned by the collector in every cycle that
// the engine causes.
func benchQueue(n, behind int) *memory.Queue {
	var queue *memory.Queue
	left := n
	queue = memory.NewQueue(memory.QueueOptions{Lease: 10 * time.Second, Discard: true, OnFetch: func(max int) error {
		max, behind = max+behind, 0
		for ; max > 0 && left > 0; max, left = max-1, left-1 {
			queue.Push(benchTxs[left%len(benchTxs)])
		}
		return nil
	}})
	return queue
}

// benchTxs are more than an engine holds, so that none waits for one with its ID.
var benchTxs = func() (txs [4096]ergon.Raw) {
	for i := range txs {
		txs[i] = ergon.New(benchPayload)
	}
	return txs
}()

// benchEngine returns a function that runs an engine to its end, after n transactions.
func benchEngine(b *testing.B, task engine.Task, concurrency, n int, queue *memory.Queue, turns *engine.Turns) func() {
	sinks := map[string]ergon.Sink{}
	if task.Sends() {
		sinks["out"] = memory.NewSink(memory.SinkOptions{Discard: true})
	}
	p := policy.DefaultConsumer()
	p.Loop.Streaming, p.Loop.Concurrency = false, concurrency
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	e, err := engine.New(engine.Config{
		Task: task, Source: queue.Source(), Sinks: sinks, Policy: p,
		Observe: engine.LogEvents(log), Routine: engine.LogsRoutine(log), Turns: turns,
	})
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		report, err := e.Run(b.Context())
		if err != nil || report.Succeeded != int64(n) {
			b.Error(report, err)
		}
	}
}

func repeat(b *testing.B, once func() error) {
	for range b.N {
		if err := once(); err != nil {
			b.Fatal(err)
		}
	}
}

// directOutput is decode, process and encode, and nothing else.
func directOutput() error {
	var in order
	if err := json.Unmarshal(benchPayload, &in); err != nil {
		return err
	}
	out, err := score(context.Background(), ergon.With(benchTxs[0], in))
	if err == nil {
		_, err = json.Marshal(out)
	}
	return err
}

func directSilent() error {
	var in order
	if err := json.Unmarshal(benchPayload, &in); err != nil {
		return err
	}
	_, err := audit(context.Background(), ergon.With(benchTxs[0], in))
	return err
}

// benchMemory makes the calls that the engine makes to the connector.
func benchMemory(b *testing.B, sends bool) func() {
	source, sink := benchQueue(b.N, 0).Source(), memory.NewSink(memory.SinkOptions{Discard: true})
	ok := func(err error) {
		if err != nil {
			b.Error(err)
		}
	}
	return func() {
		for {
			deliveries, err := source.Fetch(b.Context(), 256)
			if err != nil {
				return
			}
			for _, d := range deliveries {
				if sends {
					sink.Send(b.Context(), d.Transaction(), ok)
				}
				d.Settle(ergon.Settlement{Kind: ergon.Ack}, ok)
			}
		}
	}
}
