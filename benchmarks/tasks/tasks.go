// Package tasks runs many of Ergon's tasks in one process, over one connection, with
// Ergon's public API alone.
package tasks

import (
	"context"
	"errors"
	"fmt"
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

// shared is what all tasks of the process have in common.
type shared struct {
	job     *work.Job
	bus     *bus.Bus
	pub     *bus.Publisher
	letters *bus.DeadLetters
	parking *bus.Parking
	turns   *engine.Turns
}

// most is the window of a publisher that many share. What waits for its confirmation lies
// in memory, and a hundred tasks' windows together are more than any server keeps busy.
const most = 4096

// Run runs a task for each of the job's parts until ctx ends or one fails. They share
// a publisher that has room for what all their windows admit, up to most.
func Run(ctx context.Context, job *work.Job) error {
	return run(ctx, job, min(job.Window*len(job.Parts), most), shared.task)
}

// RunApart is Run with a publisher for each task, as package app makes them. They
// share one for dead letters.
func RunApart(ctx context.Context, job *work.Job) error { return run(ctx, job, 256, shared.apart) }

func run(parent context.Context, job *work.Job, room int, task func(shared, context.Context, string, work.Part) error) (err error) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	// What is given up must still be settled when ctx has ended.
	closing := context.WithoutCancel(ctx)
	s := shared{job: job, turns: engine.NewTurns()}
	defer engine.NewBallast(len(job.Parts)).Release()
	if s.bus, err = bus.Connect(ctx, bus.Config{URL: job.URL}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.bus.Close(closing)) }()
	if s.pub, err = s.bus.NewPublisher(bus.PublisherConfig{Window: room}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.pub.Close(closing)) }()
	if s.letters, err = s.bus.NewDeadLetters(ctx, bus.DeadLetterConfig{Stream: job.DeadStream, Subject: job.Dead}, s.pub); err != nil {
		return err
	}
	if s.parking, err = s.bus.NewParking(ctx, bus.ParkingConfig{}, s.pub); err != nil {
		return err
	}
	ended := make(chan error)
	for k, part := range job.Parts {
		go func() { ended <- task(s, ctx, fmt.Sprintf("work-%d", k), part) }()
	}
	var errs []error
	for range job.Parts {
		errs = append(errs, <-ended)
		cancel() // one that ends ends all: the harness waits for none that is missing
	}
	return errors.Join(errs...)
}

func (s shared) apart(ctx context.Context, name string, part work.Part) (err error) {
	if s.pub, err = s.bus.NewPublisher(bus.PublisherConfig{Window: s.job.Window}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.pub.Close(context.WithoutCancel(ctx))) }()
	return s.task(ctx, name, part)
}

func (s shared) task(ctx context.Context, name string, part work.Part) error {
	source, err := jetstream.NewSource(ctx, jetstream.SourceConfig{
		Bus: s.bus, Consumer: bus.Consumer{Stream: s.job.Stream, Durable: part.Durable, Subjects: []string{part.Subject}},
		DeadLetters: s.letters, Parking: s.parking, Starts: s.bus.NewStarts(1), Task: name,
	})
	if err != nil {
		return err
	}
	sink, err := jetstream.NewSink(s.pub, part.Output, jetstream.InStream(s.job.OutputStream))
	if err != nil {
		return errors.Join(err, source.Close(context.WithoutCancel(ctx)))
	}
	p := policy.DefaultConsumer()
	p.Loop.Concurrency, p.Loop.Window = s.job.Concurrency, s.job.Window
	p.Process.Retry.MaxAttempts, p.Process.Retry.Backoff = s.job.Attempts, policy.Duration(s.job.Backoff)
	p.Process.Retry.BackoffMultiplier, p.Process.Retry.Jitter = 1, 0
	log := slog.Default()
	e, err := engine.New(engine.Config{
		Task: engine.Consume(name, transform{s.job}), Source: source, Sinks: map[string]ergon.Sink{"out": sink},
		Policy: p, App: "bench", Observe: engine.LogEvents(log), Routine: engine.LogsRoutine(log), Turns: s.turns,
	})
	if err != nil {
		return errors.Join(err, source.Close(context.WithoutCancel(ctx)))
	}
	_, err = e.Run(ctx)
	return err
}
