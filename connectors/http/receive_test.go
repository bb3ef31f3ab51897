package http_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// A plain request is stored as it is: its body untouched whatever it is of, its trace, and
// of its headers those that are allowed.
func TestStoresPlainRequests(t *testing.T) {
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/orders/{tenant}", Type: "order.placed", Headers: []string{"X-Tag", "ce-region"}})
	resp := r.post("/orders/acme%20ltd", "\x00\xff protobuf", "Content-Type", "application/x-protobuf",
		"traceparent", traceParent, "tracestate", "a=b", "tracestate", "c=d", "x-tag", "1", "x-tag", "2", "X-Other", "3",
		"Cookie", "secret", "ce-region", "Z%C3%BCrich", "ce-subject", "customer 7")
	require.Equal(t, 202, resp.StatusCode, resp.body)
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	require.Len(t, s.stored(), 1)
	tx := s.stored()[0]
	require.Equal(t, tx.ID(), resp.transaction(t))
	require.JSONEq(t, `{"transaction":"`+tx.ID()+`"}`, resp.body)
	require.Equal(t, byte('7'), tx.ID()[14], "a UUIDv7")
	require.Equal(t, "http:/orders/%7Btenant%7D", tx.Source())
	require.Equal(t, "order.placed", tx.Type())
	require.Equal(t, "application/x-protobuf", tx.ContentType())
	require.Equal(t, "customer 7", tx.Key())
	require.Equal(t, "\x00\xff protobuf", string(tx.Payload()))
	require.Equal(t, ergon.Trace{Parent: traceParent, State: "a=b,c=d"}, tx.Trace())
	require.Equal(t, map[string]string{"path.tenant": "acme ltd", "ce-region": "Zürich", "x-tag": "1"}, first(tx.Metadata()))
	require.Equal(t, []string{"1", "2"}, tx.Metadata().Values("x-tag"))
	require.WithinDuration(t, time.Now(), tx.CreatedAt(), time.Minute)

	for _, bad := range []string{"00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", "nonsense"} {
		require.Equal(t, 202, r.post("/orders/x", "", "traceparent", bad, "tracestate", "a=b").StatusCode)
	}
	require.Equal(t, 202, r.post("/orders/x", "", "traceparent", traceParent, "traceparent", traceParent).StatusCode)
	for _, tx := range s.stored()[1:] {
		require.Empty(t, tx.Trace())
		require.Empty(t, tx.Payload())
	}
	require.Equal(t, 404, r.post("/elsewhere", "").StatusCode)
	require.Equal(t, 405, r.do(r.request("PUT", "/orders/x", "")).StatusCode)
}

func first(m ergon.Metadata) map[string]string {
	all := map[string]string{}
	for name := range m.All() {
		all[name] = m.Get(name)
	}
	return all
}

// 202 is never said before the sink has, nor when it can't.
func TestAnswersWhatTheSinkSays(t *testing.T) {
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/in", RetryAfter: 1500 * time.Millisecond})
	for err, status := range map[error]int{
		errDown: 503, ergon.Timeout("no PubAck"): 503, ergon.ErrClosed: 503, ergon.Business("too large"): 422,
	} {
		s.change(func(s *shelf) { s.fail = err })
		resp := r.post("/in", "x")
		resp.problem(t, status, "can't be stored")
		require.NotContains(t, resp.body, err.Error(), "what stands behind it is nobody's business")
		if status == 503 {
			require.Equal(t, "2", resp.Header.Get("Retry-After"), "rounded up")
		}
	}
	s.change(func(s *shelf) { s.panics = true })
	r.post("/in", "x").problem(t, 503, "can't be stored now")

	s.change(func(s *shelf) {
		s.fail, s.panics, s.hold, s.begun = nil, false, make(chan struct{}), make(chan struct{}, 1)
	})
	waits := r.later("/in", "x")
	receive(t, s.begun)
	select {
	case resp := <-waits:
		require.Fail(t, "answered before it was stored", resp.body)
	default:
	}
	close(s.hold)
	require.Equal(t, 202, receive(t, waits).StatusCode)
	require.Len(t, s.stored(), 1)
}

func TestReceiverNeedsASinkThatTellsRetries(t *testing.T) {
	_, err := http.NewReceiver(http.ReceiverConfig{})
	require.ErrorContains(t, err, "needs a sink")
	mute := ergon.BlockingSink(nil, 1)
	_, err = http.NewReceiver(http.ReceiverConfig{Sink: mute})
	require.ErrorContains(t, err, "give the receiver records, or a sink with SendOnce")
	_, err = http.NewReceiver(http.ReceiverConfig{Sink: mute, Records: http.NewMemoryRecords(time.Minute, 1)})
	require.NoError(t, err)

	s := &shelf{sick: errDown}
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s})
	require.NoError(t, err)
	require.ErrorIs(t, receiver.Health(), errDown)
}
