package http_test

import (
	"context"
	nethttp "net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// sickRecords fail where they are told to.
type sickRecords struct {
	http.Records
	finish, get error
}

func (s *sickRecords) Finish(ctx context.Context, id string, state http.State, reason string) error {
	if s.finish != nil {
		return s.finish
	}
	return s.Records.Finish(ctx, id, state, reason)
}

func (s *sickRecords) Get(ctx context.Context, id string) (http.Record, bool, error) {
	if s.get != nil {
		return http.Record{}, false, s.get
	}
	return s.Records.Get(ctx, id)
}

// told are errors that were told.
type told struct {
	mu  sync.Mutex
	all []string
}

func (o *told) tell(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, err.Error())
}

// Records that fail after the storing lose nothing that was promised: the answer is 202,
// and somebody is told.
func TestRecordsThatFail(t *testing.T) {
	s, to := &shelf{}, &told{}
	records := &sickRecords{Records: http.NewMemoryRecords(time.Hour, 10), finish: errDown, get: errDown}
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s, Records: records, OnError: to.tell})
	require.NoError(t, err)
	r := serve(t, http.ServerConfig{}, func(server *http.Server) {
		require.NoError(t, server.Add(http.Route{Path: "/in"}, receiver))
	})
	for range 2 {
		require.Equal(t, 202, r.post("/in", "x", "Idempotency-Key", "k").StatusCode)
	}
	require.Len(t, s.stored(), 1, "the sink has the second for a copy")
	id := s.stored()[0].ID()
	require.Equal(t, []string{
		"record that transaction " + strconv.Quote(id) + " is stored: the bus is down",
		"record that transaction " + strconv.Quote(id) + " is stored: the bus is down",
	}, to.all)
	r.do(r.request("GET", "/in/status/"+id, "")).problem(t, 503, "not known now")
}

// forgetful can't look up what it has.
type forgetful struct{ *shelf }

func (f forgetful) SendOnce(ctx context.Context, tx ergon.Raw, done func(func(context.Context) (ergon.Raw, bool, error), error)) {
	done(func(context.Context) (ergon.Raw, bool, error) { return ergon.Raw{}, false, errDown }, nil)
}

// Where a copy can't be looked up now, nobody is told that it is one.
func TestLookupThatFails(t *testing.T) {
	to := &told{}
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: forgetful{&shelf{}}, OnError: to.tell})
	require.NoError(t, err)
	r := serve(t, http.ServerConfig{}, func(server *http.Server) {
		require.NoError(t, server.Add(http.Route{Path: "/in"}, receiver))
	})
	r.post("/in", "x", "Idempotency-Key", "k").problem(t, 503, "can't be told now")
	require.Len(t, to.all, 1)
	require.Contains(t, to.all[0], "to compare a request with it: the bus is down")
	require.Equal(t, 202, r.post("/in", "x").StatusCode, "without a key the copy is the publisher's own")
}

// Outcomes of what did not come over HTTP are nobody's.
func TestOutcomesOfOtherSources(t *testing.T) {
	records := http.NewMemoryRecords(time.Hour, 10)
	for _, id := range []string{"mine", "other"} {
		_, _, err := records.Begin(t.Context(), http.Record{ID: id, State: http.StateReceived})
		require.NoError(t, err)
	}
	o := http.NewOutcomes(http.OutcomesConfig{Records: records, Sources: []string{"http:/in"}})
	o.Tell(ergon.New([]byte("x"), ergon.WithID("other"), ergon.WithSource("nats:S")), nil)
	o.Tell(ergon.New([]byte("x"), ergon.WithID("mine"), ergon.WithSource("http:/in")), nil)
	require.NoError(t, o.Close(t.Context()))
	for id, want := range map[string]http.State{"mine": http.StateSucceeded, "other": http.StateReceived} {
		r, _, err := records.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, r.State, id)
	}
	require.Zero(t, o.Dropped())
}

// Who signs can ask for the status with a signature over nothing, and it counts among the
// route's requests.
func TestStatusOfSignedRoutes(t *testing.T) {
	s := &shelf{}
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s, Records: http.NewMemoryRecords(time.Hour, 10)})
	require.NoError(t, err)
	r := serve(t, http.ServerConfig{}, func(server *http.Server) {
		require.NoError(t, server.Add(http.Route{Path: "/hooks", Status: "/what/{transaction}", Concurrency: 1, Wait: time.Minute,
			Auth: http.Auth{Signature: &http.Signature{Kind: http.StandardWebhooks, Secrets: []http.Secret{webhookSecret}}}}, receiver))
	})
	now := strconv.FormatInt(time.Now().Unix(), 10)
	signed := func(id, body string) []string {
		return []string{"webhook-id", id, "webhook-timestamp", now, "webhook-signature", webhookSignature(webhookSecret, id, now, body)}
	}
	at := r.post("/hooks", "x", signed("m1", "x")...).Header.Get("Location")
	require.Equal(t, "/what/"+s.stored()[0].ID(), at)
	var resp response
	eventually(t, func() bool { // the place of the one before is free a moment after its answer
		resp = r.do(r.request("GET", at, "", signed("m2", "")...))
		return resp.StatusCode != 429
	})
	require.Equal(t, 200, resp.StatusCode, resp.body)
	eventually(t, func() bool {
		resp = r.do(r.request("GET", at, "", signed("m2", "x")...))
		return resp.StatusCode != 429
	})
	resp.problem(t, 401, "")

	s.change(func(s *shelf) { s.hold, s.begun = make(chan struct{}), make(chan struct{}, 1) })
	var under <-chan response
	eventually(t, func() bool {
		under = r.later("/hooks", "y", signed("m3", "y")...)
		select {
		case <-s.begun:
			return true
		case resp := <-under:
			require.Equal(t, 429, resp.StatusCode)
			return false
		}
	})
	r.do(r.request("GET", at, "", signed("m2", "")...)).problem(t, 429, "too many")
	close(s.hold)
	require.Equal(t, 202, receive(t, under).StatusCode)
}

// What a peer or a signer sends malformed is refused as well.
func TestMalformedMetadataAndKeys(t *testing.T) {
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/in", Peer: true})
	for _, header := range []string{"Ergon-Meta-%zz", "Ergon-Meta-a%0a"} {
		r.post("/in", "x", header, "x").problem(t, 400, "the name of an entry")
	}
	r.post("/in", "x", "Ergon-Meta-a", "%").problem(t, 400, "the value of an entry")
	r.post("/in", "x", "Ergon-Meta-a", "a%00").problem(t, 400, "control characters")
	r.post("/in", "x", "ce-time", "x").problem(t, 400, "ce-time")
	r.post("/in", "x", "Content-Type", "a", "Content-Type", "b").problem(t, 400, "content-type is there more than once")
	require.Empty(t, s.stored())
}

// One header that is fine does not make up for another that is not; what stands in a
// structured event is not looked for in headers.
func TestMetadataOfHeaders(t *testing.T) {
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/in", Headers: []string{"X-Tag", "ce-region", "X-Other"}})
	r.post("/in", "x", "X-Tag", "\xff", "ce-region", "eu", "X-Other", "x").problem(t, 400, "header x-tag")
	resp := r.post("/in", `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`,
		"Content-Type", "application/cloudevents+json", "ce-region", "eu", "X-Tag", "a")
	require.Equal(t, 202, resp.StatusCode, resp.body)
	require.Equal(t, map[string]string{"ce-id": "1", "ce-source": "/s", "x-tag": "a"}, first(s.stored()[0].Metadata()))
}

// A server of somebody else's may let through what net/http's does not.
func TestTransferEncodings(t *testing.T) {
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: &shelf{}})
	require.NoError(t, err)
	server, err := http.NewServer(http.ServerConfig{}, nil)
	require.NoError(t, err)
	require.NoError(t, server.Add(http.Route{Path: "/in", Method: "post", Auth: http.Auth{Anonymous: true}}, receiver))
	handler, err := server.Handler()
	require.NoError(t, err)
	for _, encodings := range [][]string{{"gzip"}, {"gzip", "chunked"}} {
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/in", strings.NewReader("x"))
		req.TransferEncoding = encodings
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		require.Equal(t, nethttp.StatusNotImplemented, w.Code)
		require.Equal(t, "close", w.Header().Get("Connection"))
	}
}
