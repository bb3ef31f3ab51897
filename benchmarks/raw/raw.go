// Package raw is the yardstick: the work written by hand on the public API of
// nats.go alone, as one would write it who needs no framework. It pulls with
// Consume, publishes with PublishMsgAsync within a bounded window, and
// acknowledges in the handler of the PubAck. It keeps no lease, counts nothing,
// and stops without ceremony.
package raw

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// Run works until ctx ends. It writes no headers.
func Run(ctx context.Context, job *work.Job) error { return run(ctx, job, false) }

// RunWire is Run with the headers on outputs and dead letters that Ergon writes,
// and with IDs derived as Ergon derives them.
func RunWire(ctx context.Context, job *work.Job) error { return run(ctx, job, true) }

// RunRoom is Run in a process whose collector has as much room as Ergon gives it
// (engine.Ballast): what it gains is no merit of the loop.
func RunRoom(ctx context.Context, job *work.Job) error { return roomy(ctx, job, false) }

// RunWireRoom is RunWire with that room.
func RunWireRoom(ctx context.Context, job *work.Job) error { return roomy(ctx, job, true) }

// RunTasks is RunWireRoom with a loop for each of the job's parts, over one
// connection.
func RunTasks(ctx context.Context, job *work.Job) error {
	return roomy(ctx, job, true, job.Parts...)
}

func roomy(ctx context.Context, job *work.Job, wire bool, parts ...work.Part) error {
	ballast := make([]byte, 32<<20) // never touched
	defer runtime.KeepAlive(ballast)
	return run(ctx, job, wire, parts...)
}

type loop struct {
	ctx    context.Context
	fail   context.CancelCauseFunc
	job    *work.Job
	output string
	wire   bool
	js     jetstream.JetStream
	slots  chan struct{}      // the window
	todo   chan jetstream.Msg // for workers, where the service is slow

	mu   sync.Mutex
	open map[*nats.Msg]sent
}

// sent is what waits for a PubAck.
type sent struct {
	in     jetstream.Msg
	failed error // it is a dead letter that was sent
}

// run works at the whole job, or at the parts named, over one connection.
func run(parent context.Context, job *work.Job, wire bool, parts ...work.Part) error {
	if len(parts) == 0 {
		parts = append(parts, work.Part{Durable: job.Durable, Output: job.Output})
	}
	ctx, fail := context.WithCancelCause(parent)
	defer fail(nil)
	nc, err := nats.Connect(job.URL)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", job.URL, err)
	}
	defer nc.Close()
	var stops []func()
	for _, part := range parts {
		stop, err := start(ctx, fail, nc, job, part, wire)
		if err != nil {
			return err
		}
		stops = append(stops, stop)
	}
	<-ctx.Done()
	for _, stop := range stops {
		stop()
	}
	if err := nc.FlushTimeout(5 * time.Second); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if parent.Err() == nil {
		return context.Cause(ctx)
	}
	return nil
}

func start(ctx context.Context, fail context.CancelCauseFunc, nc *nats.Conn, job *work.Job, part work.Part, wire bool) (stop func(), err error) {
	l := &loop{
		ctx: ctx, fail: fail, job: job, output: part.Output, wire: wire,
		slots: make(chan struct{}, job.Window), open: make(map[*nats.Msg]sent, job.Window),
	}
	// The window is kept here, so nats.go never has to stall a publish.
	l.js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(2*job.Window),
		jetstream.WithPublishAsyncAckHandler(l.stored), jetstream.WithPublishAsyncErrHandler(l.notStored))
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	consumer, err := l.js.Consumer(ctx, job.Stream, part.Durable)
	if err != nil {
		return nil, fmt.Errorf("look up consumer %s/%s: %w", job.Stream, part.Durable, err)
	}
	if job.Wait > 0 {
		l.todo = make(chan jetstream.Msg, job.Concurrency)
		for range job.Concurrency {
			go l.worker()
		}
	}
	consuming, err := consumer.Consume(l.handle, jetstream.PullMaxMessages(job.Window))
	if err != nil {
		return nil, fmt.Errorf("consume %s/%s: %w", job.Stream, part.Durable, err)
	}
	return consuming.Stop, nil
}

func (l *loop) handle(m jetstream.Msg) {
	select {
	case l.slots <- struct{}{}:
	case <-l.ctx.Done():
		return
	}
	if l.todo == nil {
		l.attempt(m, 1)
		return
	}
	select {
	case l.todo <- m:
	case <-l.ctx.Done():
	}
}

func (l *loop) worker() {
	for {
		select {
		case m := <-l.todo:
			l.attempt(m, 1)
		case <-l.ctx.Done():
			return
		}
	}
}

func (l *loop) attempt(m jetstream.Msg, n int) {
	var at time.Time // for the headers alone
	if l.wire {
		at = time.Now()
	}
	var in work.In
	if err := json.Unmarshal(m.Data(), &in); err != nil {
		l.fail(fmt.Errorf("decode: %w", err))
		return
	}
	out, err := l.job.Do(n, in)
	switch {
	case err != nil && n < l.job.Attempts:
		time.AfterFunc(l.job.Backoff, func() { l.attempt(m, n+1) })
	case err != nil:
		l.bury(m, n, at, err)
	case !l.job.Publishes():
		l.settled(m.Ack())
	default:
		l.send(m, out, at)
	}
}

func (l *loop) send(m jetstream.Msg, out work.Out, at time.Time) {
	data, err := json.Marshal(out)
	if err != nil {
		l.fail(fmt.Errorf("encode: %w", err))
		return
	}
	msg := &nats.Msg{Subject: l.output, Data: data}
	if l.wire {
		if msg.Header, err = outputHeader(m, at); err != nil {
			l.fail(err)
			return
		}
	}
	l.publish(msg, sent{in: m})
}

func (l *loop) bury(m jetstream.Msg, n int, at time.Time, failed error) {
	msg, err := &nats.Msg{Subject: l.job.Dead, Data: m.Data()}, error(nil)
	if l.wire {
		if msg.Header, err = deadHeader(m, n, at, failed); err != nil {
			l.fail(err)
			return
		}
	}
	l.publish(msg, sent{in: m, failed: failed})
}

func (l *loop) publish(msg *nats.Msg, s sent) {
	l.mu.Lock()
	l.open[msg] = s
	l.mu.Unlock()
	if _, err := l.js.PublishMsgAsync(msg); err != nil {
		l.fail(fmt.Errorf("publish to %s: %w", msg.Subject, err))
	}
}

// stored is the handler of PubAcks.
func (l *loop) stored(_ jetstream.JetStream, msg *nats.Msg, _ *jetstream.PubAck) {
	l.mu.Lock()
	s, ok := l.open[msg]
	delete(l.open, msg)
	l.mu.Unlock()
	switch {
	case !ok:
		l.fail(fmt.Errorf("a confirmation for %s came twice", msg.Subject))
	case s.failed != nil:
		l.settled(s.in.TermWithReason(s.failed.Error()))
	default:
		l.settled(s.in.Ack())
	}
}

func (l *loop) notStored(_ jetstream.JetStream, msg *nats.Msg, err error) {
	l.fail(fmt.Errorf("publish to %s: %w", msg.Subject, err))
}

func (l *loop) settled(err error) {
	if err != nil {
		l.fail(fmt.Errorf("settle: %w", err))
	}
	<-l.slots
}
