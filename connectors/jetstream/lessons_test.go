package jetstream_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// Each test is named after what it keeps from happening: docs/reference/lessons.md.

// Two replicas share slow work: what one can't begin yet is left to the other, and
// what takes longer than ack_wait is done once.
func TestLesson02TwoReplicasShareSlowWork(t *testing.T) {
	w := newWorld(t)
	const n = 8
	w.number(t, "a", n)
	var mu sync.Mutex
	runs, by := map[string]int{}, map[int]int{}
	both := make(chan struct{}, n)
	replica := func(i int) *engine.Engine {
		return w.engine(t, task(func(ctx context.Context, tx ergon.Transaction[in]) (out, error) {
			mu.Lock()
			runs[tx.ID()]++
			by[i]++
			mu.Unlock()
			both <- struct{}{}
			select {
			case <-time.After(1500 * time.Millisecond): // three leases long
			case <-ctx.Done():
				return out{}, context.Cause(ctx)
			}
			return square(ctx, tx)
		}), 500*time.Millisecond, func(p *policy.Consumer) { p.Loop.Concurrency = 2 })
	}
	reports := make(chan engine.Report, 2)
	for i := range 2 {
		e := replica(i)
		go func() {
			r, err := e.Run(t.Context())
			if err != nil {
				t.Error(err)
			}
			reports <- r
		}()
	}
	first, second := <-reports, <-reports
	require.EqualValues(t, n, first.Succeeded+second.Succeeded)
	require.Zero(t, first.Lost+second.Lost)
	for id, times := range runs {
		require.Equal(t, 1, times, id)
	}
	require.Len(t, by, 2, "each did some")
}

// A holder that the server can't hear loses its lease while its task runs. Another
// takes over; the first one's outputs and its acknowledgement come to nothing,
// though it could still publish.
func TestLesson04LateAckPublishesNothing(t *testing.T) {
	n := newNode(t)
	p := newProxy(t, n.o.Listen)
	cut := newWorldOn(t, connect(t, p.url(), bus.WithPingInterval(time.Hour)))
	other := newWorldOn(t, connect(t, n.s.URL()))
	cut.number(t, "a", 1)

	started := make(chan struct{})
	var late atomic.Int64
	slow := cut.engine(t, task(func(ctx context.Context, tx ergon.Transaction[in]) (out, error) {
		close(started)
		<-ctx.Done() // and then it has a result all the same
		late.Add(1)
		return out{Square: -1}, nil
	}), time.Second, func(p *policy.Consumer) { p.Loop.Streaming = true })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan engine.Report, 1)
	go func() {
		r, err := slow.Run(ctx)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	<-started
	p.freeze("consume")
	report, err := other.engine(t, task(square), time.Second, nil).Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Succeeded)
	eventually(t, func() bool { return late.Load() == 1 })
	p.thaw()
	stop()
	first := <-done
	require.EqualValues(t, 1, first.Lost)
	require.Zero(t, first.Succeeded)
	outs := other.all(t, "OUT")
	require.Len(t, outs, 1)
	require.JSONEq(t, `{"square":1}`, string(outs[0].Data))
}

// Leases are renewed by what the server has, not by what a file says: also those of
// parked transactions, whose consumer may have another deadline.
func TestLesson05LeasesFollowTheServer(t *testing.T) {
	w := newWorld(t).watched()
	_, _, err := w.bus.EnsureConsumer(t.Context(), bus.Consumer{Stream: "IN", Durable: "task", Subjects: []string{"in.lines"}, AckWait: time.Minute})
	require.NoError(t, err)
	s := w.source(t, 20*time.Second) // declared, and so for the parked ones' consumer
	w.number(t, "a", 1)
	all, err := s.Fetch(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, 20*time.Second, all[0].Info().Lease, "the shorter of the two is true for both")
	w.operator(t, func(c *natsjs.ConsumerConfig) { c.AckWait = 9 * time.Second })
	for lease := all[0].Info().Lease; lease != 9*time.Second; lease = all[0].Info().Lease {
		all[0].Settle(ergon.Settlement{Kind: ergon.Release}, func(err error) { require.NoError(t, err) })
		all, err = s.Fetch(t.Context(), 1)
		require.NoError(t, err)
	}
	require.NoError(t, s.Close(t.Context()))
}

// What waits for its time is told apart from what could be had now, and takes none
// of the consumer's room.
func TestLesson09LagTellsParkedFromPending(t *testing.T) {
	w := newWorld(t).watched()
	s := w.source(t, time.Minute)
	w.number(t, "a", 3)
	all, err := s.Fetch(t.Context(), 1)
	require.NoError(t, err)
	done := make(chan error, 1)
	all[0].Settle(ergon.Settlement{
		Kind: ergon.Retry, After: time.Hour, NextAttempt: 2, FirstSeen: time.Now(), Err: &ergon.Error{Category: ergon.CategorySystem, Err: context.Canceled},
	}, func(err error) { done <- err })
	require.NoError(t, <-done)
	eventually(t, func() bool {
		lag := s.Lag()
		return lag.Parked == 1 && lag.Pending+lag.InFlight == 2
	})
	require.NoError(t, s.Close(t.Context()))
}

// What a source found out in between two looks is in its lag: there is nothing left.
func TestLagOfADrainedSource(t *testing.T) {
	w := newWorld(t)
	s := w.source(t, time.Minute)
	eventually(t, func() bool { return s.Looks() == 1 })
	w.number(t, "a", 1)
	all, err := s.Fetch(t.Context(), 1)
	require.NoError(t, err)
	done := make(chan error, 1)
	all[0].Settle(ergon.Settlement{Kind: ergon.Ack, Confirm: true}, func(err error) { done <- err })
	require.NoError(t, <-done)
	before := time.Now()
	_, err = s.Fetch(t.Context(), 1)
	require.ErrorIs(t, err, ergon.ErrDrained)
	lag := s.Lag()
	require.EqualValues(t, 1, s.Looks(), "the next look is seconds away")
	require.False(t, lag.At.Before(before))
	require.Zero(t, lag.Pending+lag.InFlight+lag.Parked)
	require.NoError(t, s.Close(t.Context()))
}

// Somebody holds as much as the consumer allows, and all is still: the source names
// the cause, is unready, and is well again when that one settles.
func TestLesson10AStallHasAName(t *testing.T) {
	w := newWorld(t).watched(func(c *jetstream.SourceConfig) { c.Parking = nil; c.Consumer.MaxAckPending = 2 })
	s := w.source(t, 10*patience)
	w.number(t, "a", 5)
	c, err := w.bus.JetStream().Consumer(t.Context(), "IN", "task")
	require.NoError(t, err)
	held, err := c.Fetch(2)
	require.NoError(t, err)
	var msgs []natsjs.Msg
	for m := range held.Messages() {
		msgs = append(msgs, m)
	}
	require.Len(t, msgs, 2)
	r := read(t, s)
	ails(t, s, nil, `"IN/task" has delivered nothing`, "2 messages are unacknowledged", "max_ack_pending", "settle them, or raise the limit")
	for _, m := range msgs {
		require.NoError(t, m.Ack())
	}
	r.hasAll("a", 3)
	healthy(t, s)
}

// A source whose requests are all refused is not taken for one that asks for
// nothing.
func TestLesson10ARefusalHasAName(t *testing.T) {
	s := stuckSource(t, func(m *nats.Msg) {
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"409"}, "Description": {"Exceeded MaxWaiting"}}})
	})
	ails(t, s, nil, "with 7 messages pending", "refuses to be asked", "Exceeded MaxWaiting")
	for range 10 { // also between a refusal and the next request
		looked(t, s, 1)
		require.ErrorContains(t, s.Health(), "refuses to be asked")
	}
}

// A watch that has just begun has seen no stall yet.
func TestLesson10NoStallAtTheFirstLook(t *testing.T) {
	w := newWorld(t).watched(func(c *jetstream.SourceConfig) {
		c.Parking, c.Consumer.MaxAckPending = nil, 1
		c.StallAfter(time.Hour)
	})
	_, _, err := w.bus.EnsureConsumer(t.Context(), bus.Consumer{Stream: "IN", Durable: "task", Subjects: []string{"in.lines"}, AckWait: 10 * patience, MaxAckPending: 1})
	require.NoError(t, err)
	w.number(t, "a", 2)
	c, err := w.bus.JetStream().Consumer(t.Context(), "IN", "task")
	require.NoError(t, err)
	_, err = c.Next()
	require.NoError(t, err)
	s := w.source(t, 10*patience)
	read(t, s)
	for range 5 {
		looked(t, s, 1)
		require.NoError(t, s.Health())
	}
}

// The message of a stored dead letter leaves a work queue, which would keep it for
// ever otherwise.
func TestLesson15ADeadLetterLeavesItsWorkQueue(t *testing.T) {
	w := newWorld(t)
	_, err := w.bus.EnsureStream(t.Context(), bus.Stream{Name: "WORK", Subjects: []string{"work"}, Retention: bus.RetentionWorkQueue})
	require.NoError(t, err)
	w.change = func(c *jetstream.SourceConfig) { c.Consumer.Stream, c.Consumer.Subjects = "WORK", nil }
	w.publish(t, &nats.Msg{Subject: "work", Data: []byte(`{"n":1}`)})
	report, err := w.engine(t, task(func(context.Context, ergon.Transaction[in]) (out, error) {
		return out{}, ergon.Business("no")
	}), 0, nil).Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Dead)
	require.EqualValues(t, 1, w.stored(t, "ERGON_DLQ"))
	eventually(t, func() bool { return w.stored(t, "WORK") == 0 })
}

// A bound on attempts that the server keeps can be lowered without a word about
// what is above it already. So there is none: a consumer that has one is refused at
// the start.
func TestLesson16NoBoundOfTheServersIsReliedOn(t *testing.T) {
	w := newWorld(t)
	s := w.source(t, time.Second)
	c, err := w.bus.JetStream().Consumer(t.Context(), "IN", "task")
	require.NoError(t, err)
	require.Equal(t, -1, c.CachedInfo().Config.MaxDeliver)
	w.operator(t, func(c *natsjs.ConsumerConfig) { c.MaxDeliver = 2 })
	_, err = jetstream.NewSource(t.Context(), jetstream.SourceConfig{
		Bus: w.bus, DeadLetters: w.letters, Consumer: bus.Consumer{Stream: "IN", Durable: "task"},
	})
	require.ErrorIs(t, err, bus.ErrTopology)
	require.ErrorContains(t, err, "max_deliver 2")
	require.NoError(t, s.Close(t.Context()))
}

// Where pulling stands still without a cause that shows, the server is stuck: all
// there is to do is to say so, with what helps.
func TestLesson32AStuckServerIsNamedWithAWayOut(t *testing.T) {
	s := stuckSource(t, func(*nats.Msg) {})
	ails(t, s, nil, "with 7 messages pending and 8 asked for", "the server is stuck", "nats consumer cluster step-down IN task")
}

// stuckSource is read, in vain: somebody plays a JetStream that has a consumer with
// pending messages and delivers nothing. pull answers its requests.
func stuckSource(t *testing.T, pull nats.MsgHandler) *jetstream.Source {
	t.Helper()
	server, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	server.Start()
	t.Cleanup(func() {
		server.Shutdown()
		server.WaitForShutdown()
	})
	require.True(t, server.ReadyForConnections(10*time.Second))
	nc, err := nats.Connect(server.ClientURL())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	_, err = nc.Subscribe("$JS.fake.API.>", func(m *nats.Msg) {
		switch api := strings.TrimPrefix(m.Subject, "$JS.fake.API."); {
		case api == "INFO":
			_ = m.Respond([]byte("{}"))
		case strings.HasPrefix(api, "STREAM.INFO."):
			answer, _ := json.Marshal(natsjs.StreamInfo{Config: natsjs.StreamConfig{Name: "IN"}})
			_ = m.Respond(answer)
		case strings.HasPrefix(api, "CONSUMER.INFO."):
			_ = m.Respond([]byte(`{"stream_name":"IN","name":"task","num_pending":7,"config":{"ack_policy":"explicit","ack_wait":1000000000,"max_ack_pending":100}}`))
		case strings.HasPrefix(api, "CONSUMER.MSG.NEXT."):
			pull(m)
		}
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	b, err := bus.Connect(t.Context(), bus.Config{URL: server.ClientURL(), Domain: "fake"})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, b.Close(ctx))
	})
	cfg := jetstream.SourceConfig{
		Bus: b, DeadLetters: storeFunc(nil), Consumer: bus.Consumer{Stream: "IN", Durable: "task"}, CheckEvery: 20 * time.Millisecond,
	}
	cfg.StallAfter(time.Millisecond)
	s, err := jetstream.NewSource(t.Context(), cfg)
	require.NoError(t, err)
	read(t, s)
	return s
}
