package jetstream_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/natstest"
	"github.com/ergon-framework/ergon/internal/semconv"
	"github.com/ergon-framework/ergon/policy"
)

// clusterPatience bounds what is waited for; an isolated node alone costs an
// election of up to 9 s.
const clusterPatience = 2 * time.Minute

// A feed publishes n inputs under IDs of their own, each until it is stored. It
// slows down with what is left, so that some flow however long the faults take.
type feed struct {
	pub    *bus.Publisher
	n      int
	hurry  chan struct{} // closed: send the rest at once
	again  int           // sent again, because nobody knew how it had ended
	twice  int           // of which the stream had a copy
	err    error
	ended  chan struct{}
	stored atomic.Int64
}

func startFeed(ctx context.Context, b *bus.Bus, n int) (*feed, error) {
	pub, err := b.NewPublisher(bus.PublisherConfig{})
	if err != nil {
		return nil, err
	}
	f := &feed{pub: pub, n: n, hurry: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(f.ended)
		f.err = f.run(ctx)
	}()
	return f, nil
}

func (f *feed) run(ctx context.Context) error {
	type result struct {
		i   int
		ack bus.PubAck
		err error
	}
	results := make(chan result, f.n)
	send := func(i int) {
		m := &nats.Msg{Subject: "in.lines", Data: fmt.Appendf(nil, `{"n":%d}`, i), Header: nats.Header{semconv.NatsMsgID: {"tx-" + strconv.Itoa(i)}}}
		f.pub.Publish(ctx, m, func(ack bus.PubAck, err error) { results <- result{i, ack, err} })
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	hurry := f.hurry
	next := 0
	for f.stored.Load() < int64(f.n) {
		select {
		case <-tick.C:
			for range (f.n - next + 3999) / 4000 {
				send(next)
				next++
			}
		case <-hurry:
			hurry = nil
			for ; next < f.n; next++ {
				send(next)
			}
		case r := <-results:
			switch {
			case r.err == nil:
				f.stored.Add(1)
				if r.ack.Duplicate {
					f.twice++
				}
			case bus.Permanent(r.err) || ctx.Err() != nil:
				return r.err
			default:
				f.again++
				send(r.i)
			}
		}
	}
	return f.pub.Close(ctx)
}

// A meter measures what comes out of the engine, and notes what it met.
type meter struct {
	mu        sync.Mutex
	last      time.Time     // an output was confirmed
	stall     time.Duration // the longest without one, since the last look
	outputs   int           // confirmed, copies too
	succeeded map[string]bool
	met       map[string]int
}

func (m *meter) output() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if !m.last.IsZero() {
		m.stall = max(m.stall, now.Sub(m.last))
	}
	m.last = now
	m.outputs++
}

func (m *meter) observe(ev engine.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch ev := ev.(type) {
	case engine.Started:
		if ev.Info.Deliveries > 1 {
			m.met["redelivered"]++
		}
	case engine.Finished:
		if ev.Outcome == engine.Succeeded {
			m.succeeded[ev.Transaction.ID()] = true
		}
	case engine.RetryScheduled:
		m.met["retried "+string(ev.Phase)]++
	case engine.FetchFailed:
		m.met["fetch failed"]++
	case engine.SettleFailed:
		m.met["settle failed"]++
	case engine.LeaseLost:
		m.met["lease lost"]++
	case engine.StartNotRecorded:
		m.met["start not recorded"]++
	}
}

// look returns how many outputs there were, and the longest stall since the last look.
func (m *meter) look() (outputs int, stall time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stall, m.stall = m.stall, 0
	return m.outputs, stall
}

func (m *meter) count() (outputs, succeeded int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.outputs, len(m.succeeded)
}

// meteredSink tells the meter what its sink confirmed.
type meteredSink struct {
	ergon.Sink
	m *meter
}

func (s meteredSink) Send(ctx context.Context, tx ergon.Raw, done func(error)) {
	s.Sink.Send(ctx, tx, func(err error) {
		if err == nil {
			s.m.output()
		}
		done(err)
	})
}

// onCluster connects to a cluster that has just started, which may not know yet
// where to put a stream.
func onCluster(t *testing.T, c *natstest.Cluster) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Config{URL: c.URL(), ConnectTimeout: clusterPatience})
	require.NoError(t, err)
	return b
}

// stepDown makes a stream's leader, or with a durable that of its consumer, give
// up for another: a certain node, if it is named.
func stepDown(t *testing.T, w *world, c *natstest.Cluster, stream, durable, preferred string) {
	t.Helper()
	was := c.AwaitLeader(stream, durable)
	subject := "$JS.API.STREAM.LEADER.STEPDOWN." + stream
	if durable != "" {
		subject = "$JS.API.CONSUMER.LEADER.STEPDOWN." + stream + "." + durable
	}
	var body []byte
	if preferred != "" {
		if was == c.Node(preferred) {
			return
		}
		body = fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, preferred)
	}
	answer, err := w.bus.ConsumeConn().Request(subject, body, 10*time.Second)
	require.NoError(t, err)
	require.Contains(t, string(answer.Data), `"success":true`)
	now := c.AwaitLeader(stream, durable, was)
	if preferred != "" {
		require.Equal(t, preferred, fmt.Sprintf("n%d", now))
	}
}

// The promise of the README on a cluster: whichever node goes, ends its term or
// hears nobody while transactions flow, each input has one output. The cluster is
// whole between two faults, so that two nodes always agree.
func TestAClusterLosesNothing(t *testing.T) {
	n := 50_000
	if testing.Short() {
		n = 5_000
	}
	c := natstest.Start(t)
	w := newReplicated(t, onCluster(t, c), 3)
	m := &meter{succeeded: make(map[string]bool, n), met: make(map[string]int)}
	w.wrap = func(s ergon.Sink) ergon.Sink { return meteredSink{s, m} }
	w.observe = m.observe
	feeding := onCluster(t, c)
	t.Cleanup(func() { _ = feeding.Close(context.Background()) })

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	f, err := startFeed(ctx, feeding, n)
	require.NoError(t, err)
	const ackWait = 5 * time.Second // a cut loses acknowledgements
	running := w.engine(t, task(square), ackWait, func(p *policy.Consumer) {
		p.Loop.Streaming = true
		// How long a cut lasts is the election's affair. That the policy gives up some
		// time, with a dead letter, is not the question here.
		p.Produce.Retry.MaxAttempts = 1000
	})
	type ended struct {
		engine.Report
		err error
	}
	reports := make(chan ended, 1)
	go func() {
		r, err := running.Run(ctx)
		reports <- ended{r, err}
	}()
	defer func() { // whatever fails, the engine ends before its server
		stop()
		<-f.ended
		if running != nil {
			<-reports
		}
	}()

	flows := func(more int) {
		t.Helper()
		from, _ := m.count()
		require.Eventually(t, func() bool {
			now, _ := m.count()
			return now >= from+more || len(reports) > 0
		}, clusterPatience, 10*time.Millisecond, "nothing flows")
		require.Empty(t, reports, "the engine goes on")
	}
	leadersWithout := func(node int) {
		t.Helper()
		c.AwaitLeader("IN", "", node)
		c.AwaitLeader("IN", "task", node)
		c.AwaitLeader("OUT", "", node)
	}
	faults := []struct {
		name string
		do   func()
	}{
		{"nothing", func() {}},
		{"n0 killed and restarted", func() { c.Kill(0); flows(100); c.Restart(0) }},
		{"n1 killed and restarted", func() { c.Kill(1); flows(100); c.Restart(1) }},
		{"n2 killed and restarted", func() { c.Kill(2); flows(100); c.Restart(2) }},
		{"leader of OUT stepped down", func() { stepDown(t, w, c, "OUT", "", "") }},
		{"leader of IN stepped down", func() { stepDown(t, w, c, "IN", "", "") }},
		{"leader of the consumer stepped down", func() { stepDown(t, w, c, "IN", "task", "") }},
		// Its client goes on sending to it, and it goes on believing that it leads.
		{"leader of OUT cut off, with the client that publishes", func() {
			name := w.bus.PublishConn().ConnectedServerName()
			stepDown(t, w, c, "OUT", "", name)
			c.Cut(c.Node(name))
			leadersWithout(c.Node(name))
			c.Heal(c.Node(name))
		}},
		// What was sent to it meanwhile arrives when it is back: a burst for a leader
		// whose term is over.
		{"leader of OUT not heard, the client elsewhere", func() {
			other := 0
			for taken := true; taken; other++ {
				at := c.Name(other)
				taken = at == w.bus.PublishConn().ConnectedServerName() || at == w.bus.ConsumeConn().ConnectedServerName()
			}
			other--
			stepDown(t, w, c, "OUT", "", fmt.Sprintf("n%d", other))
			c.Silence(other)
			leadersWithout(other)
			flows(100)
			c.Heal(other)
		}},
	}
	flows(100)
	m.look()
	for _, fault := range faults {
		began := time.Now()
		from, _ := m.count()
		fault.do()
		c.AwaitWhole()
		flows(100)
		to, stall := m.look()
		t.Logf("%-55s %5d outputs in %6s, longest stall %s", fault.name+":", to-from,
			time.Since(began).Round(10*time.Millisecond), stall.Round(time.Millisecond))
		require.Less(t, f.stored.Load(), int64(n), "inputs flow through every fault")
	}
	close(f.hurry)
	<-f.ended
	require.NoError(t, f.err)
	require.Eventually(t, func() bool {
		_, done := m.count()
		return done == n || len(reports) > 0
	}, clusterPatience, 10*time.Millisecond, "some inputs have no outcome")
	stop()
	report := <-reports
	running = nil
	require.NoError(t, report.err)
	require.Zero(t, report.Dead)

	// Acknowledgements that were lost with a leader are made up for now.
	last, err := w.engine(t, task(square), ackWait, nil).Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, last.Dead+last.Abandoned)
	info, err := w.bus.ConsumerInfo(t.Context(), "IN", "task")
	require.NoError(t, err)
	require.Zero(t, info.AckPending)
	require.Zero(t, info.Pending)
	require.EqualValues(t, n, w.stored(t, "IN"))
	require.Zero(t, w.stored(t, "ERGON_DLQ"))

	squares := make(map[string]string, n)
	for _, msg := range w.all(t, "OUT") {
		of := msg.Header[semconv.CECausationID][0]
		if was, again := squares[of]; again {
			require.FailNow(t, "a second output", "of %s: %s and %s", of, was, msg.Data)
		}
		squares[of] = string(msg.Data)
	}
	require.Len(t, squares, n)
	for i := range n {
		if want, got := fmt.Sprintf(`{"square":%d}`, i*i), squares["tx-"+strconv.Itoa(i)]; got != want { // 50,000 are many for require
			require.Equal(t, want, got)
		}
	}
	outputs, _ := m.count()
	t.Logf("%d inputs: %d sent again, %d of them stored before; %d outputs confirmed, %d of them copies that the stream dropped; met %v",
		n, f.again, f.twice, outputs, outputs-n, m.met)
}
