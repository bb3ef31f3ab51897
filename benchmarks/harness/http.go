package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// HTTPConnections is how many requests are on their way at once, each on a connection
// of its own that is kept.
const HTTPConnections = 64

// The directions of HTTP: requests that a contender takes, and that it sends.
const (
	HTTPSource = "source"
	HTTPSink   = "sink"
)

// HTTPOptions say whose handling of HTTP is to be measured.
type HTTPOptions struct {
	N      int64 // requests per run
	Rounds int
	// Sources take requests, Sinks send them: names of contenders. The first of each is
	// what the others are compared with.
	Sources, Sinks []string
	// Timeout bounds one run.
	Timeout time.Duration
	// Profiles, if set, is a directory that gets profiles of each contender's latest run.
	// They cost some time.
	Profiles string
	// Progress is told of each run. May be nil.
	Progress func(text string)
}

// HTTPResult is one run of one contender.
type HTTPResult struct {
	Direction string // HTTPSource or HTTPSink
	Contender string
	// Rate is requests per second, from the first to the last.
	Rate float64
	// CPU is what the contender's process used for one request.
	CPU time.Duration
	// Latency is p50, p99 and p99.9 of the times from the request to its answer, of a
	// source.
	Latency [3]time.Duration
}

// String is the result in a few words.
func (r HTTPResult) String() string {
	s := fmt.Sprintf("%s %s: %.0f/s, %.2f µs CPU", r.Direction, r.Contender, r.Rate, micros(r.CPU))
	if r.Direction == HTTPSource {
		s += fmt.Sprintf(", p50 %s p99 %s", round(r.Latency[0]), round(r.Latency[1]))
	}
	return s
}

// HTTP measures the sources, and then the sinks. It stops at the first run that goes
// wrong, and has ended all that it started when it returns.
func HTTP(ctx context.Context, o HTTPOptions) (results []HTTPResult, err error) {
	if o.N < 2 || o.Rounds < 1 || o.Timeout <= 0 {
		return nil, errors.New("it takes two requests (-n), one round (-rounds) and a -timeout above 0s to measure anything")
	}
	s, err := newStage(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, d := range []struct {
		name       string
		contenders []string
		run        func(ctx context.Context, o HTTPOptions, name string) (HTTPResult, error)
	}{{HTTPSource, o.Sources, s.httpSource}, {HTTPSink, o.Sinks, s.httpSink}} {
		for round := range o.Rounds {
			for i := range d.contenders {
				name := d.contenders[(i+round)%len(d.contenders)] // as in Run
				r, err := s.boundedHTTP(ctx, o, d.name, name, d.run)
				if err != nil {
					return results, fmt.Errorf("%s, round %d, %s: %w", d.name, round+1, name, err)
				}
				results = append(results, r)
				tell(o.Progress, "round %d/%d %s", round+1, o.Rounds, r)
			}
		}
	}
	return results, nil
}

func (s *stage) boundedHTTP(ctx context.Context, o HTTPOptions, direction, name string,
	run func(ctx context.Context, o HTTPOptions, name string) (HTTPResult, error)) (HTTPResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout,
		fmt.Errorf("%s was not done after %s: it holds requests, or -timeout is too short", name, o.Timeout))
	defer cancel()
	r, err := run(ctx, o, name)
	r.Direction, r.Contender = direction, name
	return r, err
}

func (o HTTPOptions) job(direction, name string) *work.Job {
	job := &work.Job{Inputs: o.N, Concurrency: HTTPConnections, Window: window}
	if o.Profiles != "" {
		job.Profile = filepath.Join(o.Profiles, direction+"."+name)
	}
	return job
}

// httpSource has a contender take requests and store them in a stream of its own.
func (s *stage) httpSource(ctx context.Context, o HTTPOptions, name string) (_ HTTPResult, err error) {
	s.runs++
	job := o.job(HTTPSource, name)
	job.URL, job.OutputStream, job.Output = s.url, fmt.Sprintf("HTTP_%d", s.runs), fmt.Sprintf("http.%d", s.runs)
	if err := s.stream(ctx, job.OutputStream, job.Output); err != nil {
		return HTTPResult{}, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = errors.Join(err, s.js.DeleteStream(ctx, job.OutputStream))
	}()
	c := newCast(ctx)
	var l *load
	one, err := c.alone(name, job, func(listening hello) error {
		l, err = newLoad(listening.URL, o.N)
		if err != nil {
			return err
		}
		return l.run(c.ctx)
	})
	if err != nil {
		return HTTPResult{}, err
	}
	if err := s.checkStored(ctx, job, l); err != nil {
		return HTTPResult{}, fmt.Errorf("%s stored wrongly: %w", name, err)
	}
	return HTTPResult{Rate: rate(o.N, l.first, l.last), CPU: one.cpu / time.Duration(o.N), Latency: quantiles(l.took)}, nil
}

// httpSink has a contender send requests to a receiver that is a process of its own.
func (s *stage) httpSink(ctx context.Context, o HTTPOptions, name string) (_ HTTPResult, err error) {
	r, err := start("receiver", cmdReceive, fmt.Sprint(o.N))
	if err != nil {
		return HTTPResult{}, err
	}
	defer r.pipe.Close()
	defer func() { err = errors.Join(err, r.stop()) }()
	var listening hello
	if err := r.read(ctx, &listening); err != nil {
		return HTTPResult{}, err
	}
	job := o.job(HTTPSink, name)
	job.Target = listening.URL
	one, err := newCast(ctx).alone(name, job, func(hello) error { return nil })
	if err != nil {
		return HTTPResult{}, err
	}
	_ = r.stdin.Close()
	var got received
	if err := r.read(ctx, &got); err != nil {
		return HTTPResult{}, err
	}
	if err := got.check(o.N); err != nil {
		return HTTPResult{}, fmt.Errorf("%s sent wrongly: %w", name, err)
	}
	return HTTPResult{Rate: rate(o.N, got.First, got.Last), CPU: one.cpu / time.Duration(o.N)}, nil
}

// alone runs one process, calls f with the first thing that it says, and ends it.
func (c *cast) alone(name string, job *work.Job, f func(hello) error) (did, error) {
	err := c.start(name, job)
	if err == nil {
		var word hello
		if err = c.all[0].read(c.ctx, &word); err == nil {
			err = f(word)
		}
	}
	all, stopped := c.stop()
	if err = errors.Join(err, stopped); err != nil {
		return did{}, err
	}
	return all[0], nil
}
