package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

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

// BenchmarkEngine is one transaction through the engine with the memory connector,
// whose own cost is in it: fetch, decode, process, encode and send, settle.
// BenchmarkDirect is the same work in a loop.
func BenchmarkEngine(b *testing.B) {
	for _, concurrency := range []int{1, 256} {
		for name, task := range map[string]engine.Task{"output": consume(score), "silent": consume(audit)} {
			b.Run(fmt.Sprintf("%s/%d", name, concurrency), func(b *testing.B) {
				queue := memory.NewQueue(memory.QueueOptions{})
				sinks := map[string]ergon.Sink{}
				if task.Sends() {
					sinks["out"] = memory.NewSink(memory.SinkOptions{})
				}
				p := policy.DefaultConsumer()
				p.Loop.Streaming, p.Loop.Concurrency = false, concurrency
				e, err := engine.New(engine.Config{Task: task, Source: queue.Source(), Sinks: sinks, Policy: p})
				if err != nil {
					b.Fatal(err)
				}
				for range b.N {
					queue.Push(ergon.New(benchPayload))
				}
				b.ReportAllocs()
				b.ResetTimer()
				report, err := e.Run(b.Context())
				if err != nil || report.Succeeded != int64(b.N) {
					b.Fatal(report, err)
				}
			})
		}
	}
}

// BenchmarkDirect is decode, process and encode, and nothing else.
func BenchmarkDirect(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		tx := ergon.Make(ergon.Envelope{ID: "1"}, benchPayload)
		var in order
		if err := json.Unmarshal(tx.Payload(), &in); err != nil {
			b.Fatal(err)
		}
		out, err := score(b.Context(), ergon.With(tx, in))
		if err != nil {
			b.Fatal(err)
		}
		if _, err = json.Marshal(out); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMemory is the connector's share of BenchmarkEngine.
func BenchmarkMemory(b *testing.B) {
	queue, sink := memory.NewQueue(memory.QueueOptions{}), memory.NewSink(memory.SinkOptions{})
	for range b.N {
		queue.Push(ergon.New(benchPayload))
	}
	source := queue.Source()
	ok := func(err error) {
		if err != nil {
			b.Error(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for {
		deliveries, err := source.Fetch(b.Context(), 256)
		if err != nil {
			return
		}
		for _, d := range deliveries {
			sink.Send(b.Context(), d.Transaction(), ok)
			d.Settle(ergon.Settlement{Kind: ergon.Ack}, ok)
		}
	}
}
