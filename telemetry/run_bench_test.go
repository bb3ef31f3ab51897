package telemetry_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/telemetry"
)

// BenchmarkRun is one transaction of an engine in memory: with nobody looking, and as
// ergon run has it, with metrics served, events logged, trouble remembered, a receiver
// that is not there, and this share of transactions traced.
func BenchmarkRun(b *testing.B) {
	log := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		name    string
		sampler string
		ratio   float64
	}{{name: "dark"}, {"sampled out", "traceidratio", 0}, {"1 in 100", "traceidratio", 0.01}, {"all", "traceidratio", 1}} {
		b.Run(c.name, func(b *testing.B) {
			defer engine.NewBallast(1).Release()
			var engines []*engine.Engine
			tel := start(b, telemetry.Config{}, nil)
			config := engine.Config{App: "bench", Connector: "memory"}
			if c.sampler != "" {
				tel = start(b, telemetry.Config{
					OTLP:   telemetry.OTLPConfig{Endpoint: "http://127.0.0.1:1"},
					Traces: telemetry.TracesConfig{Sampler: c.sampler, Ratio: &c.ratio},
				}, nil, func(o *telemetry.Options) {
					o.Prometheus = true
					o.Engines = func() []engine.Metrics { return []engine.Metrics{engines[0].Metrics()} }
				})
				events := slog.New(telemetry.Limit(tel.Handler(log.Handler()), telemetry.LimitOptions{}))
				config.Tracer, config.Trail = tel.Tracer().With(telemetry.View{System: "nats", Destination: "S"}), engine.NewTrail(1024)
				config.Observe, config.Routine = engine.LogEvents(events), engine.LogsRoutine(events)
			}
			left, payload := b.N, []byte(`"x"`)
			var queue *memory.Queue
			queue = memory.NewQueue(memory.QueueOptions{Lease: 10 * time.Second, Discard: true, OnFetch: func(max int) error {
				for ; max > 0 && left > 0; max, left = max-1, left-1 {
					queue.Push(ergon.New(payload))
				}
				return nil
			}})
			config.Policy = policy.DefaultConsumer()
			config.Policy.Loop.Streaming, config.Policy.Loop.Concurrency = false, 1
			config.Task = engine.Consume[string, string]("score", task{process: func(_ context.Context, tx ergon.Transaction[string]) (string, error) { return tx.Payload(), nil }})
			config.Source, config.Sinks = queue.Source(), map[string]ergon.Sink{"out": memory.NewSink(memory.SinkOptions{Discard: true})}
			e, err := engine.New(config)
			require.NoError(b, err)
			engines = append(engines, e)
			b.ReportAllocs()
			b.ResetTimer()
			report, err := e.Run(b.Context())
			b.StopTimer()
			require.NoError(b, err)
			require.EqualValues(b, b.N, report.Succeeded)
			ended, cancel := context.WithCancel(b.Context())
			cancel() // what waits for the receiver is lost
			_ = tel.Shutdown(ended)
		})
	}
}
