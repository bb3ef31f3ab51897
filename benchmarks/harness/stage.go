package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	dir    string
	server *process
	url    string
	nc     *nats.Conn
	js     jetstream.JetStream
	runs   int
}

func newStage(ctx context.Context) (*stage, error) {
	dir, err := os.MkdirTemp("", "ergon-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the server's streams: %w", err)
	}
	p, err := start("nats-server", cmdServer, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &stage{dir: dir, server: p}
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
	return errors.Join(s.server.stop(), os.RemoveAll(s.dir))
}

// fill stores the first n transactions.
func (s *stage) fill(ctx context.Context, n int64) error {
	if err := s.stream(ctx, input, "input"); err != nil {
		return err
	}
	return s.store(ctx, input, func(int64) string { return "input" }, 0, n)
}

func (s *stage) stream(ctx context.Context, name, subject string) error {
	_, err := s.js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{subject}, Storage: jetstream.FileStorage})
	if err != nil {
		return fmt.Errorf("create stream %s: %w", name, err)
	}
	return nil
}

// set makes what one run needs. Every name is new: a stream that is made again
// under the name of one just deleted may meet what is left of it. Of a live
// workload, tasks is how many share the job, or 0 for a contender that is one.
func (s *stage) set(ctx context.Context, w Workload, n int64, tasks int) (*work.Job, error) {
	s.runs++
	tag := fmt.Sprintf("%s_%d", w.Name, s.runs)
	job := &work.Job{
		URL: s.url, Stream: input, Durable: "run_" + tag, DeadStream: "DEAD_" + tag, Dead: "dead." + tag,
		Concurrency: concurrency, Window: window, Wait: w.wait, Faulty: w.faulty,
		Attempts: attempts, Backoff: backoff, Inputs: n,
	}
	below := ""
	if tasks > 0 {
		below = ".*"
	}
	if err := s.stream(ctx, job.DeadStream, job.Dead); err != nil {
		return nil, err
	}
	if w.publishes {
		job.OutputStream, job.Output = "OUT_"+tag, "out."+tag
		if err := s.stream(ctx, job.OutputStream, job.Output+below); err != nil {
			return nil, err
		}
	}
	if w.live {
		job.Stream = "LIVE_" + tag
		if err := s.stream(ctx, job.Stream, liveSubject(job)+below); err != nil {
			return nil, err
		}
	}
	for k := range tasks {
		job.Parts = append(job.Parts, work.Part{
			Durable: fmt.Sprintf("%s_%d", job.Durable, k),
			Subject: fmt.Sprintf("%s.%d", liveSubject(job), k),
			Output:  fmt.Sprintf("%s.%d", job.Output, k),
		})
	}
	for k, durable := range durables(job) {
		// A wait that no run reaches: a second delivery would be a fault of the contender.
		cfg := jetstream.ConsumerConfig{
			Durable: durable, AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute, MaxAckPending: 16384,
		}
		if tasks > 0 {
			cfg.FilterSubject = job.Parts[k].Subject
		}
		if _, err := s.js.CreateConsumer(ctx, job.Stream, cfg); err != nil {
			return nil, fmt.Errorf("create consumer %s/%s: %w", job.Stream, durable, err)
		}
	}
	return job, nil
}

func liveSubject(job *work.Job) string { return "live." + job.Durable }

// durables are the consumers of a job.
func durables(job *work.Job) []string {
	if len(job.Parts) == 0 {
		return []string{job.Durable}
	}
	names := make([]string, len(job.Parts))
	for k, p := range job.Parts {
		names[k] = p.Durable
	}
	return names
}

// parked is where Ergon's contenders keep a consumer per source.
const parked = "ERGON_PARKED"

// strike removes what set made, and the consumers that the contender made: a
// thousand of them, from all earlier runs, would burden the later ones.
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
	return errors.Join(append(errs, s.unpark(ctx))...)
}

func (s *stage) unpark(ctx context.Context) error {
	st, err := s.js.Stream(ctx, parked)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at stream %s: %w", parked, err)
	}
	var all []string
	names := st.ConsumerNames(ctx)
	for name := range names.Name() {
		all = append(all, name)
	}
	errs := []error{names.Err()}
	for _, name := range all {
		errs = append(errs, s.js.DeleteConsumer(ctx, parked, name))
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
