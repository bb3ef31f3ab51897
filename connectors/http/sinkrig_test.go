package http_test

import (
	"context"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// sinkPatience is how long anything may take that has to happen. Only a failing test
// spends it.
const sinkPatience = 20 * time.Second

// seenRequest is a request as it came.
type seenRequest struct {
	*nethttp.Request
	Body string
}

// receiver is a server that keeps the requests it got, and answers as told.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	seen []seenRequest
}

func newReceiver(t *testing.T, answer nethttp.HandlerFunc) *receiver {
	r := newReceiverUnstarted(t, answer)
	r.Start()
	return r
}

func newReceiverUnstarted(t *testing.T, answer nethttp.HandlerFunc) *receiver {
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, q *nethttp.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.seen = append(r.seen, seenRequest{q, string(body)})
		r.mu.Unlock()
		if answer != nil {
			answer(w, q)
		}
	}))
	t.Cleanup(func() {
		r.CloseClientConnections()
		r.Close()
	})
	return r
}

func (r *receiver) requests() []seenRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]seenRequest(nil), r.seen...)
}

// only is the one request that came.
func (r *receiver) only(t *testing.T) seenRequest {
	t.Helper()
	all := r.requests()
	require.Len(t, all, 1)
	return all[0]
}

func newSink(t *testing.T, o http.SinkOptions) *http.Sink {
	t.Helper()
	s, err := http.NewSink(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), sinkPatience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// send sends one transaction and waits for its answer.
func send(t *testing.T, s *http.Sink, tx ergon.Raw) error {
	t.Helper()
	return sendWith(t, t.Context(), s, tx)
}

func sendWith(t *testing.T, ctx context.Context, s *http.Sink, tx ergon.Raw) error {
	t.Helper()
	done := make(chan error, 2)
	s.Send(ctx, tx, func(err error) { done <- err })
	return answered(t, done)
}

func answered(t *testing.T, done <-chan error) error {
	t.Helper()
	timer := time.NewTimer(sinkPatience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		require.FailNow(t, "done was not called")
		return nil
	}
}

func order(opts ...ergon.Option) ergon.Raw {
	opts = append([]ergon.Option{ergon.WithID("tx-1"), ergon.WithSource("/shop"), ergon.WithType("placed")}, opts...)
	return ergon.New([]byte(`{"order":{"id":"A 7","lines":[{"sku":"x"}],"total":12345678901234567890,"paid":true,"note":null}}`), opts...)
}

func category(err error) ergon.Category { return ergon.CategoryOf(err) }
