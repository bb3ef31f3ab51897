package app_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
)

// loud is upper with hooks, one of which fails as its service says.
type loud struct {
	upper
	hooks *notes
}

// notes are taken by transactions that run at once.
type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) add(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, s)
}

func (l loud) Process(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
	if tx.Payload() == "bad" {
		return "", ergon.Business("it is bad")
	}
	return l.upper.Process(ctx, tx)
}

func (l loud) HandleSuccess(_ context.Context, _ ergon.Transaction[string], out string) error {
	l.hooks.add("success " + out)
	return nil
}

func (l loud) HandleException(_ context.Context, _ ergon.Transaction[string], exc *ergon.Error) error {
	l.hooks.add("exception " + exc.Reason())
	return errors.New("nobody to tell")
}

const loudConfig = `
  loud:
    source: { jetstream: { stream: IN, subjects: [in] } }
    routes: { out: { jetstream: { stream: OUT, subject: out } } }
    consumer: { exception: { retry: { max_attempts: 2, backoff: 1ms } } }
`

func newOnce(t *testing.T, cfg *config.Config) (*app.Once, *notes) {
	t.Helper()
	hooks := &notes{}
	once, err := app.NewOnce(app.Registered{app.Consume("loud", loud{upper{"!"}, hooks})}, cfg, "loud")
	require.NoError(t, err)
	return once, hooks
}

func once(t *testing.T, o *app.Once, f jetstream.Found) app.OnceResult {
	t.Helper()
	r, err := o.Run(t.Context(), f)
	require.NoError(t, err)
	return r
}

// One transaction runs through every phase, and nothing is sent anywhere.
func TestOnceDry(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), loudConfig)
	o, hooks := newOnce(t, cfg)
	r := once(t, o, jetstream.Unstored(ergon.New([]byte(`"x"`), ergon.WithID("1"))))
	require.Equal(t, engine.Succeeded, r.Outcome)
	require.Equal(t, []string{"success X!"}, hooks.all)
	require.Len(t, r.Outputs, 1)
	out := r.Outputs[0]
	require.Equal(t, []string{"out", "OUT", "out"}, []string{out.Route, out.Stream, out.Subject})
	require.Equal(t, `"X!"`, string(out.Payload()))
	require.False(t, out.Stored)
	var phases []ergon.Phase
	for _, a := range r.Attempts {
		phases = append(phases, a.Phase)
	}
	require.Equal(t, []ergon.Phase{ergon.PhaseProcess, ergon.PhaseProduce, ergon.PhaseSuccess}, phases)

	o, hooks = newOnce(t, cfg)
	r = once(t, o, jetstream.Unstored(ergon.New([]byte(`"bad"`), ergon.WithID("1"))))
	require.Equal(t, engine.Dead, r.Outcome)
	require.Equal(t, "it is bad", r.Err.Reason())
	require.ErrorContains(t, r.HandlerErr, "nobody to tell")
	require.Equal(t, []string{"exception it is bad", "exception it is bad"}, hooks.all, "as often as its policy says")
	require.Len(t, r.Attempts, 3)
	require.Positive(t, r.Attempts[1].Delay)
	require.Empty(t, r.Outputs)
	require.False(t, r.Buried)

	o, hooks = newOnce(t, cfg)
	o.Attempts = 1
	require.Len(t, once(t, o, jetstream.Unstored(ergon.New([]byte(`"bad"`)))).Attempts, 2)
	require.Len(t, hooks.all, 1)

	o, hooks = newOnce(t, cfg)
	r = once(t, o, jetstream.Unstored(ergon.New([]byte(`1`))))
	require.Equal(t, ergon.PhaseDecode, r.Err.Phase)
	require.Equal(t, ergon.PhaseDecode, r.Attempts[0].Phase)
	require.Equal(t, ergon.PhaseException, r.Attempts[1].Phase)
	require.Len(t, hooks.all, 2)
}

// One that is tried before and after a run puts out what the run does, once; and so do
// its dead letters. The run meets what was tried as if nobody had.
func TestOnceIsWhatARunDoes(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), loudConfig)
	conn, err := app.Open(t.Context(), cfg.Bus, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Ensure(t.Context(), bus.Topology{Streams: cfg.Topology()})
	require.NoError(t, err)
	for _, m := range []*nats.Msg{
		{Data: []byte(`"plain"`)}, {Data: []byte(`"named"`), Header: nats.Header{"Nats-Msg-Id": {"7"}}}, {Data: []byte(`"bad"`)},
	} {
		m.Subject = "in"
		_, err := conn.JetStream().PublishMsg(t.Context(), m)
		require.NoError(t, err)
	}
	try := func(id string) (app.OnceResult, app.FoundTransaction) {
		o, _ := newOnce(t, cfg)
		o.Conn, o.Bury = conn, true
		f, err := conn.Find(t.Context(), cfg, "loud", id, app.InSource)
		require.NoError(t, err)
		return once(t, o, f.Found), f
	}
	r, f := try("IN:1")
	require.True(t, r.Outputs[0].Stored)
	require.False(t, r.Outputs[0].Duplicate)
	require.EqualValues(t, 1, f.Number)
	r, _ = try("3")
	require.True(t, r.Buried)
	require.NoError(t, r.BuryErr)

	var runner *app.Runner
	hooks := &notes{}
	fxApp := fxtest.New(t, app.Tasks(func() app.Task { return app.Consume("loud", loud{upper{"!"}, hooks}) }), app.Module,
		fx.Supply(app.Options{Config: cfg, UntilEmpty: true, Conn: conn}), fx.Populate(&runner))
	fxApp.RequireStart()
	<-runner.Done()
	fxApp.RequireStop()
	require.EqualValues(t, 2, runner.Reports()[0].Succeeded)
	require.EqualValues(t, 1, runner.Reports()[0].Dead)

	r, f = try("7")
	require.EqualValues(t, 2, f.Number, "an ID comes before a number")
	require.True(t, r.Outputs[0].Duplicate)
	for stream, want := range map[string]int{"OUT": 2, bus.DefaultDeadStream: 1} {
		n := 0
		require.NoError(t, conn.Scan(t.Context(), stream, nil, true, func(*nats.Msg, bus.Meta) error { n++; return nil }))
		require.Equal(t, want, n, stream)
	}

	// And from the dead letters, by ID and by number, with the payload.
	for _, id := range []string{"IN:3", "1"} {
		f, err := conn.Find(t.Context(), cfg, "loud", id, app.InDeadLetters)
		require.NoError(t, err)
		require.Equal(t, app.InDeadLetters, f.Where)
		require.EqualValues(t, 1, f.Number)
		require.Equal(t, "IN:3", f.ID())
		require.Equal(t, `"bad"`, string(f.Payload()))
	}
	other := *cfg.Tasks["loud"].Source.JetStream
	other.Subjects = []string{"in.other"}
	strict := *cfg
	task := cfg.Tasks["loud"]
	task.Source.JetStream = &other
	strict.Tasks = map[string]config.Task{"loud": task}
	_, err = conn.Find(t.Context(), &strict, "loud", "1", app.Anywhere)
	require.ErrorContains(t, err, `message 1 of "IN" was published to "in", which the task does not read: it reads ["in.other"]`)
	for _, where := range []app.Place{app.Anywhere, app.InSource, app.InDeadLetters} {
		for _, id := range []string{"99", "IN:99", "nothing"} {
			_, err := conn.Find(t.Context(), cfg, "loud", id, where)
			require.ErrorIs(t, err, app.ErrNotFound, "%s %s", where, id)
		}
	}
}

// Of a producer too, and of a task with several routes.
func TestOnceOfOtherTasks(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), chain)
	tasks := app.Registered{app.Produce("first", upper{"!"}), app.Consume("second", upper{"?"})}
	o, err := app.NewOnce(tasks, cfg, "first")
	require.NoError(t, err)
	r := once(t, o, jetstream.Unstored(ergon.New([]byte(`"x"`))))
	require.Equal(t, engine.Succeeded, r.Outcome)
	require.Equal(t, `"X!"`, string(r.Outputs[0].Payload()))
	require.Len(t, r.Attempts, 1)

	cfg = parse(t, "", `
  many:
    source: { jetstream: { stream: IN, subjects: [in] } }
    routes: { a: { jetstream: { stream: OUT, subject: a } }, b: { jetstream: { stream: OUT, subject: b } } }
`)
	tasks = app.Registered{app.Consume("many", sender{}, app.Routes("a", "b"))}
	o, err = app.NewOnce(tasks, cfg, "many")
	require.NoError(t, err)
	r = once(t, o, jetstream.Unstored(ergon.New([]byte(`"x"`))))
	require.Len(t, r.Outputs, 2)
	require.Equal(t, []string{"a", "b"}, []string{r.Outputs[0].Subject, r.Outputs[1].Subject})

	_, err = app.NewOnce(tasks, cfg, "much")
	require.ErrorContains(t, err, `task "much": there is no such task; this program has "many"`)
	_, err = app.NewOnce(app.Registered{app.Consume("many", sender{}, app.Routes("a"))}, cfg, "many")
	require.ErrorContains(t, err, `route "b" is configured, and the task does not have it`)
}

// A work queue can't be looked through, and is looked into by number.
func TestFindInWorkQueue(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), loudConfig+"streams: { IN: { subjects: [in], retention: workqueue } }\n")
	conn, err := app.Open(t.Context(), cfg.Bus, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Find(t.Context(), cfg, "loud", "1", app.Anywhere)
	require.ErrorIs(t, err, app.ErrNotFound, "there is no stream yet")
	_, err = conn.Ensure(t.Context(), bus.Topology{Streams: cfg.Topology()})
	require.NoError(t, err)
	_, _, err = conn.EnsureConsumer(t.Context(), bus.Consumer{Stream: "IN", Durable: "loud", Subjects: []string{"in"}})
	require.NoError(t, err)
	_, err = conn.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "in", Data: []byte(`"x"`), Header: nats.Header{"Nats-Msg-Id": {"a"}}})
	require.NoError(t, err)
	f, err := conn.Find(t.Context(), cfg, "loud", "1", app.Anywhere)
	require.NoError(t, err)
	require.Equal(t, "a", f.ID())
	_, err = conn.Find(t.Context(), cfg, "loud", "a", app.Anywhere)
	require.ErrorContains(t, err, `stream "IN" is a work queue, which nobody can look through without taking from it: name the transaction by its number`)
	info, err := conn.ConsumerInfo(t.Context(), "IN", "loud")
	require.NoError(t, err)
	require.EqualValues(t, 1, info.Pending, "nothing was taken")
}
