package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/policy"
)

// WiringError says what does not fit between tasks and configuration. It names
// every fault, as a *WiringFault; each says which task, and what to do.
type WiringError struct{ Faults []error }

// WiringFault is one of them.
type WiringFault struct {
	// Path is the keys of the configuration that it is about, as tasks.score.routes.late;
	// they need not be there.
	Path string
	// Err says what is wrong.
	Err error
}

// Error is that of Err, which names the task.
func (f *WiringFault) Error() string { return f.Err.Error() }

// Unwrap returns Err.
func (f *WiringFault) Unwrap() error { return f.Err }

// taskFault is a fault of a task, at the keys below it.
func taskFault(task, below, format string, a ...any) error {
	return &WiringFault{Path: "tasks." + task + below, Err: fmt.Errorf("task %q: "+format, append([]any{task}, a...)...)}
}

// Error has one line per fault.
func (e *WiringError) Error() string { return errors.Join(e.Faults...).Error() }

// Unwrap returns the faults.
func (e *WiringError) Unwrap() []error { return e.Faults }

// bound is a task with its configuration.
type bound struct {
	task   Task
	config config.Task
	policy policy.Consumer
	prod   policy.Producer   // of a task that produces
	feeds  []<-chan struct{} // ended of the tasks that send to this one's source
	ended  chan struct{}

	untilEmpty bool // see Options.UntilEmpty
}

func sorted(tasks []Task) Registered {
	slices.SortStableFunc(tasks, func(a, b Task) int { return strings.Compare(a.Name(), b.Name()) })
	return tasks
}

// bind finds the configuration of each task to run, and every fault.
func bind(tasks Registered, opts Options) ([]bound, error) {
	var faults []error
	fault := func(task, format string, a ...any) { faults = append(faults, taskFault(task, "", format, a...)) }
	cfg := opts.Config
	tasks, err := tasks.With(cfg)
	if wiring, ok := errors.AsType[*WiringError](err); ok {
		faults = wiring.Faults
	}
	byName := make(map[string]Task, len(tasks))
	for _, t := range tasks {
		if _, twice := byName[t.Name()]; twice {
			fault(t.Name(), "two tasks are registered under this name: give one of them another")
		}
		byName[t.Name()] = t
	}
	names := slices.Sorted(maps.Keys(byName))
	for _, name := range slices.Sorted(maps.Keys(cfg.Tasks)) {
		if _, ok := byName[name]; !ok && wanted(opts, name) && cfg.Tasks[name].Use == "" {
			fault(name, "it is configured, and no module provides it; this program has %s%s", list(names), nearest(name, names))
		}
	}
	for _, name := range opts.Only {
		if _, ok := cfg.Tasks[name]; !ok && byName[name].Name() == "" {
			fault(name, "there is no such task; this program has %s%s", list(names), nearest(name, names))
		}
	}
	var all []bound
	for _, name := range names {
		if !wanted(opts, name) {
			continue
		}
		t := byName[name]
		if t.Err() != nil {
			faults = append(faults, &WiringFault{Path: "tasks." + name, Err: t.Err()})
		}
		c, ok := cfg.Tasks[name]
		if !ok && spare(opts) {
			continue
		}
		if !ok {
			fault(name, "it has no configuration: add tasks.%s with its source to the configuration, or name the tasks to run", name)
			continue
		}
		faults = append(append(faults, routeFaults(t, c)...), replyFaults(t, c)...)
		if opts.UntilEmpty && c.Source.Answers() {
			fault(name, "its source is http, whose callers wait for answers: it is never empty; name the tasks to run until their sources are")
		}
		p := c.Consumer.Clone()
		if opts.UntilEmpty {
			p.Loop.Streaming = false
		}
		if opts.Limit > 0 {
			p.Loop.Limit = opts.Limit
		}
		prod := c.Producer.Clone()
		if opts.Limit > 0 {
			prod.Loop.Limit = opts.Limit
		}
		all = append(all, bound{task: t, config: c, policy: p, prod: prod, ended: make(chan struct{}), untilEmpty: opts.UntilEmpty})
	}
	if len(all) == 0 && len(faults) == 0 {
		faults = append(faults, &WiringFault{Path: "tasks", Err: errors.New("there is nothing to run: no module provides a task")})
	}
	if len(faults) > 0 {
		return nil, &WiringError{faults}
	}
	link(all)
	for i := range all {
		if opts.Feeding != nil {
			all[i].feeds = append(all[i].feeds, opts.Feeding)
		}
	}
	return all, nil
}

func wanted(opts Options, name string) bool {
	return len(opts.Only) == 0 || slices.Contains(opts.Only, name)
}

// routeFaults compares the routes that a task declared with those configured.
func routeFaults(t Task, c config.Task) (faults []error) {
	fault := func(route, format string, a ...any) {
		faults = append(faults, taskFault(t.Name(), ".routes"+route, format, a...))
	}
	configured := slices.Sorted(maps.Keys(c.Routes))
	declared := t.Routes()
	switch {
	case t.Err() != nil:
	case !t.Sends() && len(configured) > 0:
		fault("", "it sends nothing (its Out is ergon.None): remove its routes %s", list(configured))
	case t.Sends() && len(declared) == 0 && len(configured) == 0 && c.Source.Answers():
	case t.Sends() && len(declared) == 0 && len(configured) != 1:
		fault("", "it returns one value, so it needs exactly one route, and %d are configured", len(configured))
	case len(declared) > 0:
		for _, name := range declared {
			if !slices.Contains(configured, name) && !c.Source.Answers() {
				fault("."+name, "its route %q is not bound: add tasks.%s.routes.%s to the configuration", name, t.Name(), name)
			}
		}
		for _, name := range configured {
			if !slices.Contains(declared, name) {
				fault("."+name, "route %q is configured, and the task does not have it; it has %s%s", name, list(declared), nearest(name, declared))
			}
		}
	}
	return faults
}

// replyFaults compares the routes whose outputs callers get with those that a task has.
func replyFaults(t Task, c config.Task) (faults []error) {
	if t.Err() != nil || !c.Source.Answers() {
		return nil
	}
	has := t.Routes()
	if len(has) == 0 {
		has = c.Outputs()
	}
	for i, r := range c.Source.HTTP.Routes {
		if r.Reply != "" && !slices.Contains(has, r.Reply) {
			faults = append(faults, taskFault(t.Name(), fmt.Sprintf(".source.http.routes[%d].reply", i),
				"the answer is to be what it sends on route %q, and it has %s%s", r.Reply, list(has), nearest(r.Reply, has)))
		}
	}
	return faults
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}

func nearest(name string, names []string) string {
	if n := policy.Nearest(name, names); n != "" {
		return fmt.Sprintf(" (did you mean %q?)", n)
	}
	return ""
}

// link finds which tasks feed which: those whose routes lead to the stream that
// another reads. Run until empty, a task waits for those that feed it.
func link(all []bound) {
	reaches := func(from, to int) bool {
		seen := make([]bool, len(all))
		var visit func(int) bool
		visit = func(i int) bool {
			if i == to {
				return true
			}
			if seen[i] {
				return false
			}
			seen[i] = true
			for j := range all {
				if j != i && feeds(all[i].config, all[j].config) && visit(j) {
					return true
				}
			}
			return false
		}
		return visit(from)
	}
	for i := range all {
		for j := range all {
			// Of a circle nobody waits: each would wait for itself.
			if i != j && feeds(all[i].config, all[j].config) && !reaches(j, i) {
				all[j].feeds = append(all[j].feeds, all[i].ended)
			}
		}
	}
}

func feeds(from, to config.Task) bool {
	for _, r := range from.Routes {
		if r.JetStream != nil && to.Source.JetStream != nil && r.JetStream.Stream == to.Source.JetStream.Stream {
			return true
		}
	}
	return false
}

// source makes a task's source.
func (r *Runner) source(ctx context.Context, t bound, p *parts) (ergon.Source, error) {
	if t.config.Source.Answers() {
		p.lost = func() error { return nil } // nothing is stored
		return kept{r.web.Load().sources[t.task.Name()]}, nil
	}
	letters, err := r.conn.NewDeadLetters(ctx, t.config.DeadLetters.Config(), r.letters)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, letters.Close)
	js := t.config.Source.JetStream
	cfg := jetstream.SourceConfig{
		Bus: r.conn.Bus, Task: t.task.Name(), DeadLetters: letters, Logger: r.log,
		Consumer: js.Consumer, MaxBytes: js.MaxBytes, Starts: r.conn.NewStarts(r.opts.Config.Parking.Replicas),
	}
	for _, s := range r.opts.Config.Topology() {
		if s.Name == js.Stream {
			cfg.Stream = &s
		}
	}
	if !t.task.Producer() {
		if cfg.Parking, err = r.parking(ctx, t.config.Parks()); err != nil {
			return nil, err
		}
	}
	source, err := jetstream.NewSource(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p.lost = source.Lost
	if len(t.feeds) > 0 && r.opts.UntilEmpty {
		return &fed{Source: source, feeds: t.feeds}, nil
	}
	return source, nil
}

// parking is where transactions wait for an attempt that is further off than
// transaction.redeliver_over. A task that does not park may have done so before:
// what waits is taken up all the same.
func (r *Runner) parking(ctx context.Context, parks bool) (*bus.Parking, error) {
	cfg := r.opts.Config.Parking.Config()
	if !parks {
		switch _, err := r.conn.JetStream().Stream(ctx, cfg.Stream); {
		case errors.Is(err, natsjs.ErrStreamNotFound):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("look for transactions parked in %q: %w", cfg.Stream, err)
		}
	}
	p, err := r.conn.NewParking(ctx, cfg, r.letters)
	if errors.Is(err, bus.ErrNoSchedules) {
		return nil, fmt.Errorf("%w: let NATS be 2.12 or later, or set transaction.redeliver_over to 0s, so that every wait before a retry is spent in place", err)
	}
	return p, err
}

// sinks makes one sink per route, those of streams over one publisher. Where callers wait
// for the answer, what is not bound is the answer alone.
func (r *Runner) sinks(t bound, p *parts) (map[string]ergon.Sink, error) {
	sinks := make(map[string]ergon.Sink, len(t.config.Routes))
	for _, name := range answered(t) {
		sinks[name] = http.ReplySink()
	}
	var pub *bus.Publisher
	for name, route := range t.config.Routes {
		var sink ergon.Sink
		var err error
		if route.HTTP != nil {
			sink, err = http.NewSink(*route.HTTP)
		} else {
			if pub == nil {
				if pub, err = r.publisher(t, p); err != nil {
					return nil, err
				}
			}
			sink, err = jetstream.NewSink(pub, route.JetStream.Subject, jetstream.InStream(route.JetStream.Stream))
		}
		if err != nil {
			return nil, fmt.Errorf("route %q: %w", name, err)
		}
		sinks[name] = sink
	}
	return sinks, nil
}

// answered are the routes of a task that are not bound, since its callers get the outputs.
func answered(t bound) (names []string) {
	if !t.config.Source.Answers() || !t.task.Sends() {
		return nil
	}
	declared := t.task.Routes()
	if len(declared) == 0 && len(t.config.Routes) == 0 {
		return []string{config.ReplyRoute}
	}
	for _, name := range declared {
		if _, ok := t.config.Routes[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// publisher makes the one of a task's outputs.
func (r *Runner) publisher(t bound, p *parts) (*bus.Publisher, error) {
	window, timeout := t.policy.Loop.Window, t.policy.Produce.Retry.Timeout
	if t.task.Producer() {
		window, timeout = t.prod.Loop.Window, t.prod.Produce.Retry.Timeout
	}
	pub, err := r.conn.NewPublisher(bus.PublisherConfig{Window: window, Timeout: timeout.D()})
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, pub.Close)
	return pub, nil
}
