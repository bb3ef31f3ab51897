package ergontest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
)

// Result is what became of one transaction.
type Result struct {
	// ID is the transaction's.
	ID string
	// Outcome is engine.Succeeded, engine.Dead for a dead letter, or engine.Released for
	// what the run left unfinished, because its policy limits it.
	Outcome engine.Outcome
	// Err is why, for Dead; nil otherwise.
	Err *ergon.Error
	// HandlerErr is what HandleException failed with.
	HandlerErr error
	// Attempts are those of all phases, in their order.
	Attempts []Attempt
	// Outputs are what was sent and stored, in that order; also of a transaction that
	// failed after that. The Type of each is its route. Of several transactions with
	// one ID, whose outputs have the same IDs and are stored once, the first has them.
	Outputs []ergon.Raw

	routes []string
}

// Attempt is one attempt of a phase.
type Attempt struct {
	Phase       ergon.Phase
	Number      int // 1 for the first
	MaxAttempts int
	Took        time.Duration
	Err         error         // nil for one that did well
	Delay       time.Duration // until the next one, 0 if there is none
}

// Expect ends the test unless the transaction ended so: successfully for nil, else as a
// dead letter whose error is want as errors.Is has it. An ergon.Category will do. The
// message tells all that happened.
func (r Result) Expect(t testing.TB, want error) {
	t.Helper()
	switch {
	case want == nil && r.Outcome != engine.Succeeded:
		t.Fatalf("it should have succeeded\n%s", r)
	case want != nil && r.Err == nil:
		t.Fatalf("it should be a dead letter: %v\n%s", want, r)
	case want != nil && !errors.Is(r.Err, want):
		t.Fatalf("it should be a dead letter for another reason: %v\n%s", want, r)
	}
}

// Sent decodes the outputs of some routes, or of all if none is named, by their content
// type; a P of []byte takes them as they are. One that is no P ends the test, and so does
// a route that the task does not have.
func Sent[P any](t testing.TB, r Result, routes ...string) []P {
	t.Helper()
	for _, name := range routes {
		if !slices.Contains(r.routes, name) {
			t.Fatalf("route %q: the task has %q", name, r.routes)
		}
	}
	var sent []P
	for _, out := range r.Outputs {
		if len(routes) > 0 && !slices.Contains(routes, out.Type()) {
			continue
		}
		var p P
		codec := ergon.JSON
		if reflect.TypeFor[P]() == reflect.TypeFor[[]byte]() {
			codec = ergon.Bytes
		}
		if !codec.Accepts(ergon.MediaType(out.ContentType())) {
			t.Fatalf("route %q: an output is %s, which is not decoded here: take it as []byte\n%s", out.Type(), out.ContentType(), r)
		}
		if err := codec.Unmarshal(out.Payload(), &p); err != nil {
			t.Fatalf("route %q: an output is no %T: %v\n%s", out.Type(), p, err, r)
		}
		sent = append(sent, p)
	}
	return sent
}

// String tells all that happened to the transaction, a line for each attempt and output.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "transaction %s: %s", r.ID, r.Outcome)
	if r.Err != nil {
		fmt.Fprintf(&b, ": %v", r.Err)
	}
	for _, a := range r.Attempts {
		fmt.Fprintf(&b, "\n  %s, attempt %d of %d: ", a.Phase, a.Number, a.MaxAttempts)
		if a.Err == nil {
			b.WriteString("done")
			continue
		}
		b.WriteString(a.Err.Error())
		if a.Delay > 0 {
			fmt.Fprintf(&b, " (the next one after %v)", a.Delay)
		}
	}
	for _, out := range r.Outputs {
		fmt.Fprintf(&b, "\n  sent to %s: %s", out.Type(), out.Payload())
	}
	if r.HandlerErr != nil {
		fmt.Fprintf(&b, "\n  the exception hook failed: %v", r.HandlerErr)
	}
	return b.String()
}

// identity makes a transaction this one.
type identity struct{ source, id string }

func identityOf(tx ergon.Raw) identity { return identity{tx.Source(), tx.ID()} }

func identities[In any](txs []ergon.Transaction[In]) []identity {
	all := make([]identity, len(txs))
	for i, tx := range txs {
		all[i] = identity{tx.Source(), tx.ID()}
	}
	return all
}

// results puts together what is known of each transaction.
func (r *run) results(ended []engine.Result, ids []identity) []Result {
	all := make([]Result, len(ids))
	open := make(map[identity][]int, len(ids)) // those of one identity run one after the other
	causes := make(map[string]int, len(ids))
	for i, id := range ids {
		all[i] = Result{ID: id.id, Outcome: engine.Released, routes: r.routes}
		if i < len(ended) { // it was taken
			e := ended[i]
			all[i].Outcome, all[i].Err, all[i].HandlerErr = e.Outcome, e.Err, e.HandlerErr
		}
		open[id] = append(open[id], i)
		if _, again := causes[id.id]; !again {
			causes[id.id] = i
		}
	}
	for _, ev := range r.events.All() {
		switch ev := ev.(type) {
		case engine.AttemptEnded:
			to := &all[open[identityOf(ev.Transaction)][0]]
			to.Attempts = append(to.Attempts, Attempt{
				Phase: ev.Phase, Number: ev.Attempt, MaxAttempts: ev.MaxAttempts, Took: ev.Duration, Err: ev.Err,
			})
		case engine.RetryScheduled:
			to := &all[open[identityOf(ev.Transaction)][0]]
			for i := range slices.Backward(to.Attempts) {
				if a := &to.Attempts[i]; a.Phase == ev.Phase && a.Number == ev.Attempt {
					a.Delay = ev.Delay
					break
				}
			}
		case engine.Finished:
			id := identityOf(ev.Transaction)
			open[id] = open[id][1:]
		}
	}
	for _, out := range r.sink.All() {
		to := &all[causes[out.CausationID()]]
		to.Outputs = append(to.Outputs, out)
	}
	return all
}
