package engine_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/stretchr/testify/require"
)

type order struct {
	SKU string `json:"sku"`
}

type scored struct {
	SKU   string `json:"sku"`
	Score int    `json:"score"`
}

type scorer struct{}

func (scorer) Process(context.Context, ergon.Transaction[order]) (scored, error) {
	return scored{}, nil
}

type wrongSuccess struct{ scorer }

func (wrongSuccess) HandleSuccess(context.Context, ergon.Transaction[order], *scored) error {
	return nil
}

type wrongException struct{ scorer }

func (wrongException) HandleException(context.Context, ergon.Transaction[order], error) error {
	return nil
}

type pointerHook struct{ scorer }

func (*pointerHook) HandleSuccess(context.Context, ergon.Transaction[order], scored) error {
	return nil
}

type splitter struct{}

func (splitter) Process(context.Context, ergon.Transaction[order]) (ergon.Outputs, error) {
	return nil, nil
}

type silent struct{}

func (silent) Process(context.Context, ergon.Transaction[order]) (ergon.None, error) {
	return ergon.None{}, nil
}

// DESIGN §1: In and Out are inferred from the task.
func TestConsumeInfersTheTypes(t *testing.T) {
	task := engine.Consume("score", scorer{})
	require.NoError(t, task.Err())
	require.Equal(t, reflect.TypeFor[order](), task.In())
	require.Equal(t, reflect.TypeFor[scored](), task.Out())
	require.Equal(t, "score", task.Name())
	require.True(t, task.Sends())
	require.Empty(t, task.Routes())
	require.False(t, engine.Consume("audit", silent{}).Sends())
	require.Equal(t, []string{"a", "b"}, engine.Consume("split", splitter{}, engine.Routes("b", "a", "b")).Routes())
	require.NoError(t, engine.Consume("hook", &pointerHook{}).Err())
}

// DESIGN §1: what is wrong with a task shows at its registration.
func TestConsumeFindsFaults(t *testing.T) {
	for name, c := range map[string]struct {
		task engine.Task
		want string
	}{
		"hook with another signature":  {engine.Consume("score", wrongSuccess{}), "wrongSuccess.HandleSuccess has the signature"},
		"other hook, other signature":  {engine.Consume("score", wrongException{}), "wrongException.HandleException has the signature"},
		"hook of the pointer only":     {engine.Consume("score", pointerHook{}), "register &pointerHook{…}"},
		"nil pointer":                  {engine.Consume("score", (*pointerHook)(nil)), "it is nil"},
		"nil interface":                {engine.Consume[order, scored]("score", nil), "it is nil"},
		"no name":                      {engine.Consume("", scorer{}), "a name is"},
		"name with a dot":              {engine.Consume("a.b", scorer{}), "a name is"},
		"name in capitals":             {engine.Consume("Score", scorer{}), "a name is"},
		"outputs without routes":       {engine.Consume("split", splitter{}), "declares no routes"},
		"empty route":                  {engine.Consume("split", splitter{}, engine.Routes("a", "")), "a route has no name"},
		"routes of a silent task":      {engine.Consume("audit", silent{}, engine.Routes("a")), "it sends nothing"},
		"two routes for a value":       {engine.Consume("score", scorer{}, engine.Routes("a", "b")), "it returns one value"},
		"no codec":                     {engine.Consume("score", scorer{}, engine.Codecs()), "a codec is missing"},
		"nil codec":                    {engine.Consume("score", scorer{}, engine.Codecs(ergon.JSON, nil)), "a codec is missing"},
		"several: the name":            {engine.Consume("A", wrongSuccess{}), "a name is"},
		"several: and the hook's form": {engine.Consume("A", wrongSuccess{}), "HandleSuccess"},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, c.task.Err(), c.want)
			_, err := engine.New(engine.Config{Task: c.task, Source: memory.NewQueue(memory.QueueOptions{}).Source(), Policy: policy.DefaultConsumer()})
			require.ErrorContains(t, err, c.want, "New returns it too")
		})
	}
}

// R089: the wiring and the policy are validated before anything starts.
func TestNewFindsFaults(t *testing.T) {
	source := memory.NewQueue(memory.QueueOptions{}).Source()
	sink := memory.NewSink(memory.SinkOptions{})
	good := policy.DefaultConsumer()
	bad := good
	bad.Process.Retry.MaxAttempts = 0
	value, many := engine.Consume("score", scorer{}), engine.Consume("split", splitter{}, engine.Routes("a", "b"))
	type sinks = map[string]ergon.Sink
	for name, c := range map[string]struct {
		config engine.Config
		want   []string
	}{
		"nothing":                {engine.Config{}, []string{"no task", "no source"}},
		"no source":              {engine.Config{Task: value, Sinks: sinks{"out": sink}, Policy: good}, []string{"no source"}},
		"no sink for a value":    {engine.Config{Task: value, Source: source, Policy: good}, []string{"exactly one route"}},
		"two sinks for a value":  {engine.Config{Task: value, Source: source, Policy: good, Sinks: sinks{"a": sink, "b": sink}}, []string{"exactly one route, and 2"}},
		"nil sink":               {engine.Config{Task: value, Source: source, Policy: good, Sinks: sinks{"out": nil}}, []string{`route "out" has no sink`}},
		"unbound route":          {engine.Config{Task: many, Source: source, Policy: good, Sinks: sinks{"a": sink}}, []string{`route "b" is not bound`}},
		"undeclared route":       {engine.Config{Task: many, Source: source, Policy: good, Sinks: sinks{"a": sink, "b": sink, "c": sink}}, []string{`route "c" is bound and the task does not have it`}},
		"sink of a silent task":  {engine.Config{Task: engine.Consume("audit", silent{}), Source: source, Policy: good, Sinks: sinks{"a": sink}}, []string{"it sends nothing"}},
		"invalid policy":         {engine.Config{Task: value, Source: source, Policy: bad, Sinks: sinks{"out": sink}}, []string{"process.retry.max_attempts"}},
		"all faults are in it":   {engine.Config{Task: many, Policy: bad}, []string{"no source", `"a" is not bound`, `"b" is not bound`, "max_attempts"}},
		"value with a wrong one": {engine.Config{Task: engine.Consume("score", scorer{}, engine.Routes("scored")), Source: source, Policy: good, Sinks: sinks{"out": sink}}, []string{`route "scored" is not bound`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := engine.New(c.config)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	_, err := engine.New(engine.Config{Task: value, Source: source, Policy: good, Sinks: sinks{"out": sink}})
	require.NoError(t, err)
}

// R071: an engine keeps a copy of its policy, down to what a map in it holds.
func TestPolicyIsCopied(t *testing.T) {
	extra := func() map[string]any {
		return map[string]any{"a": 1, "list": []any{"b", map[string]any{"c": 1.5}}}
	}
	vandalise := func(m map[string]any) {
		m["a"] = 2
		list := m["list"].([]any)
		list[1].(map[string]any)["c"] = 2.5
		list[0] = "d"
	}
	r := newRig(nothing())
	r.policy.Fetch.Extra = extra()
	e := r.engine(t)
	vandalise(r.policy.Fetch.Extra)
	require.Equal(t, extra(), e.Policy().Fetch.Extra)

	p := policy.DefaultProducer()
	p.Fetch.Extra = extra()
	e, err := engine.New(engine.Config{
		Task: engine.Produce("make", &maker[int, string]{produce: spell}), Producer: p,
		Source: r.queue.Source(), Sinks: map[string]ergon.Sink{"out": r.sink},
	})
	require.NoError(t, err)
	vandalise(p.Fetch.Extra)
	require.Equal(t, extra(), e.Policy().Fetch.Extra)
}

func TestRunTwiceIsAnError(t *testing.T) {
	r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) { return ergon.None{}, nil }))
	e := r.engine(t)
	_, err := e.Run(t.Context())
	require.NoError(t, err)
	_, err = e.Run(t.Context())
	require.ErrorContains(t, err, "an engine runs once")
}
