package app_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/policy"
)

const two = one + `
  other:
    source: { jetstream: { stream: O, subjects: [o] } }
`

type seen struct{ done chan string }

func (s seen) Process(_ context.Context, tx ergon.Transaction[[]byte]) (ergon.None, error) {
	s.done <- tx.ID()
	return ergon.None{}, nil
}

// A task whose source is lost for good is started again until somebody gives it back:
// it does what comes then, the other task never stopped, and /readyz, /status and
// /metrics tell of it. Both its engines' work is in its one report.
func TestLostSourceIsTakenUpAgain(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), two)
	cfg.Admin.Listen = "127.0.0.1:0"
	cfg.Runner.Restarts, cfg.Runner.Backoff, cfg.Runner.BackoffCap = 1000, policy.Duration(50*time.Millisecond), policy.Duration(100*time.Millisecond)
	other := seen{make(chan string, 10)}
	r := newRunner(t, app.Options{Config: cfg}, app.Tasks(
		func() app.Task { return app.Consume("one", upper{}) }, func() app.Task { return app.Consume("other", other) }))
	require.NoError(t, r.Start(t.Context()))
	js := r.Conn().JetStream()
	publish := func(subject string) {
		_, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: []byte(`"x"`)})
		require.NoError(t, err)
	}
	one := func() int64 { return r.Snapshots()[0].Succeeded }
	publish("a")
	require.Eventually(t, func() bool { return one() == 1 }, 30*time.Second, 10*time.Millisecond)

	// Deleted alone it would be made anew; now its subject belongs to another one.
	_, err := js.UpdateStream(t.Context(), natsjs.StreamConfig{Name: "A", Subjects: []string{"elsewhere"}})
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), natsjs.StreamConfig{Name: "TAKEN", Subjects: []string{"a"}})
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(t.Context(), "A"))
	ready := ""
	require.Eventually(t, func() bool {
		_, body, err := fetch(t, "http://"+r.AdminAddr()+"/readyz")
		ready = body
		return err == nil && strings.Contains(body, `"reasons":["one: task: failed, next try in `) && strings.Contains(body, " of 1000): ")
	}, 30*time.Second, 5*time.Millisecond)
	require.Contains(t, ready, `{"task":"other","ready":true`)
	publish("o")
	<-other.done
	code, _, err := fetch(t, "http://"+r.AdminAddr()+"/livez")
	require.NoError(t, err)
	require.Equal(t, 200, code)

	require.NoError(t, js.DeleteStream(t.Context(), "TAKEN"))
	require.Eventually(t, func() bool {
		_, body, err := fetch(t, "http://"+r.AdminAddr()+"/readyz")
		return err == nil && strings.Contains(body, `"ready":true,"state"`)
	}, 30*time.Second, 10*time.Millisecond)
	publish("a")
	require.Eventually(t, func() bool { return one() == 2 }, 30*time.Second, 10*time.Millisecond)
	_, metrics, err := fetch(t, "http://"+r.AdminAddr()+"/metrics")
	require.NoError(t, err)
	require.Contains(t, metrics, `ergon_transactions_started_total{ergon_task="one"} 2`)
	require.Regexp(t, `ergon_task_restarts_total\{ergon_task="one"\} [1-9]`, metrics)
	require.Contains(t, metrics, `ergon_task_restarts_total{ergon_task="other"} 0`)
	_, status, err := fetch(t, "http://"+r.AdminAddr()+"/status")
	require.NoError(t, err)
	require.Regexp(t, `"restarts":[1-9]`, status)

	require.NoError(t, r.Stop(context.WithoutCancel(t.Context())))
	require.NoError(t, r.Err())
	require.Equal(t, app.ExitDone, r.ExitCode())
	require.EqualValues(t, 2, r.Reports()[0].Succeeded)
	require.EqualValues(t, 1, r.Reports()[1].Succeeded)
	require.Len(t, r.Drains(), 2)
}

// One task that has done what it was asked for leaves the other running.
func TestTaskThatEndsLeavesTheOthers(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), strings.Replace(two, "consumer: {", "consumer: { loop: { limit: 1 },", 1))
	other := seen{make(chan string, 10)}
	r := newRunner(t, app.Options{Config: cfg}, app.Tasks(
		func() app.Task { return app.Consume("one", upper{}) }, func() app.Task { return app.Consume("other", other) }))
	require.NoError(t, r.Start(t.Context()))
	_, err := r.Conn().JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "a", Data: []byte(`"x"`)})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(r.Reports()) == 1 }, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, "one", r.Reports()[0].Task)
	_, err = r.Conn().JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "o", Data: []byte(`"x"`)})
	require.NoError(t, err)
	<-other.done
	require.NoError(t, r.Stop(context.WithoutCancel(t.Context())))
	require.Equal(t, app.ExitDone, r.ExitCode())
	require.Len(t, r.Drains(), 1)
}

// sharing is a task that waits in its first transaction until others have one too: no
// process can do the work alone.
type sharing struct {
	mine  *atomic.Int64
	first *sync.Once
	met   *sync.WaitGroup
}

func (s sharing) Process(_ context.Context, tx ergon.Transaction[string]) (string, error) {
	s.mine.Add(1)
	s.first.Do(func() {
		s.met.Done()
		s.met.Wait()
	})
	return tx.Payload() + tx.ID(), nil
}

// R010: two runs share a store, a durable and its work: each does a part, and together
// they do all of it, nothing lost and nothing twice. The first one holds the server, and
// may end first.
func TestTwoRunnersShareADurable(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), one)
	cfg.Bus.Listen = "127.0.0.1:0"
	const n = 2000
	var met sync.WaitGroup
	met.Add(2)
	var runners [2]*app.Runner
	var mine [2]atomic.Int64
	for i := range runners {
		task := sharing{&mine[i], &sync.Once{}, &met}
		runners[i] = newRunner(t, app.Options{Config: cfg, UntilEmpty: true, Feeding: feeding(&met)}, app.Tasks(func() app.Task { return app.Consume("one", task) }))
		require.NoError(t, runners[i].Start(t.Context()))
	}
	for i := range n {
		_, err := runners[0].Conn().JetStream().PublishMsgAsync(&nats.Msg{Subject: "a", Data: []byte(`"x"`), Header: nats.Header{"Nats-Msg-Id": {fmt.Sprint(i)}}})
		require.NoError(t, err)
	}
	<-runners[0].Conn().JetStream().PublishAsyncComplete()
	succeeded := int64(0)
	for i, r := range []*app.Runner{runners[1], runners[0]} { // its server goes last
		<-r.Done()
		require.NoError(t, r.Err())
		report := r.Reports()[0]
		require.Positive(t, report.Succeeded, i)
		require.Zero(t, report.Dead+report.Abandoned+report.Lost)
		succeeded += report.Succeeded
	}
	require.EqualValues(t, n, succeeded)
	require.EqualValues(t, n, mine[0].Load()+mine[1].Load())
	ids := map[string]int{}
	require.NoError(t, runners[0].Conn().Scan(t.Context(), "B", nil, false, func(m *nats.Msg, _ bus.Meta) error {
		ids[string(m.Data)]++
		return nil
	}))
	require.Len(t, ids, n)
	for id, times := range ids {
		require.Equal(t, 1, times, id)
	}
	for _, r := range []*app.Runner{runners[1], runners[0]} {
		require.NoError(t, r.Stop(context.WithoutCancel(t.Context())))
	}
}

// feeding is closed once both have met: until then nobody may find the source empty.
func feeding(met *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		met.Wait()
		close(done)
	}()
	return done
}

// A start that fails at its second task closes what it had opened for the first one.
func TestFailedStartClosesTheFirstTask(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), two)
	withBus(t, cfg, func(b *bus.Bus) {
		_, err := b.Ensure(t.Context(), bus.Topology{Streams: cfg.Topology()})
		require.NoError(t, err)
		_, err = b.JetStream().CreateOrUpdatePushConsumer(t.Context(), "O", natsjs.ConsumerConfig{
			Durable: "other", DeliverSubject: "elsewhere", AckPolicy: natsjs.AckExplicitPolicy,
		})
		require.NoError(t, err)
	})
	r := newRunner(t, app.Options{Config: cfg}, app.Tasks(
		func() app.Task { return app.Consume("one", upper{}) }, func() app.Task { return app.Consume("other", seen{}) }))
	require.ErrorContains(t, r.Start(t.Context()), `task "other": `)
	<-r.Done()
	require.Empty(t, r.Drains())
	require.Empty(t, r.Reports())
	withBus(t, cfg, func(*bus.Bus) {}) // the store is free again, and goleak looks for the rest
}
