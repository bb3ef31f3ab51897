package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// Each test breaks one thing under a source that is being read, and shows that the
// source says so, and that it goes on once the thing is whole.

func TestHealServerRestart(t *testing.T) {
	n := newNode(t)
	w := newWorldOn(t, connect(t, n.s.URL())).watched()
	s := w.source(t, time.Second)
	r := read(t, s)
	w.number(t, "before", 20)
	r.hasAll("before", 20)
	n.s.Shutdown()
	ails(t, s, bus.ErrDisconnected, "trying to reach NATS again")
	n.start()
	healthy(t, s)
	w.number(t, "after", 20)
	r.hasAll("after", 20)
}

// A server in lame duck mode has no JetStream any more and closes its clients one
// by one. What is published meanwhile is published once the next one is there.
func TestHealLameDuck(t *testing.T) {
	addr, dir := freePort(t), t.TempDir()
	server := lameDuck(t, addr, dir)
	t.Cleanup(func() { server.Shutdown() })
	var log logBook
	b := connect(t, "nats://"+addr, bus.WithLogger(log.logger()))
	w := newWorldOn(t, b).watched()
	s := w.source(t, time.Second)
	r := read(t, s)
	w.number(t, "before", 20)
	r.hasAll("before", 20)

	gone, duck := make(chan struct{}), server
	go func() {
		defer close(gone)
		duck.LameDuckShutdown()
		duck.WaitForShutdown()
	}()
	ails(t, s, nil)
	const n = 200
	published := make(chan error, 1)
	go func() { published <- insist(t.Context(), w.pub, "during", n) }()
	<-gone
	server = lameDuck(t, addr, dir)
	require.True(t, log.has("asks its clients to move"))
	healthy(t, s)
	require.False(t, b.Status().LameDuck)
	require.NoError(t, <-published)
	r.hasAll("during", n)
}

// lameDuck is a server that is done with its clients a second after it is told to go.
func lameDuck(t *testing.T, addr, dir string) *natsserver.Server {
	t.Helper()
	host, portText, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	port, err := strconv.Atoi(portText)
	require.NoError(t, err)
	s, err := natsserver.NewServer(&natsserver.Options{
		Host: host, Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
		LameDuckDuration: 1200 * time.Millisecond, LameDuckGracePeriod: 200 * time.Millisecond,
	})
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(10*time.Second))
	return s
}

// insist publishes until all is stored, each under its one ID.
func insist(ctx context.Context, pub *bus.Publisher, prefix string, n int) error {
	type answer struct {
		i   int
		err error
	}
	answers := make(chan answer, n)
	send := func(i int) {
		m := &nats.Msg{Subject: "in.lines", Data: []byte(`{"n":1}`), Header: nats.Header{"Nats-Msg-Id": {fmt.Sprintf("%s-%d", prefix, i)}}}
		pub.Publish(ctx, m, func(_ bus.PubAck, err error) { answers <- answer{i, err} })
	}
	for i := range n {
		send(i)
	}
	for stored := 0; stored < n; {
		switch a := <-answers; {
		case a.err == nil:
			stored++
		case bus.Permanent(a.err) || ctx.Err() != nil:
			return a.err
		default:
			send(a.i)
		}
	}
	return nil
}

// A firewall that forgets a connection closes neither end of it. Pings find out,
// and until they do the source says that nobody answers.
func TestHealHalfOpenConnection(t *testing.T) {
	n := newNode(t)
	p := newProxy(t, n.o.Listen)
	// Pings are so rare here that the watch alone notices.
	slow := newWorldOn(t, connect(t, p.url(), bus.WithPingInterval(time.Hour))).watched()
	s := slow.source(t, time.Second)
	r := read(t, s)
	slow.number(t, "one", 5)
	r.hasAll("one", 5)
	p.freeze("")
	require.True(t, slow.bus.Status().Connected, "nobody has noticed")
	ails(t, s, context.DeadlineExceeded, "the server does not answer", "cut without being closed", "nats stream info IN")
	p.thaw()
	healthy(t, s)
	slow.number(t, "two", 5)
	r.hasAll("two", 5)

	var log logBook
	b := connect(t, p.url(), bus.WithPingInterval(500*time.Millisecond), bus.WithLogger(log.logger()))
	quick := newWorldOn(t, b).watched(func(c *jetstream.SourceConfig) { c.Consumer.Durable = "quick" })
	s = quick.source(t, time.Second)
	r = read(t, s)
	quick.number(t, "three", 5)
	r.hasAll("three", 5)
	p.freeze("")
	eventually(t, func() bool { return b.Status().Reconnects >= 2 })
	require.True(t, log.has("stale connection"))
	healthy(t, s)
	quick.number(t, "four", 5)
	r.hasAll("four", 5)
	p.thaw()
}

// A connection that is closed, by whomever, does not come back: the source says so
// for good.
func TestHealClosedConnection(t *testing.T) {
	n := newNode(t)
	b := connect(t, n.s.URL())
	_, err := b.EnsureStream(t.Context(), bus.Stream{Name: "IN", Subjects: []string{"in.>"}})
	require.NoError(t, err)
	s, err := jetstream.NewSource(t.Context(), jetstream.SourceConfig{
		Bus: b, DeadLetters: storeFunc(nil), Consumer: bus.Consumer{Stream: "IN", Durable: "task"}, CheckEvery: 20 * time.Millisecond,
	})
	require.NoError(t, err)
	r := read(t, s)
	looked(t, s, 1)
	require.NoError(t, s.Health())
	b.ConsumeConn().Close()
	<-r.done
	require.ErrorIs(t, r.err(), ergon.ErrClosed)
	require.NotContains(t, r.err().Error(), "\n")
	ails(t, s, bus.ErrClosed, "closed for good", "started again")
	_, err = s.Fetch(t.Context(), 1)
	require.ErrorIs(t, err, ergon.ErrClosed, "and again")
	require.Error(t, s.Close(t.Context()))
	require.ErrorIs(t, s.Health(), bus.ErrClosed)
	require.NoError(t, b.Close(t.Context()))
}

func TestHealDeletedConsumer(t *testing.T) {
	var log logBook
	w := newWorld(t).watched(func(c *jetstream.SourceConfig) { c.Logger = log.logger() })
	s := w.source(t, time.Second)
	// Nobody fetches, as where all slots are taken.
	require.NoError(t, w.bus.JetStream().DeleteConsumer(t.Context(), "IN", "task"))
	eventually(t, func() bool {
		_, err := w.bus.ConsumerInfo(t.Context(), "IN", "task")
		return err == nil
	})
	eventually(t, func() bool { return log.has("the consumer was gone, and was made anew") })
	r := read(t, s)
	for _, prefix := range []string{"a", "b", "c"} { // and while somebody does
		require.NoError(t, w.bus.JetStream().DeleteConsumer(t.Context(), "IN", "task"))
		w.number(t, prefix, 10)
		r.hasAll(prefix, 10)
		healthy(t, s)
		// The server has its files: without them it can't write this.
		w.operator(t, func(c *natsjs.ConsumerConfig) { c.Description = prefix })
	}
	require.NoError(t, r.err(), "a consumer that is gone is no failed fetch")
}

// The same for what was parked.
func TestHealDeletedConsumerOfParkedOnes(t *testing.T) {
	w := newWorld(t).watched()
	s := w.source(t, time.Second)
	c := w.parking.Consumer(bus.Lane("IN", "task"))
	for _, remove := range []func() error{
		func() error { return w.bus.JetStream().DeleteConsumer(t.Context(), c.Stream, c.Durable) },
		func() error { return w.bus.JetStream().DeleteStream(t.Context(), c.Stream) },
	} {
		require.NoError(t, remove())
		eventually(t, func() bool {
			_, err := w.bus.ConsumerInfo(t.Context(), c.Stream, c.Durable)
			return err == nil
		})
		healthy(t, s)
	}
	require.NoError(t, s.Close(t.Context()))
}

// A deleted consumer that somebody else makes again is worked with as it is now.
func TestHealReplacedConsumer(t *testing.T) {
	n := newNode(t)
	w := newWorldOn(t, connect(t, n.s.URL())).watched(func(c *jetstream.SourceConfig) { c.Parking = nil })
	s := w.source(t, 30*time.Second)
	js := w.bus.JetStream()
	r := read(t, s)
	w.number(t, "a", 10)
	r.hasAll("a", 10)
	require.NoError(t, js.DeleteConsumer(t.Context(), "IN", "task"))
	eventually(t, func() bool { // the server would remove the files of a new one with those of the old one
		_, files := os.Stat(filepath.Join(n.o.StoreDir, "jetstream", "$G", "streams", "IN", "obs", "task"))
		_, err := w.bus.ConsumerInfo(t.Context(), "IN", "task")
		return err == nil || errors.Is(files, fs.ErrNotExist)
	})
	_, err := js.CreateOrUpdateConsumer(t.Context(), "IN", natsjs.ConsumerConfig{
		Durable: "task", AckPolicy: natsjs.AckExplicitPolicy, FilterSubject: "in.lines", AckWait: 7 * time.Second,
	})
	require.NoError(t, err)
	w.number(t, "b", 10)
	r.hasAll("b", 10)
	healthy(t, s)
}

func TestHealDeletedStream(t *testing.T) {
	t.Run("declared", func(t *testing.T) {
		var log logBook
		w := newWorld(t).watched(func(c *jetstream.SourceConfig) {
			c.Stream = &bus.Stream{Name: "IN", Subjects: []string{"in.>"}}
			c.Logger = log.logger()
		})
		s := w.source(t, time.Second)
		// Nobody fetches.
		require.NoError(t, w.bus.JetStream().DeleteStream(t.Context(), "IN"))
		eventually(t, func() bool { return log.has("the stream was gone, and was made anew") })
		healthy(t, s)
		r := read(t, s)
		w.number(t, "a", 10)
		r.hasAll("a", 10)
		require.NoError(t, w.bus.JetStream().DeleteStream(t.Context(), "IN"))
		eventually(t, func() bool {
			_, err := w.bus.ConsumerInfo(t.Context(), "IN", "task")
			return err == nil
		})
		w.number(t, "b", 10)
		r.hasAll("b", 10)
		healthy(t, s)
	})
	t.Run("somebody else's", func(t *testing.T) {
		w := newWorld(t).watched()
		s := w.source(t, time.Second)
		r := read(t, s)
		js := w.bus.JetStream()
		require.NoError(t, js.DeleteStream(t.Context(), "IN"))
		ails(t, s, bus.ErrStreamGone, `"IN"`, "create it")
		eventually(t, func() bool { return r.err() != nil })
		require.ErrorIs(t, r.err(), bus.ErrStreamGone)
		_, err := js.CreateStream(t.Context(), natsjs.StreamConfig{Name: "IN", Subjects: []string{"in.>"}})
		require.NoError(t, err)
		healthy(t, s)
		w.number(t, "a", 10)
		r.hasAll("a", 10)
	})
}

// operator changes the consumer as somebody with the nats tool does.
func (w *world) operator(t *testing.T, change func(*natsjs.ConsumerConfig)) {
	t.Helper()
	c, err := w.bus.JetStream().Consumer(t.Context(), "IN", "task")
	require.NoError(t, err)
	cfg := c.CachedInfo().Config
	change(&cfg)
	_, err = w.bus.JetStream().UpdateConsumer(t.Context(), "IN", cfg)
	require.NoError(t, err)
}

// LESSONS 5: leases follow the deadline that the server has now, whichever way it
// came to be. What the source can't work with is said, with what to do.
func TestHealChangedConsumer(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*natsjs.ConsumerConfig)
		lease  time.Duration
		ails   []string
	}{
		"a longer ack_wait":  {func(c *natsjs.ConsumerConfig) { c.AckWait = time.Minute }, time.Minute, nil},
		"a shorter ack_wait": {func(c *natsjs.ConsumerConfig) { c.AckWait = 4 * time.Second }, 4 * time.Second, nil},
		"max_deliver": {
			func(c *natsjs.ConsumerConfig) { c.MaxDeliver = 3 }, 20 * time.Second,
			[]string{"max_deliver 3", "the message is lost", "remove it"},
		},
		"backoff": {
			func(c *natsjs.ConsumerConfig) {
				c.MaxDeliver, c.BackOff = 5, []time.Duration{3 * time.Second, 9 * time.Second}
			},
			3 * time.Second, []string{"backoff replaces ack_wait", "remove it"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).watched(func(c *jetstream.SourceConfig) { c.Parking = nil })
			s := w.source(t, 20*time.Second)
			w.operator(t, c.change)
			lease := time.Duration(0)
			for i := 0; lease != c.lease; i++ {
				w.number(t, strconv.Itoa(i), 1)
				all, err := s.Fetch(t.Context(), 1)
				require.NoError(t, err)
				lease = all[0].Info().Lease
				all[0].Settle(ergon.Settlement{Kind: ergon.Ack}, func(err error) { require.NoError(t, err) })
			}
			if c.ails != nil {
				ails(t, s, bus.ErrTopology, c.ails...)
				w.operator(t, func(c *natsjs.ConsumerConfig) { c.MaxDeliver, c.BackOff, c.AckWait = -1, nil, 20*time.Second })
			}
			healthy(t, s)
			require.NoError(t, s.Close(t.Context()))
		})
	}
}

// What was held under a long deadline is lost by the new, short one: the server has
// given it to somebody else.
func TestHealShorterAckWaitEndsWhatIsHeld(t *testing.T) {
	w := newWorld(t).watched(func(c *jetstream.SourceConfig) { c.Parking = nil })
	s := w.source(t, time.Hour)
	w.number(t, "a", 1)
	all, err := s.Fetch(t.Context(), 1)
	require.NoError(t, err)
	w.operator(t, func(c *natsjs.ConsumerConfig) { c.AckWait = 200 * time.Millisecond })
	again, err := s.Fetch(t.Context(), 1) // what is held comes again
	require.NoError(t, err)
	require.Equal(t, all[0].Info().Stored, again[0].Info().Stored)
	eventually(t, func() bool { return all[0].Extend(t.Context()) != nil })
	require.ErrorIs(t, all[0].Extend(t.Context()), ergon.ErrLeaseLost)
	require.NoError(t, s.Close(t.Context()))
}

func TestHealPausedConsumer(t *testing.T) {
	w := newWorld(t).watched()
	s := w.source(t, time.Second)
	r := read(t, s)
	w.number(t, "a", 1)
	r.hasAll("a", 1)
	js := w.bus.JetStream()
	_, err := js.PauseConsumer(t.Context(), "IN", "task", time.Now().Add(time.Hour))
	require.NoError(t, err)
	healthy(t, s) // nothing is kept from it
	w.number(t, "b", 3)
	ails(t, s, nil, `"IN/task" is paused with 3 messages pending`, "nats consumer resume IN task")
	require.Zero(t, r.has("b"))
	_, err = js.ResumeConsumer(t.Context(), "IN", "task")
	require.NoError(t, err)
	r.hasAll("b", 3)
	healthy(t, s)
}

// A consumer of what was parked that delivers nothing is named, too.
func TestHealPausedConsumerOfParkedOnes(t *testing.T) {
	w := newWorld(t).watched()
	s := w.source(t, time.Second)
	c := w.parking.Consumer(bus.Lane("IN", "task"))
	_, err := w.bus.JetStream().PauseConsumer(t.Context(), c.Stream, c.Durable, time.Now().Add(time.Hour))
	require.NoError(t, err)
	w.publish(t, &nats.Msg{Subject: "ergon.parked.IN.task.due"})
	read(t, s)
	ails(t, s, nil, c.Durable+`" is paused`)
	_, err = w.bus.JetStream().ResumeConsumer(t.Context(), c.Stream, c.Durable)
	require.NoError(t, err)
	healthy(t, s)
}

// LESSONS 31: readiness is of one consumer. What ails one of two on the same
// connection is not said of the other.
func TestHealthIsOfOneConsumer(t *testing.T) {
	w := newWorld(t).watched()
	ill := w.source(t, time.Second)
	_, err := w.bus.EnsureStream(t.Context(), bus.Stream{Name: "OTHER", Subjects: []string{"other.>"}})
	require.NoError(t, err)
	w.watched(func(c *jetstream.SourceConfig) { c.Consumer.Stream, c.Consumer.Subjects = "OTHER", nil })
	well := w.source(t, time.Second)
	require.NoError(t, w.bus.JetStream().DeleteStream(t.Context(), "IN"))
	ails(t, ill, bus.ErrStreamGone)
	looked(t, well, 2)
	require.NoError(t, well.Health())
	require.NoError(t, well.Close(t.Context()))
	require.NoError(t, ill.Close(t.Context()))
}
