package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/benchmarks/work"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

func input(id int64) ergon.Raw {
	return ergon.New(work.Encoded(id), ergon.WithID(work.Key(id)), ergon.WithSource(work.Source),
		ergon.WithType(work.Type), ergon.WithContentType(work.ContentType))
}

// RunSink sends all inputs by a sink alone: one goroutine hands them over, and the sink
// bounds how many are on their way.
func RunSink(ctx context.Context, job *work.Job) error {
	return sending(ctx, job, func(sink *http.Sink) error {
		var left sync.WaitGroup
		failed := make(chan error, 1)
		done := func(err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
			left.Done()
		}
		for id := range job.Inputs {
			left.Add(1)
			sink.Send(ctx, input(id), done)
		}
		left.Wait()
		select {
		case err := <-failed:
			return err
		default:
			return nil
		}
	})
}

// pass is a task that sends its input on.
type pass struct{}

func (pass) Process(_ context.Context, tx ergon.Transaction[[]byte]) ([]byte, error) {
	return tx.Payload(), nil
}

// RunEngineSink sends all inputs by an engine whose source is memory, on production's
// defaults.
func RunEngineSink(ctx context.Context, job *work.Job) error {
	return sending(ctx, job, func(sink *http.Sink) error {
		queue := memory.NewQueue(memory.QueueOptions{})
		for id := range job.Inputs {
			queue.Push(input(id))
		}
		p := policy.DefaultConsumer()
		p.Loop.Streaming = false
		e, err := engine.New(engine.Config{
			Task: engine.Consume[[]byte, []byte]("work", pass{}), Source: queue.Source(), Sinks: map[string]ergon.Sink{"out": sink},
			Policy: p, App: "bench", Observe: engine.LogEvents(slog.Default()), Routine: engine.LogsRoutine(slog.Default()),
		})
		if err != nil {
			return err
		}
		_, err = e.Run(ctx)
		if dead := len(queue.DeadLetters()); err == nil && dead > 0 {
			err = fmt.Errorf("%d transactions are dead, the first by %w", dead, queue.DeadLetters()[0].Settlement.Err)
		}
		return err
	})
}

// sending makes the sink, says when all is sent, and waits to be told to end.
func sending(ctx context.Context, job *work.Job, send func(*http.Sink) error) (err error) {
	defer engine.NewBallast(1).Release()
	sink, err := http.NewSink(http.SinkOptions{URL: job.Target, Connections: job.Concurrency})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close(context.WithoutCancel(ctx))) }()
	if err := send(sink); err != nil {
		return err
	}
	if err := job.Say(""); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
