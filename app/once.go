package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// Once is one transaction to be run through the whole life of a task: decode, process,
// produce, hooks, settlement. Make one with NewOnce.
type Once struct {
	// Conn is where outputs are sent. nil sends nothing, and counts what would be
	// sent as stored.
	Conn *Conn
	// Attempts, if over 0, replaces the policy's max_attempts in every phase.
	Attempts int
	// Bury stores a dead letter where the transaction fails for good; it needs Conn.
	// Otherwise nothing remembers the failure but the result.
	Bury bool
	// Abort, if it is closed, cuts the grace of a stop short.
	Abort <-chan struct{}

	config *config.Config
	bound  bound
}

// NewOnce finds a task among those that are registered, and its configuration. The
// error is a *WiringError with all that does not fit. Nothing is opened yet.
func NewOnce(tasks Registered, cfg *config.Config, task string) (*Once, error) {
	all, err := bind(tasks, Options{Config: cfg, Only: []string{task}})
	if err != nil {
		return nil, err
	}
	return &Once{config: cfg, bound: all[0]}, nil
}

// OnceResult is what became of the transaction.
type OnceResult struct {
	Outcome  engine.Outcome
	Duration time.Duration
	// Err is why, for Dead, and HandlerErr what the exception hook failed with.
	Err        *ergon.Error
	HandlerErr error
	// Attempts are those of all phases, in their order.
	Attempts []engine.AttemptRecord
	// Outputs are in the order in which they were first sent.
	Outputs []OnceOutput
	// Buried says that a dead letter is stored, and BuryErr why it is not.
	Buried  bool
	BuryErr error
}

// OnceOutput is one output of the transaction.
type OnceOutput struct {
	ergon.Raw
	Route, Stream, Subject string
	// Target is the method and the URL that a route over HTTP sends to, instead of Stream
	// and Subject. Of the answer to a request it is none of the three.
	Target string
	// Stored says that its stream has it; Duplicate that it had it before. In a
	// result without a Conn it is neither.
	Stored, Duplicate bool
	// Err is what its last send failed with.
	Err error
}

// Run runs the transaction and returns when it has its end. When ctx ends an attempt
// that runs may finish within shutdown.grace, and no other is waited for. The error is
// of what is around the transaction: that it failed is in the result.
func (o *Once) Run(ctx context.Context, f jetstream.Found) (OnceResult, error) {
	r := &onceRun{once: o, found: f, ctx: context.WithoutCancel(ctx), settled: make(chan struct{}), waits: make(chan struct{}, 1), places: make(map[outputKey]int)}
	sinks, err := r.open(ctx)
	if err != nil {
		return OnceResult{}, errors.Join(err, r.close())
	}
	consumer, producer := o.policies()
	e, err := engine.New(engine.Config{
		Task: o.bound.task, Source: r, Sinks: sinks, Policy: consumer, Producer: producer,
		App: o.config.App, Connector: "once", Observe: r.observe,
	})
	if err != nil {
		return OnceResult{}, errors.Join(err, r.close())
	}
	ran := make(chan struct{})
	go func() {
		if r.toAbort(ctx, o.Abort, ran) {
			e.Abort()
		}
	}()
	_, err = e.Run(ctx)
	close(ran)
	err = errors.Join(err, r.close())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.result.Outcome == "" { // it never began
		r.result.Outcome = engine.Released
	}
	return r.result, err
}

// policies are the task's, for one transaction: the loop and the fetches are not what
// is tried out.
func (o *Once) policies() (policy.Consumer, policy.Producer) {
	consumer, producer := o.bound.config.Consumer.Clone(), o.bound.config.Producer.Clone()
	defaults, produces := policy.DefaultConsumer(), policy.DefaultProducer()
	consumer.Loop, consumer.Fetch = defaults.Loop, defaults.Fetch
	consumer.Loop.Streaming, consumer.Loop.Limit = false, 1
	producer.Loop, producer.Fetch, producer.Batch = produces.Loop, produces.Fetch, produces.Batch
	producer.Loop.Limit = 1
	if o.Attempts > 0 {
		for _, p := range []*policy.Phase{
			&consumer.Process, &consumer.Produce, &consumer.Success, &consumer.Exception,
			&producer.Produce, &producer.Success, &producer.Exception,
		} {
			p.Retry.MaxAttempts = o.Attempts
		}
	}
	return consumer, producer
}

// open makes sure of the streams that outputs go to, and returns the sinks.
func (r *onceRun) open(ctx context.Context) (map[string]ergon.Sink, error) {
	o, routes := r.once, r.once.bound.config.Routes
	sinks := make(map[string]ergon.Sink, len(routes))
	for _, name := range answered(o.bound) { // here nobody waits for it
		sinks[name] = &onceSink{run: r, name: name}
	}
	if o.Conn == nil {
		for name, route := range routes {
			sinks[name] = &onceSink{run: r, name: name, to: route}
		}
		return sinks, nil
	}
	var needed []bus.Stream
	for _, s := range o.config.Topology() {
		for _, route := range routes {
			if route.JetStream != nil && route.JetStream.Stream == s.Name {
				needed = append(needed, s)
				break
			}
		}
	}
	if _, err := o.Conn.Ensure(ctx, bus.Topology{Streams: needed}); err != nil {
		return nil, err
	}
	timeout := o.bound.policy.Produce.Retry.Timeout
	if o.bound.task.Producer() {
		timeout = o.bound.prod.Produce.Retry.Timeout
	}
	var err error
	if r.pub, err = o.Conn.NewPublisher(bus.PublisherConfig{Timeout: timeout.D()}); err != nil {
		return nil, err
	}
	for name, route := range routes {
		s := &onceSink{run: r, name: name, to: route}
		if route.HTTP != nil {
			s.next, err = http.NewSink(*route.HTTP)
		} else {
			s.next, err = jetstream.NewSink(r.pub, route.JetStream.Subject, jetstream.InStream(route.JetStream.Stream), jetstream.Telling(r.telling(name)))
		}
		if err != nil {
			return nil, fmt.Errorf("route %q: %w", name, err)
		}
		sinks[name] = s
	}
	if o.Bury {
		r.letters, err = o.Conn.NewDeadLetters(ctx, o.bound.config.DeadLetters.Config(), r.pub)
	}
	return sinks, err
}
