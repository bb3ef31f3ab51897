package bus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// plainServer is a nats-server on a random port. JetStream and users are what
// change makes of them.
func plainServer(t *testing.T, change func(*natsserver.Options)) *natsserver.Server {
	t.Helper()
	// Without a system account: the event of a client that a reload refuses races with the
	// server's own counting of that client's messages.
	o := &natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true, NoSystemAccount: true, StoreDir: t.TempDir()}
	if change != nil {
		change(o)
	}
	s, err := natsserver.NewServer(o)
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(10*time.Second))
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

// fakeReply stands for a reply subject of JetStream's, which a server lets no
// client use.
const fakeReply = "ACK.S.d.1.1.1.1.0"

// fakeAPI plays JetStream for one consumer, by the book of the test. It stands
// behind a domain's prefix on a server without JetStream.
type fakeAPI struct {
	t     *testing.T
	nc    *nats.Conn
	pulls chan pull
	looks chan look
}

// look is a question for the next message of a filter.
type look struct {
	Seq  uint64 `json:"seq"`
	Next string `json:"next_by_subj"`
	m    *nats.Msg
}

func (l look) answer(t *testing.T, json string) {
	t.Helper()
	require.NoError(t, l.m.Respond([]byte(json)))
}

// pull is a pull request as the server gets it.
type pull struct {
	Batch     int           `json:"batch"`
	Expires   time.Duration `json:"expires"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
	MaxBytes  int           `json:"max_bytes"`
	reply     string
}

// newFake returns the fake and a bus that takes it for JetStream. The consumer
// has one message that is never delivered, unless info says otherwise.
func newFake(t *testing.T, info string, opts ...bus.Option) (*fakeAPI, *bus.Bus) {
	t.Helper()
	s := plainServer(t, nil)
	nc, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	f := &fakeAPI{t: t, nc: nc, pulls: make(chan pull, 1000), looks: make(chan look, 1000)}
	if info == "" {
		info = `{"stream_name":"S","name":"d","num_pending":1,"num_waiting":1}`
	}
	_, err = nc.Subscribe("$JS.fake.API.>", func(m *nats.Msg) {
		switch api := strings.TrimPrefix(m.Subject, "$JS.fake.API."); {
		case api == "INFO":
			_ = m.Respond([]byte("{}"))
		case strings.HasPrefix(api, "CONSUMER.INFO."):
			_ = m.Respond([]byte(info))
		case strings.HasPrefix(api, "CONSUMER.MSG.NEXT."):
			p := pull{reply: m.Reply}
			if json.Unmarshal(m.Data, &p) == nil {
				f.pulls <- p
			}
		case strings.HasPrefix(api, "STREAM.MSG.GET."):
			l := look{m: m}
			if json.Unmarshal(m.Data, &l) == nil {
				f.looks <- l
			}
		}
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return f, connect(t, bus.Config{URL: s.ClientURL(), Domain: "fake"}, opts...)
}

func (f *fakeAPI) status(p pull, code, text string, left int) {
	h := nats.Header{"Status": {code}, "Description": {text}}
	if left >= 0 {
		h["Nats-Pending-Messages"] = []string{strconv.Itoa(left)}
	}
	require.NoError(f.t, f.nc.PublishMsg(&nats.Msg{Subject: p.reply, Header: h}))
}

func (f *fakeAPI) deliver(p pull, payload string, size int) {
	data := append([]byte(payload), make([]byte, size)...)
	require.NoError(f.t, f.nc.PublishMsg(&nats.Msg{Subject: p.reply, Reply: fakeReply, Data: data}))
}

// fetching runs one Fetch beside the test.
func fetching(ctx context.Context, p *bus.Puller, max int) <-chan error {
	c := make(chan error, 1)
	go func() {
		_, err := p.Fetch(ctx, max, nil)
		c <- err
	}()
	return c
}

// What a status says is not coming any more is asked for again, and not more.
func TestPullStatuses(t *testing.T) {
	const asked = 10
	for _, c := range []struct {
		code, text string
		left       int // in the header; -1: no header
		again      int // asked for next
	}{
		{"408", "Request Timeout", 10, 10},
		{"408", "Request Timeout", 7, 7},
		{"408", "Interest Expired", 10, 10},
		{"408", "Request Timeout", -1, 10},
		{"404", "No Messages", -1, 10},
		{"409", "Leadership Change", -1, 10},
		{"409", "Server Shutdown", 10, 10},
		{"409", "Consumer Deleted", -1, 10},
		{"409", "Exceeded MaxWaiting", -1, 10},
		{"409", "Message Size Exceeds MaxBytes", 10, 1},
		{"409", "Exceeded MaxRequestBatch of 3", -1, 3},
		{"409", "Exceeded MaxRequestExpires of 1s", -1, 10},
		{"409", "Something New", -1, 10},
		{"423", "Nats-Wrong-Pin-Id", 6, 6},
		{"503", "", -1, 10},
		{"599", "What Is To Come", -1, 10},
	} {
		t.Run(c.code+" "+c.text, func(t *testing.T) {
			ctx := testContext(t)
			f, b := newFake(t, "")
			p := puller(t, b, bus.PullConfig{})
			result := fetching(ctx, p, asked)
			first := receive(ctx, t, f.pulls)
			require.Equal(t, asked, first.Batch)
			f.status(first, "100", "Idle Heartbeat", -1)
			f.status(first, c.code, c.text, c.left)
			next := receive(ctx, t, f.pulls)
			require.Equal(t, c.again, next.Batch)
			if c.text == "Exceeded MaxRequestExpires of 1s" {
				require.Equal(t, time.Second, next.Expires)
				require.LessOrEqual(t, next.Heartbeat, next.Expires/2)
			}
			f.deliver(next, "x", 0)
			require.NoError(t, receive(ctx, t, result))
		})
	}
}

func TestPullStatusesThatEndAFetch(t *testing.T) {
	for status, text := range map[string]string{
		"400": "Bad Request - Priority Group missing",
		"412": "Required Api Level",
		"409": "Consumer is push based",
	} {
		ctx := testContext(t)
		f, b := newFake(t, "")
		p := puller(t, b, bus.PullConfig{})
		result := fetching(ctx, p, 10)
		f.status(receive(ctx, t, f.pulls), status, text, -1)
		err := receive(ctx, t, result)
		require.ErrorIs(t, err, bus.ErrPullRefused)
		require.ErrorContains(t, err, text)
	}
}

// Three requests are open when the leader changes, and each is told. Only the
// first telling counts: what is asked for afterwards is not void.
func TestPullIgnoresWhatIsSaidOfOlderRounds(t *testing.T) {
	ctx := testContext(t)
	f, b := newFake(t, "")
	p := puller(t, b, bus.PullConfig{})
	var open []pull
	for _, max := range []int{1, 4, 16} {
		short, cancel := context.WithCancel(ctx)
		result := fetching(short, p, max)
		open = append(open, receive(ctx, t, f.pulls))
		cancel()
		require.ErrorIs(t, receive(ctx, t, result), context.Canceled)
	}
	result := fetching(ctx, p, 16)
	f.status(open[0], "409", "Leadership Change", -1)
	next := receive(ctx, t, f.pulls)
	require.Equal(t, 16, next.Batch)
	f.status(open[1], "409", "Leadership Change", -1)
	f.status(open[2], "409", "Leadership Change", -1)
	f.status(next, "408", "Request Timeout", 9) // 7 are still to come: less than half
	last := receive(ctx, t, f.pulls)
	require.Equal(t, 9, last.Batch, "what is asked for together is never more than 16")
	f.deliver(last, "x", 0)
	require.NoError(t, receive(ctx, t, result))
}

// A server that forgets a request stays silent. What it may still deliver for
// it is kept, and not counted against what was asked anew.
func TestPullAsksAnewAfterSilence(t *testing.T) {
	ctx := testContext(t)
	var log logBook
	f, b := newFake(t, "", bus.WithLogger(log.logger()))
	p := puller(t, b, bus.PullConfig{Expires: 60 * time.Millisecond, Heartbeat: 20 * time.Millisecond})
	result := fetching(ctx, p, 10)
	first := receive(ctx, t, f.pulls)
	second := receive(ctx, t, f.pulls)
	require.Equal(t, 10, second.Batch)
	inbox := func(p pull) string { return p.reply[:strings.Index(p.reply, ".r.")] }
	require.NotEqual(t, inbox(first), inbox(second))
	f.deliver(second, "x", 0)
	require.NoError(t, receive(ctx, t, result))
	require.Contains(t, log.String(), "no heartbeat")
}

// A new leader does not know the requests that the old one got last.
func TestPullAsksAnewWhenItsRequestsAreNotKnown(t *testing.T) {
	ctx := testContext(t)
	var log logBook
	f, b := newFake(t, `{"stream_name":"S","name":"d","num_pending":1}`, bus.WithLogger(log.logger()))
	p := puller(t, b, bus.PullConfig{Expires: 10 * time.Minute, Heartbeat: 4 * time.Minute})
	done := fetching(ctx, p, 10)
	first := receive(ctx, t, f.pulls)
	second := receive(ctx, t, f.pulls)
	require.Equal(t, 10, second.Batch)
	require.NotEqual(t, first.reply, second.reply)
	require.Contains(t, log.String(), "does not know our requests")
	f.deliver(second, "m", 0)
	require.NoError(t, receive(ctx, t, done))
}

// A request may be lost with its connection, and no status tells so.
func TestPullAsksAnewAfterAReconnect(t *testing.T) {
	ctx := testContext(t)
	f, b := newFake(t, "")
	p := puller(t, b, bus.PullConfig{Expires: 10 * time.Minute, Heartbeat: 4 * time.Minute})
	result := fetching(ctx, p, 10)
	require.Equal(t, 10, receive(ctx, t, f.pulls).Batch)
	require.NoError(t, b.ConsumeConn().ForceReconnect())
	again := receive(ctx, t, f.pulls)
	require.Equal(t, 10, again.Batch)
	f.deliver(again, "x", 0)
	require.NoError(t, receive(ctx, t, result))
}

// A request with a bound of bytes that is used up exactly ends without a word
// from the server.
func TestPullMaxBytesUsedUpExactly(t *testing.T) {
	ctx := testContext(t)
	f, b := newFake(t, "")
	p := puller(t, b, bus.PullConfig{MaxBytes: 1000, Expires: 10 * time.Minute, Heartbeat: 4 * time.Minute})
	result := fetching(ctx, p, 10)
	first := receive(ctx, t, f.pulls)
	require.Equal(t, 1000, first.MaxBytes)
	overhead := len(first.reply) + len(fakeReply)
	f.deliver(first, "", 400-overhead)
	require.NoError(t, receive(ctx, t, result))
	require.Empty(t, f.pulls, "one request at a time")
	f.deliver(first, "", 600-overhead)
	require.NoError(t, receive(ctx, t, fetching(ctx, p, 10)))
	result = fetching(ctx, p, 10)
	next := receive(ctx, t, f.pulls)
	require.LessOrEqual(t, next.Batch, 10)
	require.Equal(t, 1000, next.MaxBytes)
	f.deliver(next, "x", 0)
	require.NoError(t, receive(ctx, t, result))
}

func TestPullMessageAboveMaxBytesComesAlone(t *testing.T) {
	ctx := testContext(t)
	f, b := newFake(t, "")
	p := puller(t, b, bus.PullConfig{MaxBytes: 1000})
	result := fetching(ctx, p, 10)
	f.status(receive(ctx, t, f.pulls), "409", "Message Size Exceeds MaxBytes", 10)
	alone := receive(ctx, t, f.pulls)
	require.Equal(t, 1, alone.Batch)
	require.Zero(t, alone.MaxBytes)
	f.deliver(alone, "big", 0)
	require.NoError(t, receive(ctx, t, result))
	result = fetching(ctx, p, 10)
	next := receive(ctx, t, f.pulls)
	require.Equal(t, 1000, next.MaxBytes)
	f.deliver(next, "x", 0)
	require.NoError(t, receive(ctx, t, result))
}

// Real consumers with limits, and sizes of all kinds.
func TestPullWithinAConsumersLimits(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	_, err := b.EnsureStream(ctx, bus.Stream{Name: "S", Subjects: []string{"s.>"}})
	require.NoError(t, err)
	js := b.JetStream()
	_, err = js.CreateConsumer(ctx, "S", limitedConsumer())
	require.NoError(t, err)
	pub := publisher(t, b, bus.PublisherConfig{})
	const n = 60
	for i := range n {
		size := 100
		if i%10 == 3 {
			size = 8000 // above MaxBytes
		}
		got := receive(ctx, t, publish(ctx, pub, &nats.Msg{Subject: "s.x", Data: fmt.Appendf(nil, "%d:%s", i, make([]byte, size))}))
		require.NoError(t, got.err)
	}
	p := puller(t, b, bus.PullConfig{Stream: "S", Durable: "d", MaxBytes: 4096, Expires: 3 * time.Minute, Heartbeat: time.Minute})
	require.Len(t, drain(ctx, t, p, 20), n)
}

func TestPullDenied(t *testing.T) {
	ctx := testContext(t)
	s := plainServer(t, func(o *natsserver.Options) {
		o.JetStream = true
		o.Users = []*natsserver.User{
			{Username: "admin", Password: "secret"},
			{Username: "worker", Password: "secret", Permissions: &natsserver.Permissions{
				Publish: &natsserver.SubjectPermission{Deny: []string{"$JS.API.CONSUMER.MSG.NEXT.>", "closed.>"}},
			}},
		}
	})
	topology(t, connect(t, bus.Config{URL: s.ClientURL(), User: "admin", Password: "secret"}))
	b := connect(t, bus.Config{URL: s.ClientURL(), User: "worker", Password: "secret"})
	_, err := puller(t, b, bus.PullConfig{}).Fetch(ctx, 1, nil)
	require.ErrorIs(t, err, bus.ErrDenied)

	got := receive(ctx, t, publish(ctx, publisher(t, b, bus.PublisherConfig{Timeout: patience}), nats.NewMsg("closed.x")))
	require.ErrorIs(t, got.err, bus.ErrDenied)
	require.True(t, bus.Permanent(got.err))
	require.Error(t, b.Status().LastError)
}
