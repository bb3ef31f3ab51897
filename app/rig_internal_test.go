package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// rig is a fleet over queues in memory, for virtual time.
type rig struct {
	t     *testing.T
	rules config.Runner
	fleet *fleet
	log   *lines
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newRig(t *testing.T, change func(*config.Runner)) *rig {
	r := &rig{t: t, rules: config.DefaultRunner(), log: &lines{}}
	if change != nil {
		change(&r.rules)
	}
	t.Cleanup(func() { r.fleet.stop(); r.fleet.force() }) // of a test that failed
	r.fleet = newFleet(context.Background(), r.rules, slog.New(slog.NewTextHandler(r.log, nil)))
	return r
}

// member is one task of the fleet.
type member struct {
	*life
	queue  *memory.Queue
	broken atomic.Bool // its fetches fail, and it can't be made
	makes  atomic.Bool // it can be made all the same
	made   atomic.Int64
}

type work func(context.Context, ergon.Transaction[string]) (ergon.None, error)

func (f work) Process(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
	return f(ctx, tx)
}

var errBroken = errors.New("the source is gone")

// add makes a task that streams; change makes it another.
func (r *rig) add(name string, f work, o memory.QueueOptions, change func(*policy.Consumer)) *member {
	r.t.Helper()
	m := &member{}
	o.OnFetch = func(int) error {
		if m.broken.Load() {
			return errBroken
		}
		return nil
	}
	m.queue = memory.NewQueue(o)
	p := policy.DefaultConsumer()
	p.Fetch.Retry.MaxAttempts = 1
	p.Shutdown.Grace = policy.Duration(10 * time.Second)
	if change != nil {
		change(&p)
	}
	b := bound{task: Consume[string, ergon.None](name, f), policy: p, ended: make(chan struct{}), untilEmpty: !p.Loop.Streaming}
	makes := func(_ context.Context, b bound) (*parts, error) {
		if m.made.Add(1); m.broken.Load() && !m.makes.Load() {
			return nil, errBroken
		}
		e, err := engine.New(engine.Config{Task: b.task, Source: m.queue.Source(), Policy: b.policy, Connector: "memory"})
		return &parts{engine: e, lost: func() error { return nil }}, err
	}
	first, err := makes(r.t.Context(), b)
	require.NoError(r.t, err)
	m.life = &life{bound: b, rules: r.rules, make: makes, log: r.fleet.log, fatal: r.fleet.fail, now: first}
	r.fleet.lives = append(r.fleet.lives, m.life)
	r.fleet.stopTime = max(r.fleet.stopTime, engine.StopTime(p.Shutdown))
	return m
}

func (m *member) push(from, to int) {
	for i := from; i < to; i++ {
		m.queue.Push(ergon.New([]byte(`"x"`), ergon.WithID(fmt.Sprint(i)), ergon.WithSource("test")))
	}
}

func (m *member) succeeded() int64 { return m.Snapshot().Succeeded }

// why is what /readyz would say of the task, "" for nothing.
func (m *member) why() string {
	var all []string
	for _, c := range m.Checks() {
		if c.Err != nil {
			all = append(all, c.Part+": "+c.Err.Error())
		}
	}
	return strings.Join(all, "; ")
}

func fine(context.Context, ergon.Transaction[string]) (ergon.None, error) { return ergon.None{}, nil }
