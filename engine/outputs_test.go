package engine_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// outputs registers a task that returns these outputs, on the routes a and b.
func outputs(outs ...ergon.Output) engine.Task {
	return engine.Consume("split", plain[string, ergon.Outputs](func(context.Context, ergon.Transaction[string]) (ergon.Outputs, error) {
		return outs, nil
	}), engine.Routes("a", "b"))
}

func idsOf(txs []ergon.Raw) []string {
	ids := make([]string, len(txs))
	for i, tx := range txs {
		ids[i] = tx.ID()
	}
	return ids
}

// R047, DESIGN §1: what an output carries.
func TestOutputEnvelope(t *testing.T) {
	meta := ergon.NewMetadata(func(yield func(string, string) bool) { yield("tenant", "7") })
	r := newRig(outputs(ergon.Output{Route: "b", Payload: order{"x"}, Key: "k", Metadata: meta}))
	r.make()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	in := ergon.New([]byte(`"in"`), ergon.WithID("in"), ergon.WithSource("shop"), ergon.WithCorrelationID("flow"),
		ergon.WithTrace(ergon.Trace{Parent: parent, State: "a=b"}))
	r.queue.Push(in, ergon.New([]byte(`"in"`), ergon.WithID("root"), ergon.WithSource("shop")))
	r.policy.Loop.Concurrency = 1
	r.run(t)
	first, second := r.sink.All()[0], r.sink.All()[1]
	require.Equal(t, "/ergon/test/split", first.Source())
	require.Equal(t, "b", first.Type())
	require.Equal(t, "in", first.CausationID())
	require.Equal(t, "flow", first.CorrelationID())
	require.Equal(t, "k", first.Key())
	require.Equal(t, "7", first.Metadata().Get("tenant"))
	require.Equal(t, ergon.Trace{Parent: parent, State: "a=b"}, first.Trace(), "R020: one trace")
	require.Equal(t, `{"sku":"x"}`, string(first.Payload()))
	require.Equal(t, "root", second.CorrelationID(), "a root begins a flow")
	require.NotEmpty(t, second.Trace().Parent)
	require.NotEqual(t, first.ID(), second.ID())
}

// DESIGN §2: the ID of an output is a function of the input, the task, the route
// and the key, else the payload and its occurrence: a redelivery sends the same.
func TestOutputIDsAreStableOverRedelivery(t *testing.T) {
	outs := []ergon.Output{
		ergon.To("a", 1), ergon.To("a", 1), ergon.To("b", 1), ergon.To("a", 2),
		{Route: "a", Payload: 1, Key: "k"}, {Route: "a", Payload: 1, Key: "l"}, {Route: "b", Payload: 1, Key: "k"},
	}
	sent := func(outs []ergon.Output) []string {
		r := newRig(outputs(outs...))
		r.push("in")
		r.run(t)
		return idsOf(r.sink.All())
	}
	first := sent(outs)
	require.Len(t, first, len(outs))
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(first))), len(outs), "all differ")
	require.Equal(t, first, sent(outs))
	outs[4].Payload = "another"
	require.Equal(t, first, sent(outs), "with a key the content does not matter")
	slices.Reverse(outs)
	require.ElementsMatch(t, first, sent(outs), "nor does the order, but for equal ones")
}

// Two outputs with one key would have one ID, and the bus would drop the second.
func TestOutputFaultsAreFinal(t *testing.T) {
	for name, c := range map[string]struct {
		outs []ergon.Output
		want string
	}{
		"duplicate key": {[]ergon.Output{{Route: "a", Key: "k", Payload: 1}, {Route: "b", Key: "k", Payload: 1}, {Route: "a", Key: "k", Payload: 2}}, `output 3: a second output for route "a" has the key "k"`},
		"unknown route": {[]ergon.Output{ergon.To("a", 1), ergon.To("c", 1)}, `output 2 names route "c"`},
		"no route":      {[]ergon.Output{ergon.To("", 1)}, `output 1 names route ""`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(outputs(c.outs...))
			r.push("in")
			report := r.run(t)
			err := r.onlyDead(t).Settlement.Err
			require.Equal(t, ergon.CategoryBusiness, err.Category)
			require.Equal(t, ergon.PhaseProduce, err.Phase)
			require.ErrorContains(t, err, c.want)
			require.Zero(t, report.Retries)
			require.Empty(t, r.sink.All(), "all or nothing")
		})
	}
}

// Equal outputs of many transactions are all stored: IDs of different inputs
// differ.
func TestManyOutputs(t *testing.T) {
	r := newRig(engine.Consume("split", plain[string, ergon.Outputs](func(_ context.Context, tx ergon.Transaction[string]) (ergon.Outputs, error) {
		var outs ergon.Outputs
		for i := range len(tx.ID()) {
			outs = append(outs, ergon.To([]string{"a", "b"}[i%2], strconv.Itoa(i)))
		}
		return outs, nil
	}), engine.Routes("a", "b")))
	r.push(names(50)...)
	report := r.run(t)
	require.EqualValues(t, 300, report.Outputs)
	require.Len(t, r.sink.All(), 300)
	require.Zero(t, r.sink.Duplicates())
}

// R053: an output's time is the Now of its transaction, whenever it was made.
func TestOutputIsAsOldAsItsTransactionsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now time.Time
		r := newRig(consume(func(ctx context.Context, _ ergon.Transaction[string]) (string, error) {
			time.Sleep(time.Second)
			now = ergon.Now(ctx)
			return "x", nil
		}))
		r.push("a")
		r.run(t)
		require.Equal(t, now.UTC(), r.sink.All()[0].CreatedAt())
	})
}
