package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// input is the stream that is filled once and read in each run by a consumer of
// its own: all contenders read the same bytes.
const input = "INPUT"

// stage is the server, and a connection to it.
type stage struct {
	server *process
	url    string
	nc     *nats.Conn
	js     jetstream.JetStream
	runs   int
}

func newStage(ctx context.Context, dir string) (*stage, error) {
	p, err := start("nats-server", cmdServer, dir)
	if err != nil {
		return nil, err
	}
	s := &stage{server: p}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) connect(ctx context.Context) error {
	ready, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var h hello
	err := s.server.read(ready, &h)
	if err != nil {
		return err
	}
	s.url = h.URL
	if s.nc, err = nats.Connect(h.URL); err != nil {
		return fmt.Errorf("connect to the server at %s: %w", h.URL, err)
	}
	s.js, err = jetstream.New(s.nc, jetstream.WithPublishAsyncMaxPending(window))
	return err
}

func (s *stage) close() error {
	if s.nc != nil {
		s.nc.Close()
	}
	defer s.server.pipe.Close()
	return s.server.stop()
}

// fill stores the first n transactions.
func (s *stage) fill(ctx context.Context, n int64) error {
	if err := s.stream(ctx, input, "input"); err != nil {
		return err
	}
	for id := range n {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := s.js.PublishAsync("input", work.Encoded(id), jetstream.WithStallWait(10*time.Second)); err != nil {
			return fmt.Errorf("fill the input stream: %w", err)
		}
	}
	select {
	case <-s.js.PublishAsyncComplete():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	have, err := s.count(ctx, input)
	if err == nil && have != n {
		err = fmt.Errorf("the input stream holds %d of %d transactions: look for room on the disk of the temporary directory", have, n)
	}
	return err
}

func (s *stage) stream(ctx context.Context, name, subject string) error {
	_, err := s.js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{subject}, Storage: jetstream.FileStorage})
	if err != nil {
		return fmt.Errorf("create stream %s: %w", name, err)
	}
	return nil
}

// set makes what one run needs. Every name is new: a stream that is made again
// under the name of one just deleted may meet what is left of it.
func (s *stage) set(ctx context.Context, w Workload, n int64) (*work.Job, error) {
	s.runs++
	tag := fmt.Sprintf("%s_%d", w.Name, s.runs)
	job := &work.Job{
		URL: s.url, Stream: input, Durable: "run_" + tag, DeadStream: "DEAD_" + tag, Dead: "dead." + tag,
		Concurrency: concurrency, Window: window, Wait: w.wait, Faulty: w.faulty,
		Attempts: attempts, Backoff: backoff, Inputs: n,
	}
	if err := s.stream(ctx, job.DeadStream, job.Dead); err != nil {
		return nil, err
	}
	if w.publishes {
		job.OutputStream, job.Output = "OUT_"+tag, "out."+tag
		if err := s.stream(ctx, job.OutputStream, job.Output); err != nil {
			return nil, err
		}
	}
	if w.live {
		job.Stream = "LIVE_" + tag
		if err := s.stream(ctx, job.Stream, liveSubject(job)); err != nil {
			return nil, err
		}
	}
	// A wait that no run reaches: a second delivery would be a fault of the contender.
	_, err := s.js.CreateConsumer(ctx, job.Stream, jetstream.ConsumerConfig{
		Durable: job.Durable, AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute, MaxAckPending: 16384,
	})
	if err != nil {
		return nil, fmt.Errorf("create consumer %s/%s: %w", job.Stream, job.Durable, err)
	}
	return job, nil
}

func liveSubject(job *work.Job) string { return "live." + job.Durable }

// strike removes what set made.
func (s *stage) strike(job *work.Job) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	for _, name := range []string{job.OutputStream, job.DeadStream} {
		if name != "" {
			errs = append(errs, s.js.DeleteStream(ctx, name))
		}
	}
	if job.Stream == input {
		errs = append(errs, s.js.DeleteConsumer(ctx, job.Stream, job.Durable))
	} else {
		errs = append(errs, s.js.DeleteStream(ctx, job.Stream))
	}
	return errors.Join(errs...)
}

func (s *stage) count(ctx context.Context, stream string) (int64, error) {
	st, err := s.js.Stream(ctx, stream)
	if err != nil {
		return 0, fmt.Errorf("look at stream %s: %w", stream, err)
	}
	return int64(st.CachedInfo().State.Msgs), nil
}
