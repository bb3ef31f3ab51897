package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/stretchr/testify/require"
)

// TestModel lets everything fail at random, stops and restarts engines on one
// queue, and in the end lets them drain it. Whatever happened: each message is
// either done with, and then all of its outputs are stored, each once, and its
// success hook ran; or it is a dead letter, and its exception hook ran. No hook
// contradicts another within a delivery.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newModel(t, seed).run() })
		})
	}
}

// model is one random world. Its goroutines draw from one source of random
// numbers in an order that the scheduler chooses, so a seed does not repeat a run
// exactly.
type model struct {
	t      *testing.T
	r      *rig
	pushed []string

	mu     sync.Mutex
	rnd    *rand.Rand
	calm   bool            // nothing fails any more
	ended  map[string]bool // IDs whose success or exception hook did well, at least once
	failed map[string]bool // IDs whose exception hook was called in this delivery
	began  map[string]int  // calls of the exception hook in this delivery
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, rnd: rand.New(rand.NewPCG(seed, 7)),
		ended: map[string]bool{}, failed: map[string]bool{}, began: map[string]int{},
	}
	m.r = newRig(engine.Consume("model", &hooked[string, ergon.Outputs]{
		process: m.process, success: m.success, exception: m.exception,
	}, engine.Routes("a", "b")))
	m.r.queueO = memory.QueueOptions{
		Lease: 2 * time.Second, CanDefer: seed%2 == 0,
		OnFetch: func(int) error { return m.fault(10, errors.New("fetch")) },
		OnSettle: func(s memory.Settled) error {
			return m.fault(15, errors.New("settle"), memory.Answer{Err: errors.New("reported"), Done: true},
				memory.Answer{Never: true, Done: true}, memory.Answer{Never: true}, memory.Answer{Twice: true}, memory.Answer{After: time.Second})
		},
		OnExtend: func(ergon.Raw) error { return m.fault(30, errors.New("extend"), ergon.ErrLeaseLost) },
	}
	if seed%3 == 0 { // leases run out without the engine noticing: the same message comes again
		m.r.queueO.Lease = 500 * ms
		m.r.queueO.OnExtend = func(ergon.Raw) error { return m.fault(90, errors.New("extend")) }
	}
	m.r.sinkO.OnSend = func(ergon.Raw) error {
		return m.fault(15, errors.New("send"), ergon.Business("refused"), memory.Answer{Err: errors.New("reported"), Done: true},
			memory.Answer{Never: true, Done: true}, memory.Answer{Never: true}, memory.Answer{Twice: true}, memory.Answer{After: 5 * time.Second})
	}
	p := &m.r.policy
	p.Loop.Streaming = true
	p.Loop.Concurrency, p.Loop.Window = 1+m.int(8), 8+m.int(30)
	p.Fetch.Batch.Size = 1 + m.int(12)
	p.Loop.Mode = []policy.Mode{policy.ModeContinuous, policy.ModeBatch}[m.int(2)]
	p.Process.Retry.Timeout, p.Produce.Retry.Timeout = dur(time.Second), dur(time.Second)
	p.Process.Bulkhead.MaxConcurrency = m.int(p.Loop.Concurrency + 1)
	p.Produce.Bulkhead.MaxConcurrency = m.int(4)
	p.Transaction.Timeout = dur(time.Duration(m.int(10)) * time.Second)
	p.Transaction.RedeliverOver = dur(300 * ms)
	p.Shutdown.Grace = dur(time.Duration(m.int(3)) * time.Second)
	return m
}

func (m *model) int(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rnd.IntN(n)
}

// fault returns one of errs in percent of the calls.
func (m *model) fault(percent int, errs ...error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calm || m.rnd.IntN(100) >= percent {
		return nil
	}
	return errs[m.rnd.IntN(len(errs))]
}

// work is what any user code may do: take its time, heed its context or not, and
// fail in any way.
func (m *model) work(ctx context.Context) error {
	if d := time.Duration(m.int(1500)) * ms; m.int(3) == 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
	} else if m.int(10) == 0 {
		time.Sleep(d)
	}
	err := m.fault(35, errors.New("odd"), ergon.System("down"), ergon.Timeout("slow"), ergon.Business("no"),
		ergon.RetryAfter(700*ms, errors.New("busy")), errPanic)
	if err == errPanic {
		panic("model")
	}
	return err
}

var errPanic = errors.New("panic")

// outputsOf is how many outputs a transaction has; a function of its ID.
func outputsOf(id string) int { return len(id) % 4 }

func (m *model) process(ctx context.Context, tx ergon.Transaction[string]) (ergon.Outputs, error) {
	if err := m.work(ctx); err != nil {
		return nil, err
	}
	var outs ergon.Outputs
	for i := range outputsOf(tx.ID()) {
		o := ergon.To([]string{"a", "b"}[i%2], tx.ID())
		if i == 2 {
			o.Key = "k"
		}
		outs = append(outs, o)
	}
	return outs, nil
}

func (m *model) success(ctx context.Context, tx ergon.Transaction[string], _ ergon.Outputs) error {
	if got := m.stored(tx.ID()); got != outputsOf(tx.ID()) {
		m.t.Errorf("%s: success hook with %d of %d outputs stored", tx.ID(), got, outputsOf(tx.ID()))
	}
	m.mu.Lock()
	if m.failed[tx.ID()] {
		m.t.Errorf("%s: success hook after the exception hook", tx.ID())
	}
	m.mu.Unlock()
	err := m.work(ctx)
	m.note(tx.ID(), err)
	return err
}

func (m *model) exception(ctx context.Context, tx ergon.Transaction[string], _ *ergon.Error) error {
	m.mu.Lock()
	m.failed[tx.ID()] = true
	if m.began[tx.ID()]++; m.began[tx.ID()] > m.r.policy.Exception.Retry.MaxAttempts {
		m.t.Errorf("%s: exception hook runs a second time", tx.ID())
	}
	m.mu.Unlock()
	defer m.note(tx.ID(), nil) // its dead letter follows whatever it returned, a panic too
	return m.work(ctx)
}

func (m *model) note(id string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.ended[id] = true
	}
}

// stored counts the outputs of a transaction that the sink has.
func (m *model) stored(id string) int {
	n := 0
	for _, tx := range m.r.sink.All() {
		if tx.CausationID() == id {
			n++
		}
	}
	return n
}

// observe begins a delivery anew. The guard keeps two deliveries of one ID apart.
func (m *model) observe(ev engine.Event) {
	if ev, ok := ev.(engine.Started); ok {
		m.mu.Lock()
		delete(m.failed, ev.Transaction.ID())
		delete(m.began, ev.Transaction.ID())
		m.mu.Unlock()
	}
}

func (m *model) run() {
	ids := names(30)
	for i := range ids {
		ids[i] += "xxx"[:m.int(4)]
	}
	m.pushed = append(ids, ids[:4]...) // four of them twice, as messages of their own
	m.r.push(m.pushed...)
	m.r.queue.Push(raw("garbage", "{"))
	m.r.events.also = m.observe
	for range 1 + m.int(5) {
		ctx, cancel := context.WithTimeout(m.t.Context(), time.Duration(1+m.int(15000))*ms)
		report, _ := m.r.engine(m.t).Run(ctx) // its error may be a fetch that failed for good
		cancel()
		m.balanced(report)
	}
	m.mu.Lock()
	m.calm = true
	m.mu.Unlock()
	m.r.policy.Loop.Streaming = false
	time.Sleep(time.Minute) // what is left of the faults is over
	m.balanced(m.r.run(m.t))
	m.check()
}

// balanced: every delivery has one outcome.
func (m *model) balanced(r engine.Report) {
	require.Equal(m.t, r.Fetched, r.Succeeded+r.Dead+r.Deferred+r.Released+r.Lost+r.Merged+r.Abandoned, "%+v", r)
}

func (m *model) check() {
	t := m.t
	require.Zero(t, m.r.queue.Counts().Len())
	acked := idsOf(m.r.queue.Acked())
	var dead []string
	for _, s := range m.r.queue.DeadLetters() {
		require.NotNil(t, s.Settlement.Err)
		dead = append(dead, s.Transaction.ID())
	}
	require.ElementsMatch(t, append(m.pushed, "garbage"), append(slices.Clone(acked), dead...), "nothing is lost, nothing ends twice")
	require.Contains(t, dead, "garbage")
	for _, id := range acked {
		require.Equal(t, outputsOf(id), m.stored(id), "%s: outputs", id)
		require.True(t, m.ended[id], "%s: no hook did well", id)
	}
	for _, id := range dead {
		require.LessOrEqual(t, m.stored(id), outputsOf(id), "%s: outputs", id)
		require.True(t, m.ended[id], "%s: no hook ran", id)
	}
}
