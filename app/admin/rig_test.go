package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app/admin"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long something that is on its way may take on a busy machine.
const patience = 30 * time.Second

// process is what a server is asked about.
type process struct {
	state     atomic.Value // admin.State
	tasks     []admin.Task
	services  []engine.Check
	transport atomic.Pointer[error]
}

func newProcess(engines ...*engine.Engine) *process {
	p := &process{}
	for _, e := range engines {
		p.tasks = append(p.tasks, e)
	}
	p.state.Store(admin.Running)
	return p
}

func (p *process) State() admin.State       { return p.state.Load().(admin.State) }
func (p *process) Tasks() []admin.Task      { return p.tasks }
func (p *process) Services() []engine.Check { return p.services }

func (p *process) Transport() []engine.Check {
	check := engine.Check{Part: "bus"}
	if err := p.transport.Load(); err != nil {
		check.Err = *err
	}
	return []engine.Check{check}
}

// site is a server, asked over HTTP.
type site struct {
	t *testing.T
	*admin.Server
	token string
}

func start(t *testing.T, c admin.Config) *site {
	t.Helper()
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	server, err := admin.Start(c)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		require.NoError(t, server.Close(ctx))
	})
	return &site{t: t, Server: server, token: c.Token}
}

// ask sends a request, with what change makes of it, and returns the whole answer.
func (s *site) ask(method, path string, change func(*http.Request)) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.Addr()+path, nil)
	require.NoError(s.t, err)
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	if change != nil {
		change(req)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(s.t, err)
	defer resp.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return resp, string(body)
}

func (s *site) get(path string) (code int, body string) {
	s.t.Helper()
	resp, body := s.ask(http.MethodGet, path, nil)
	return resp.StatusCode, body
}

// into reads an answer of JSON, and nothing that its type does not have.
func into[T any](s *site, path string) (code int, v T) {
	s.t.Helper()
	resp, body := s.ask(http.MethodGet, path, nil)
	require.Equal(s.t, "application/json", resp.Header.Get("Content-Type"), body)
	require.NoError(s.t, json.Unmarshal([]byte(body), &v), body)
	return resp.StatusCode, v
}

// eventually waits for an answer with this code.
func (s *site) eventually(path string, code int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { got, _ := s.get(path); return got == code }, patience, 10*time.Millisecond, "%s is not %d", path, code)
}

// task is a function as a task without outputs.
type task func(context.Context, ergon.Transaction[string]) (ergon.None, error)

func (f task) Process(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
	return f(ctx, tx)
}

// rig is an engine on a queue in memory. The fields are changed before it runs.
type rig struct {
	policy policy.Consumer
	queueO memory.QueueOptions
	source ergon.Source
	trail  *engine.Trail
	queue  *memory.Queue
	engine *engine.Engine
	ended  chan struct{}
	err    error
}

func newRig() *rig {
	p := policy.DefaultConsumer()
	p.Loop.Streaming = false
	p.Loop.Concurrency = 4
	p.Process.Retry.MaxAttempts, p.Process.Retry.Jitter = 3, 0
	p.Process.Retry.Backoff, p.Process.Retry.BackoffCap = policy.Duration(time.Millisecond), policy.Duration(time.Millisecond)
	p.Shutdown.Grace = policy.Duration(time.Second)
	return &rig{policy: p, trail: engine.NewTrail(100), ended: make(chan struct{})}
}

// run starts the engine; the test ends it.
func (r *rig) run(t *testing.T, f task, ids ...string) {
	t.Helper()
	r.queue = memory.NewQueue(r.queueO)
	for _, id := range ids {
		r.queue.Push(ergon.New([]byte(`"secret payload"`), ergon.WithID(id), ergon.WithSource("test")))
	}
	if r.source == nil {
		r.source = r.queue.Source()
	}
	var err error
	r.engine, err = engine.New(engine.Config{
		Task: engine.Consume[string, ergon.None]("score", f), Source: r.source, Policy: r.policy, Connector: "memory", Trail: r.trail,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() {
		defer close(r.ended)
		_, r.err = r.engine.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.ended
	})
}
