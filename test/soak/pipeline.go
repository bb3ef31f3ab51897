package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// closing is how long disconnecting may take.
const closing = 30 * time.Second

// pipeline is everything that is measured.
type pipeline struct {
	n         int
	bus       *bus.Bus
	generator *bus.Publisher
	engine    *engine.Engine
	closers   []func(context.Context) error

	done atomic.Int64 // by the engine's account
}

func newPipeline(ctx context.Context, url string, n int) (_ *pipeline, err error) {
	p := &pipeline{n: n}
	if p.bus, err = bus.Connect(ctx, bus.Config{URL: url}); err != nil {
		return nil, err
	}
	p.closers = append(p.closers, p.bus.Close)
	if err := p.connect(ctx); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// connect makes what `ergon run` makes of a task's configuration.
func (p *pipeline) connect(ctx context.Context) (err error) {
	in := bus.Stream{Name: "IN", Subjects: []string{"in"}}
	if _, err := p.bus.Ensure(ctx, bus.Topology{Streams: []bus.Stream{in, {Name: "OUT", Subjects: []string{"out"}}}}); err != nil {
		return err
	}
	if p.generator, err = p.publisher(); err != nil {
		return err
	}
	pub, err := p.publisher()
	if err != nil {
		return err
	}
	letters, err := p.bus.NewDeadLetters(ctx, bus.DeadLetterConfig{}, pub)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, letters.Close)
	parking, err := p.bus.NewParking(ctx, bus.ParkingConfig{}, pub)
	if err != nil {
		return err
	}
	sink, err := jetstream.NewSink(pub, "out")
	if err != nil {
		return err
	}
	source, err := jetstream.NewSource(ctx, jetstream.SourceConfig{
		Bus: p.bus, Stream: &in, Consumer: bus.Consumer{Stream: "IN", Durable: "soak"}, Task: "soak",
		DeadLetters: letters, Parking: parking, Starts: p.bus.NewStarts(1),
	})
	if err != nil {
		return err
	}
	consumer := policy.DefaultConsumer()
	task := newWork(min(consumer.Loop.Concurrency, p.n/samples))
	p.engine, err = engine.New(engine.Config{
		Task: engine.Consume("soak", task), Source: source, Sinks: map[string]ergon.Sink{"out": sink},
		Policy: consumer, Observe: p.observe,
	})
	return err
}

func (p *pipeline) publisher() (*bus.Publisher, error) {
	pub, err := p.bus.NewPublisher(bus.PublisherConfig{})
	if err == nil {
		p.closers = append(p.closers, pub.Close)
	}
	return pub, err
}

// close ends, in the reverse order, what was begun.
func (p *pipeline) close() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	for i := len(p.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, p.closers[i](ctx))
	}
	return err
}

func (p *pipeline) observe(e engine.Event) {
	if f, ok := e.(engine.Finished); ok && (f.Outcome == engine.Succeeded || f.Outcome == engine.Dead) {
		p.done.Add(1)
	}
}

var errDone = errors.New("done")

// run returns when everything is done, when nothing goes on any more, or when ctx
// ends. sample is called from one goroutine, while nothing is on its way.
func (p *pipeline) run(ctx context.Context, sample func(published int) error) (engine.Report, error) {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var beside sync.WaitGroup
	beside.Go(func() { stop(p.feed(running, sample)) })
	report, err := p.engine.Run(running)
	stop(err)
	beside.Wait()
	if cause := context.Cause(running); !errors.Is(cause, errDone) && !errors.Is(err, cause) {
		err = errors.Join(err, cause)
	}
	return report, err
}
