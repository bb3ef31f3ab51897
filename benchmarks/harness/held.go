package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// stallWait is how long the server may confirm nothing of a full window.
const stallWait = 10 * time.Second

// hold makes the server deliver nothing to a job, though contenders may ask.
func (s *stage) hold(ctx context.Context, job *work.Job) error {
	for _, durable := range durables(job) {
		if _, err := s.js.PauseConsumer(ctx, job.Stream, durable, time.Now().Add(24*time.Hour)); err != nil {
			return fmt.Errorf("pause consumer %s/%s: %w", job.Stream, durable, err)
		}
	}
	return nil
}

// release lets the server deliver in a moment, to all consumers at the same one. It
// doesn't resume them: the server looks again at the requests of a consumer whose
// pause runs out, but of one that is resumed only when something else happens, such
// as a heartbeat seconds later.
func (s *stage) release(ctx context.Context, job *work.Job) error {
	all := durables(job)
	until := time.Now().Add(20*time.Millisecond + time.Duration(len(all))*time.Millisecond)
	for _, durable := range all {
		for wait := 50 * time.Millisecond; ; wait *= 2 {
			r, err := s.js.PauseConsumer(ctx, job.Stream, durable, until)
			if err != nil {
				return fmt.Errorf("end the pause of consumer %s/%s: %w", job.Stream, durable, err)
			}
			if r.Paused {
				break
			}
			until = time.Now().Add(wait) // it was over before the server heard of it
		}
	}
	return nil
}

// pile stores the transactions from one number to below another for a live job.
func (s *stage) pile(ctx context.Context, job *work.Job, from, to int64) error {
	return s.store(ctx, job.Stream, func(id int64) string { return subjectOf(job, id) }, from, to)
}

// subjectOf is where input id of a live job is published.
func subjectOf(job *work.Job, id int64) string {
	if parts := int64(len(job.Parts)); parts > 0 {
		return job.Parts[id%parts].Subject
	}
	return liveSubject(job)
}

// store publishes inputs to a stream which must then hold `to` of them.
func (s *stage) store(ctx context.Context, stream string, subject func(id int64) string, from, to int64) error {
	for id := from; id < to; id++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := s.js.PublishAsync(subject(id), work.Encoded(id), jetstream.WithStallWait(stallWait)); err != nil {
			return fmt.Errorf("fill stream %s: %w", stream, err)
		}
	}
	select {
	case <-s.js.PublishAsyncComplete():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	have, err := s.count(ctx, stream)
	if err == nil && have != to {
		err = fmt.Errorf("stream %s holds %d of %d transactions: look for room on the disk of the temporary directory", stream, have, to)
	}
	return err
}
