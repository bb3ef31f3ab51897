package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/policy"
)

// seen is what a task saw of its attempts.
type seen struct {
	mu  sync.Mutex
	all []attempt
}

type attempt struct {
	id, source string
	n          int
	at, now    time.Time
}

func (s *seen) note(ctx context.Context, id, source string) (n int) {
	x := ergon.ExecutionOf(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, attempt{id, source, x.Attempt, time.Now(), ergon.Now(ctx)})
	return x.Attempt
}

func parksAt(over time.Duration) func(*policy.Consumer) {
	return func(p *policy.Consumer) {
		p.Transaction.RedeliverOver = policy.Duration(over)
		p.Process.Retry.MaxAttempts = 3
	}
}

// LESSONS 9: a long wait leaves the consumer. The transaction comes back as what
// it was, with its next attempt, not early, and its Now.
func TestAParkedTransactionComesBackAsWhatItWas(t *testing.T) {
	w := newWorld(t)
	var s seen
	const wait = 700 * time.Millisecond
	e := w.engine(t, task(func(ctx context.Context, tx ergon.Transaction[in]) (out, error) {
		require.Equal(t, "x=1", tx.Metadata().Get("custom"))
		if s.note(ctx, tx.ID(), tx.Source()) < 3 {
			return out{}, ergon.RetryAfter(wait, errors.New("busy"))
		}
		return square(ctx, tx)
	}), 5*time.Second, parksAt(300*time.Millisecond))
	hostile := nats.Header{"Custom": {"x=1"}, "Nats-Expected-Stream": {"IN"}, "Nats-Rollup": {""}, "ERGON-parked-attempt": {"77"}}
	w.publish(t, &nats.Msg{Data: []byte(`{"n":3}`), Header: hostile})
	report, err := e.Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, report.Deferred)
	require.EqualValues(t, 1, report.Succeeded)
	require.Len(t, s.all, 3)
	for i, a := range s.all {
		require.Equal(t, "IN:1", a.id)
		require.Equal(t, "nats:IN", a.source)
		require.Equal(t, i+1, a.n)
		require.Equal(t, s.all[0].now, a.now)
		if i > 0 {
			require.GreaterOrEqual(t, a.at.Sub(s.all[i-1].at), wait, "never early")
		}
	}
	results := w.all(t, "OUT")
	require.Len(t, results, 1)
	require.JSONEq(t, `{"square":9}`, string(results[0].Data))
	require.Equal(t, "IN:1", results[0].Header.Get("ce-causationid"))
	require.Zero(t, w.stored(t, "ERGON_PARKED"), "nothing is left over")
}

// What fails for good after it was parked is the dead letter of what was published.
func TestADeadLetterOfAParkedTransaction(t *testing.T) {
	w := newWorld(t)
	e := w.engine(t, task(func(context.Context, ergon.Transaction[in]) (out, error) {
		return out{}, ergon.RetryAfter(400*time.Millisecond, errors.New("busy"))
	}), 5*time.Second, parksAt(100*time.Millisecond))
	w.publish(t, &nats.Msg{Data: []byte(`{"n":3}`), Header: nats.Header{"Nats-Msg-Id": {"order-1"}}})
	report, err := e.Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Dead)
	letters := w.all(t, "ERGON_DLQ")
	require.Len(t, letters, 1)
	h := letters[0].Header
	for name, want := range map[string]string{
		"Ergon-Dead-Stream": "IN", "Ergon-Dead-Subject": "in.lines", "Ergon-Dead-Sequence": "1",
		"Ergon-Dead-Attempts": "3", "Ergon-Dead-Deliveries": "3", "Ergon-Orig-Nats-Msg-Id": "order-1",
	} {
		require.Equal(t, want, h.Get(name), name)
	}
	require.Empty(t, h.Get("Ergon-Parked-Attempt"))
	require.JSONEq(t, `{"n":3}`, string(letters[0].Data))
}

// A crash between the parking and the acknowledgement parks the same thing again,
// in its own place: it runs once.
func TestParkedTwiceRunsOnce(t *testing.T) {
	w := newWorld(t)
	w.publish(t, &nats.Msg{Data: []byte(`{"n":3}`)})
	settle := func(s ergon.Source, d ergon.Delivery) {
		done := make(chan error, 1)
		d.Settle(ergon.Settlement{
			Kind: ergon.Retry, After: 700 * time.Millisecond, NextAttempt: 2, FirstSeen: time.Now(),
			Err: &ergon.Error{Category: ergon.CategorySystem, Err: errors.New("x")},
		}, func(err error) { done <- err })
		require.NoError(t, <-done)
	}
	s := w.source(t, 5*time.Second)
	first, err := s.Fetch(t.Context(), 10)
	require.NoError(t, err)
	settle(s, first[0])
	settle(s, first[0])
	require.EqualValues(t, 1, w.stored(t, "ERGON_PARKED"))
	again, err := s.Fetch(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, again, 1)
	require.Equal(t, 2, again[0].Info().Attempt)
	require.NotEqual(t, first[0].Info().Stored, again[0].Info().Stored)
	require.Equal(t, first[0].Transaction().ID(), again[0].Transaction().ID())
	require.NotEmpty(t, first[0].Info().Epoch)
	require.Equal(t, first[0].Info().Epoch, again[0].Info().Epoch, "or its outputs would have other IDs than before")
	again[0].Settle(ergon.Settlement{Kind: ergon.Ack}, func(err error) { require.NoError(t, err) })
	_, err = s.Fetch(t.Context(), 10)
	require.ErrorIs(t, err, ergon.ErrDrained)
	require.NoError(t, s.Close(t.Context()))
}

// Ten thousand parked transactions are no burden to fresh ones, and outlive both
// the processor and the server.
func TestTenThousandParked(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	dir := t.TempDir()
	start := func() *embedded.Server {
		server, err := embedded.Start(t.Context(), embedded.Options{StoreDir: dir, Listen: addr})
		require.NoError(t, err)
		return server
	}
	server := start()
	b, err := bus.Connect(t.Context(), bus.Config{URL: "nats://" + addr})
	require.NoError(t, err)
	t.Cleanup(func() { server.Shutdown() })
	w := newWorldOn(t, b)

	const parkedOnes, freshOnes = 10000, 2000
	fill := func(kind string, n int) {
		var answers sync.WaitGroup
		for i := range n {
			answers.Add(1)
			m := &nats.Msg{Subject: "in.lines", Data: fmt.Appendf(nil, `{"n":%d}`, i), Header: nats.Header{"Nats-Msg-Id": {fmt.Sprintf("%s-%d", kind, i)}}}
			w.pub.Publish(t.Context(), m, func(_ bus.PubAck, err error) {
				defer answers.Done()
				if err != nil {
					t.Error(err)
				}
			})
		}
		answers.Wait()
	}
	waits := map[byte]time.Duration{'l': time.Hour, 's': 8 * time.Second} // long ones and short ones
	var mu sync.Mutex
	failed := map[string]time.Time{}
	early := 0
	tired := task(func(ctx context.Context, tx ergon.Transaction[in]) (out, error) {
		wait := waits[tx.ID()[0]]
		if wait > 0 && ergon.ExecutionOf(ctx).Attempt == 1 {
			mu.Lock()
			failed[tx.ID()] = time.Now()
			mu.Unlock()
			return out{}, ergon.RetryAfter(wait, errors.New("later"))
		}
		mu.Lock()
		if at, ok := failed[tx.ID()]; ok && time.Since(at) < wait {
			early++
		}
		mu.Unlock()
		return square(ctx, tx)
	})
	run := func(until func() bool) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		e := w.engine(t, tired, 5*time.Second, func(p *policy.Consumer) {
			p.Loop.Streaming, p.Process.Retry.BackoffCap = true, policy.Duration(time.Hour)
		})
		go func() {
			_, err := e.Run(ctx)
			done <- err
		}()
		require.Eventually(t, until, time.Minute, 20*time.Millisecond)
		cancel()
		require.NoError(t, <-done)
	}
	lane := bus.Lane("IN", "task")
	count := func() int64 {
		n, err := w.parking.Count(t.Context(), lane)
		require.NoError(t, err)
		return n
	}
	stored := func() uint64 { return w.stored(t, "OUT") }
	again := func() {
		server.Shutdown()
		server = start()
		require.Eventually(t, func() bool { return b.Status().Connected }, time.Minute, 10*time.Millisecond)
	}

	// None of these is due before the test ends, however slow the machine is.
	fill("long", parkedOnes)
	run(func() bool { return count() == parkedOnes })
	fill("fresh", freshOnes)
	run(func() bool { return stored() == freshOnes })
	require.EqualValues(t, parkedOnes, count(), "fresh ones were done while all of them waited")
	info, err := w.bus.ConsumerInfo(t.Context(), "IN", "task")
	require.NoError(t, err)
	require.Zero(t, info.AckPending, "what is parked holds no place")
	again()
	require.EqualValues(t, parkedOnes, count(), "they wait through a restart")

	// These fall due together, after a restart of the processor and of the server.
	fill("short", parkedOnes)
	run(func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(failed) == 2*parkedOnes
	})
	t.Logf("%d wait at the restart", count()-parkedOnes)
	again()
	run(func() bool { return stored() == freshOnes+parkedOnes })
	require.Zero(t, early)
	require.EqualValues(t, parkedOnes, count())
}

// A message that nobody parked is kept, where everything is that can't be run.
func TestAForeignMessageAmongTheParkedOnes(t *testing.T) {
	w := newWorld(t)
	s := w.source(t, 5*time.Second)
	_, err := s.Fetch(t.Context(), 1)
	require.ErrorIs(t, err, ergon.ErrDrained)
	w.publish(t, &nats.Msg{Subject: "ergon.parked.IN.task.due", Data: []byte("what?")})
	for {
		if _, err := s.Fetch(t.Context(), 1); errors.Is(err, ergon.ErrDrained) {
			break
		}
		require.NoError(t, err)
	}
	letters := w.all(t, "ERGON_DLQ")
	require.Len(t, letters, 1)
	require.Equal(t, "what?", string(letters[0].Data))
	require.Contains(t, letters[0].Header.Get("Ergon-Dead-Reason"), "not parked by Ergon")
	require.NoError(t, s.Close(t.Context()))
}

// A stream that would drop what waits in it is refused at the start.
func TestParkingRefusesAStreamThatDrops(t *testing.T) {
	good := natsjs.StreamConfig{
		Name: "P", Subjects: []string{"p.>"}, Retention: natsjs.WorkQueuePolicy, AllowMsgSchedules: true,
	}
	for want, change := range map[string]func(*natsjs.StreamConfig){
		"":                              func(*natsjs.StreamConfig) {},
		"max_age 1h0m0s":                func(c *natsjs.StreamConfig) { c.MaxAge = time.Hour },
		"max_bytes 1048576":             func(c *natsjs.StreamConfig) { c.MaxBytes = 1 << 20 },
		"max_msgs 7":                    func(c *natsjs.StreamConfig) { c.MaxMsgs = 7 },
		"max_msgs_per_subject is 1":     func(c *natsjs.StreamConfig) { c.MaxMsgsPerSubject = 1 },
		"its retention is Interest":     func(c *natsjs.StreamConfig) { c.Retention = natsjs.InterestPolicy },
		"its retention is Limits":       func(c *natsjs.StreamConfig) { c.Retention = natsjs.LimitsPolicy },
		"it does not allow schedules (": func(c *natsjs.StreamConfig) { c.AllowMsgSchedules = false },
	} {
		w := newWorld(t)
		cfg := good
		change(&cfg)
		_, err := w.bus.JetStream().CreateStream(t.Context(), cfg)
		require.NoError(t, err)
		_, err = w.bus.NewParking(t.Context(), bus.ParkingConfig{Stream: "P", SubjectPrefix: "p"}, w.pub)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, bus.ErrTopology)
		require.ErrorContains(t, err, want)
	}
}

// A transaction that is too large to be parked waits in place.
func TestWhatIsTooLargeToParkWaitsInPlace(t *testing.T) {
	w := newWorld(t)
	limit := int(w.bus.ConsumeConn().MaxPayload())
	w.publish(t, &nats.Msg{Data: make([]byte, limit-200)}, &nats.Msg{Data: []byte("small")})
	s := w.source(t, 5*time.Second)
	for _, can := range []bool{false, true} {
		all, err := s.Fetch(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, can, all[0].Info().CanDefer)
		all[0].Settle(ergon.Settlement{Kind: ergon.Ack}, func(err error) { require.NoError(t, err) })
	}
	require.NoError(t, s.Close(t.Context()))
}

// Two tasks take the same message, and both have to try it again later: each has its
// own wait, and its own outcome; so have two that fail for good.
func TestTwoConsumersOfOneMessageParkAndDieApart(t *testing.T) {
	w := newWorld(t)
	w.publish(t, &nats.Msg{Data: []byte(`{"n":3}`), Header: nats.Header{"Nats-Msg-Id": {"late"}}},
		&nats.Msg{Data: []byte(`{"n":0}`), Header: nats.Header{"Nats-Msg-Id": {"bad"}}})
	later := task(func(ctx context.Context, tx ergon.Transaction[in]) (out, error) {
		switch {
		case tx.ID() == "bad":
			return out{}, ergon.Business("bad")
		case ergon.ExecutionOf(ctx).Attempt == 1:
			return out{}, ergon.RetryAfter(500*time.Millisecond, errors.New("later"))
		}
		return square(ctx, tx)
	})
	var ran sync.WaitGroup
	for _, app := range []string{"billing", "fraud"} {
		w.app, w.change = app, func(c *jetstream.SourceConfig) { c.Consumer.Durable = app }
		e := w.engine(t, later, 5*time.Second, parksAt(100*time.Millisecond))
		ran.Go(func() {
			report, err := e.Run(t.Context())
			if err != nil || report.Succeeded != 1 || report.Deferred != 1 || report.Dead != 1 {
				t.Errorf("%s: %+v, %v", app, report, err)
			}
		})
	}
	ran.Wait()
	require.Len(t, w.all(t, "OUT"), 2, "one output of each application's task")
	require.Len(t, w.all(t, "ERGON_DLQ"), 2, "and one dead letter")
}

// What somebody put under a lane's subjects, and nobody takes, holds up no end.
func TestAStrayMessageUnderALane(t *testing.T) {
	w := newWorld(t)
	w.publish(t, &nats.Msg{Subject: "ergon.parked.IN.task.zzz", Data: []byte("what?")})
	report, err := w.engine(t, task(square), 5*time.Second, nil).Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, report.Fetched)
}
