// Package contender does the work with Ergon's public API alone, on the defaults
// that production gets. Copy it into a harness of your own.
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
)

type transform struct{ job *work.Job }

func (t transform) Process(ctx context.Context, tx ergon.Transaction[work.In]) (work.Out, error) {
	return t.job.Do(ergon.ExecutionOf(ctx).Attempt, tx.Payload())
}

type sink struct{ job *work.Job }

func (s sink) Process(ctx context.Context, tx ergon.Transaction[work.In]) (ergon.None, error) {
	_, err := s.job.Do(ergon.ExecutionOf(ctx).Attempt, tx.Payload())
	return ergon.None{}, err
}

// Run works until ctx ends.
func Run(ctx context.Context, job *work.Job) (err error) {
	// What is given up must still be settled when ctx has ended.
	closing := context.WithoutCancel(ctx)
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
	letters, err := b.NewDeadLetters(ctx, bus.DeadLetterConfig{Stream: job.DeadStream, Subject: job.Dead}, pub)
	if err != nil {
		return err
	}
	parking, err := b.NewParking(ctx, bus.ParkingConfig{}, pub)
	if err != nil {
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
	p := policy.DefaultConsumer()
	p.Loop.Concurrency, p.Loop.Window = job.Concurrency, job.Window
	p.Process.Retry.MaxAttempts, p.Process.Retry.Backoff = job.Attempts, policy.Duration(job.Backoff)
	p.Process.Retry.BackoffMultiplier, p.Process.Retry.Jitter = 1, 0
	log := slog.Default()
	e, err := engine.New(engine.Config{Task: task, Source: source, Sinks: sinks, Policy: p, App: "bench",
		Observe: engine.LogEvents(log), Routine: engine.LogsRoutine(log)})
	if err != nil {
		return err
	}
	_, err = e.Run(ctx)
	return err
}
