// Package contender does the work with Ergon's public API alone, on production's defaults.
package contender

import (
	"context"
	"errors"
	"log/slog"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/benchmarks/work"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/telemetry"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

type transform struct{ job *work.Job }

func (t transform) Process(ctx context.Context, tx ergon.Transaction[work.In]) (work.Out, error) {
	return t.job.Do(ergon.ExecutionOf(ctx).Attempt, tx.Payload())
}

type sink struct{ job *work.Job }

func (s sink) Process(ctx context.Context, tx ergon.Transaction[work.In]) (_ ergon.None, err error) {
	_, err = s.job.Do(ergon.ExecutionOf(ctx).Attempt, tx.Payload())
	return
}

// Run works until ctx ends.
func Run(ctx context.Context, job *work.Job) (err error) {
	defer engine.NewBallast(1).Release()
	closing := context.WithoutCancel(ctx) // what is given up must still be settled
	b, err := bus.Connect(ctx, bus.Config{URL: job.URL})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close(closing)) }()
	pub, err := b.NewPublisher(bus.PublisherConfig{Window: job.Window})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pub.Close(closing)) }()
	letters, err1 := b.NewDeadLetters(ctx, bus.DeadLetterConfig{Stream: job.DeadStream, Subject: job.Dead}, pub)
	parking, err2 := b.NewParking(ctx, bus.ParkingConfig{}, pub)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	source, err := jetstream.NewSource(ctx, jetstream.SourceConfig{
		Bus: b, Consumer: bus.Consumer{Stream: job.Stream, Durable: job.Durable},
		DeadLetters: letters, Parking: parking, Starts: b.NewStarts(1), Task: "work",
	})
	if err != nil {
		return err
	}
	task, sinks := engine.Consume("work", sink{job}), map[string]ergon.Sink{}
	if job.Publishes() {
		task = engine.Consume("work", transform{job})
		if sinks["out"], err = jetstream.NewSink(pub, job.Output, jetstream.InStream(job.OutputStream)); err != nil {
			return err
		}
	}
	// Traced, and sampled out: what fails for good is told of all the same.
	spans := sdktrace.NewBatchSpanProcessor(tracetest.NewNoopExporter())
	defer func() { err = errors.Join(err, spans.Shutdown(closing)) }()
	p := policy.DefaultConsumer()
	p.Loop.Concurrency, p.Loop.Window = job.Concurrency, job.Window
	p.Process.Retry = policy.Retry{MaxAttempts: job.Attempts, Timeout: p.Process.Retry.Timeout, Backoff: policy.Duration(job.Backoff), BackoffMultiplier: 1}
	e, err := engine.New(engine.Config{Task: task, Source: source, Sinks: sinks, Policy: p, App: "bench",
		Observe: engine.LogEvents(slog.Default()), Routine: engine.LogsRoutine(slog.Default()),
		Tracer: telemetry.NewTracer(telemetry.TracerConfig{Processor: spans})})
	if err == nil {
		_, err = e.Run(ctx)
	}
	return err
}
