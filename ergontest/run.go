// Package ergontest runs a task on transactions with the real engine, and shows what
// became of each: for tests of tasks.
//
//	task := engine.Consume("price", &price.Pricer{Catalog: fake})
//	got := ergontest.Run(t, task, ergon.New(price.Order{Item: "mug", Quantity: 3}))[0]
//	got.Expect(t, nil)
//	priced := ergontest.Sent[price.Priced](t, got)
//
// Retries, their waits, timeouts, classification, hooks and the IDs of outputs are
// those of a run on a bus, by the policy's defaults. Payloads are encoded and decoded as
// they would be. There is no bus: outputs are kept in memory, and a dead letter is a
// result whose Outcome is [engine.Dead].
//
// No time passes. A run is in a bubble of testing/synctest, where the clock jumps to
// whatever is waited for next; eight attempts over two minutes take a millisecond. So
// a task under test is given fakes of services, not connections: while one is open the
// clock stands still, and the run would hang. [Settings.RealTime] is for those.
//
// A test that needs a bus gets one from package ergontest/natstest.
package ergontest

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// Route is the route of a task that returns one value and declares none: on a bus its
// name is the configuration's choice.
const Route = "out"

// Settings are what a run may have otherwise. The zero value is what [Run] takes.
type Settings struct {
	// Policy is that of a task that consumes. nil: policy.DefaultConsumer.
	Policy *policy.Consumer
	// Producer is that of a task that produces. nil: policy.DefaultProducer.
	Producer *policy.Producer
	// OnSend, if set, is asked before an output is stored, whose route is its Type; its
	// error is what that send fails with. A memory.Answer says more than that. It is
	// called from many goroutines at once.
	OnSend func(output ergon.Raw) error
	// Observe, if set, gets every event of the engine, from many goroutines at once; see
	// [Recorder].
	Observe func(engine.Event)
	// RealTime runs without a bubble: retries and timeouts take the time they take.
	RealTime bool
}

// Run runs a task, made by engine.Consume, engine.Produce or their likes in package
// app, on transactions, and returns what became of each, in their order. They run
// concurrently, as on a bus. In is the task's own; []byte is what stands on the wire, for
// a task of any In.
//
// What keeps the run from happening ends the test: a task that is registered wrongly,
// payloads of another type. How transactions ended does not; see [Result.Expect]. In a
// bubble of the caller's Run uses that one.
func Run[In any](t *testing.T, task engine.Task, txs ...ergon.Transaction[In]) []Result {
	t.Helper()
	return RunWith(t, Settings{}, task, txs...)
}

// RunWith is Run with settings.
func RunWith[In any](t *testing.T, s Settings, task engine.Task, txs ...ergon.Transaction[In]) []Result {
	t.Helper()
	if err := check(task, txs); err != nil {
		t.Fatal(err)
	}
	r := newRun(s, task)
	var report engine.SeqReport
	var err error
	body := func() {
		// Not the test's context: its channel may be of outside of the bubble, where
		// waiting for it would stop the clock.
		report, err = engine.RunSeq(context.Background(), r.config, slices.Values(txs))
	}
	if s.RealTime || inBubble() {
		body()
	} else {
		stop := watch(os.Stderr, task.Name(), &r.events)
		defer stop() // also where the bubble ends the test
		synctest.Test(t, func(*testing.T) { body() })
	}
	if err != nil {
		t.Fatalf("task %q: the run failed: %v", task.Name(), err)
	}
	return r.results(report.Results, identities(txs))
}

// check says what keeps a run from happening.
func check[In any](task engine.Task, txs []ergon.Transaction[In]) error {
	in := reflect.TypeFor[In]()
	switch {
	case task.Err() != nil:
		return task.Err()
	case len(txs) == 0:
		return fmt.Errorf("task %q: there is nothing to run it on: pass transactions, made with ergon.New", task.Name())
	case in != task.In() && in != reflect.TypeFor[[]byte]():
		return fmt.Errorf("task %q takes %v, and is given %v: pass its own type, or []byte for what stands on the wire", task.Name(), task.In(), in)
	}
	return nil
}

// run is one call of Run.
type run struct {
	config engine.Config
	sink   *memory.Sink
	events Recorder
	routes []string
}

func newRun(s Settings, task engine.Task) *run {
	r := &run{sink: memory.NewSink(memory.SinkOptions{OnSend: s.OnSend}), routes: task.Routes()}
	if len(r.routes) == 0 && task.Sends() {
		r.routes = []string{Route}
	}
	consumer, producer := policy.DefaultConsumer(), policy.DefaultProducer()
	if s.Policy != nil {
		consumer = *s.Policy
	}
	if s.Producer != nil {
		producer = *s.Producer
	}
	sinks := make(map[string]ergon.Sink, len(r.routes))
	for _, route := range r.routes {
		sinks[route] = r.sink
	}
	r.config = engine.Config{
		Task: task, Sinks: sinks, Policy: consumer, Producer: producer, App: "test",
		Observe: func(ev engine.Event) {
			r.events.Observe(ev)
			if s.Observe != nil {
				s.Observe(ev)
			}
		},
	}
	return r
}

// inBubble reports whether the caller runs in a bubble of testing/synctest, which says
// so only by what it refuses.
func inBubble() (in bool) {
	defer func() {
		if v := recover(); v != nil {
			in = !strings.Contains(fmt.Sprint(v), "not in a bubble")
		}
	}()
	synctest.Wait()
	return true
}
