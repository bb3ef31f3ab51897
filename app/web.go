package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
)

// httpReserve is how long requests that are under way may take at the end.
const httpReserve = 5 * time.Second

// web is the one HTTP server of a process, and what stands behind its routes. Its life is
// that of the run: a task that is started again finds the requests that wait for it.
type web struct {
	log       *slog.Logger
	server    *http.Server            // nil for none
	routes    int                     // of it
	sources   map[string]*http.Source // by the task whose answer is waited for
	receivers map[string]*http.Receiver
	outcomes  map[string]*http.Outcomes // by the task
	pub       *bus.Publisher            // of the receivers
	sinks     []ergon.Sink
}

// serves says whether the run has an HTTP server. One that ends once its streams are
// empty takes nothing new.
func (r *Runner) serves() bool {
	for _, t := range r.tasks {
		if t.config.Source.HTTP != nil && !t.untilEmpty {
			return true
		}
	}
	return false
}

// openWeb makes what takes requests, and opens no port yet.
func (r *Runner) openWeb(ctx context.Context) (err error) {
	log := slog.New(r.events)
	w := &web{
		log: log, sources: map[string]*http.Source{}, receivers: map[string]*http.Receiver{},
		outcomes: map[string]*http.Outcomes{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close(ctx, ctx))
			return
		}
		r.web.Store(w) // whoever asks how the process is sees it whole
	}()
	if r.serves() {
		if w.server, err = http.NewServer(r.opts.Config.HTTP, log); err != nil {
			return err
		}
	}
	for _, t := range r.tasks {
		if t.config.Source.HTTP == nil {
			continue
		}
		if err := r.openRoutes(ctx, w, t); err != nil {
			return fmt.Errorf("task %q: %w", t.task.Name(), err)
		}
	}
	return nil
}

// openRoutes makes what a task's requests go to, and adds its routes.
func (r *Runner) openRoutes(ctx context.Context, w *web, t bound) error {
	name, h := t.task.Name(), t.config.Source.HTTP
	if t.config.Source.Answers() {
		source := http.NewSource(h.SourceConfig)
		w.sources[name] = source
		return w.add(h.Routes, source)
	}
	warn := func(err error) {
		w.log.Warn("what became of a request is not recorded", "task", name, "error", err)
	}
	var records http.Records // nil for none
	if h.Records != nil {
		kept, err := openRecords(ctx, r.conn.JetStream(), *h.Records, r.log)
		if err != nil {
			return err
		}
		records = kept
		w.outcomes[name] = http.NewOutcomes(http.OutcomesConfig{Records: kept, Sources: sourcesOf(h.Routes), OnError: warn})
	}
	if w.server == nil {
		return nil
	}
	if w.pub == nil {
		var err error
		if w.pub, err = r.conn.NewPublisher(bus.PublisherConfig{}); err != nil {
			return err
		}
	}
	sink, err := jetstream.NewSink(w.pub, h.Subject, jetstream.InStream(t.config.Source.JetStream.Stream))
	if err != nil {
		return err
	}
	w.sinks = append(w.sinks, sink)
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: sink, Records: records, OnError: warn})
	if err != nil {
		return err
	}
	w.receivers[name] = receiver
	return w.add(h.Routes, receiver)
}

// sourcesOf are those of the transactions that routes take; none says that any may be one
// of them, as those of peers keep theirs.
func sourcesOf(routes []http.Route) (all []string) {
	for _, r := range routes {
		if r.Peer {
			return nil
		}
		all = append(all, r.Source())
	}
	return all
}

func (w *web) add(routes []http.Route, to http.Target) error {
	for _, route := range routes {
		if err := w.server.Add(route, to); err != nil {
			return err
		}
		w.routes++
	}
	return nil
}

// start opens the port.
func (w *web) start(ctx context.Context, log *slog.Logger) error {
	if w.server == nil {
		return nil
	}
	if err := w.server.Start(ctx); err != nil {
		return err
	}
	log.Info("http server listens", "address", w.server.Addr().String(), "routes", w.routes)
	return nil
}

// drain takes no new request from now on. It does not wait.
func (w *web) drain() {
	if w.server != nil {
		w.server.Drain()
	}
	for _, s := range w.sources {
		s.Drain()
	}
}

// done is what to call once a task has ended for good: who waits for its answers gets
// none. nil is nothing.
func (w *web) done(task string) func() {
	s := w.sources[task]
	if s == nil {
		return nil
	}
	return func() { _ = s.Close(context.Background()) } // which only answers, and never waits
}

// close ends it, once the engines have ended. Requests that do not end by themselves are
// cut off, and that is no failure of the run: who gets no answer sends them again.
func (w *web) close(ctx, answers context.Context) error {
	if w == nil {
		return nil
	}
	w.drain()
	for _, s := range w.sources {
		_ = s.Close(answers) // which only answers
	}
	if w.server != nil {
		if err := w.server.Close(answers); err != nil {
			w.log.Warn("requests were cut off", "error", err)
		}
	}
	var errs []error
	records, cancel := context.WithTimeout(ctx, stopReserve-time.Second) // a bucket that is away leaves the rest its time
	defer cancel()
	for task, o := range w.outcomes {
		if err := o.Close(records); err != nil {
			w.log.Warn("outcomes were not recorded to the end: some statuses stay pending", "task", task, "error", err)
		}
		if n := o.Dropped(); n > 0 {
			w.log.Warn("outcomes were dropped: their statuses stay pending", "task", task, "dropped", n)
		}
	}
	for _, s := range w.sinks {
		errs = append(errs, s.Close(ctx))
	}
	if w.pub != nil {
		errs = append(errs, w.pub.Close(ctx))
	}
	return errors.Join(errs...)
}

// checks are of what takes requests.
func (w *web) checks(tasks []bound) (all []engine.Check) {
	if w == nil || w.server == nil {
		return nil
	}
	all = append(all, engine.Check{Part: "http", Err: w.server.Health()})
	for _, t := range tasks {
		if v := w.receivers[t.task.Name()]; v != nil {
			all = append(all, engine.Check{Part: "http receiver of " + t.task.Name(), Err: v.Health()})
		}
	}
	return all
}

// HTTPAddr is where requests are taken, host:port, once Start has returned; "" where no
// task has an http source.
func (r *Runner) HTTPAddr() string {
	if w := r.web.Load(); w != nil && w.server != nil && w.server.Addr() != nil {
		return w.server.Addr().String()
	}
	return ""
}

// kept is a source of requests that outlives its task's engines, of which each closes its
// source.
type kept struct{ *http.Source }

// Close leaves the source to the run.
func (kept) Close(context.Context) error { return nil }

// teller brings records up to date with what an engine tells; nil where there are none.
func teller(o *http.Outcomes) func(engine.Event) {
	if o == nil {
		return nil
	}
	return func(ev engine.Event) {
		if end, ok := ev.(engine.Finished); ok {
			switch end.Outcome {
			case engine.Succeeded:
				o.Tell(end.Transaction, nil)
			case engine.Dead:
				o.Tell(end.Transaction, end.Err)
			case engine.Deferred, engine.Released, engine.Lost, engine.Abandoned, engine.Merged: // it comes again
			}
		}
	}
}
