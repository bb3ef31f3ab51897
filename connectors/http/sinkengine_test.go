package http_test

import (
	"context"
	nethttp "net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

type person struct{ Name string }

type forward struct{}

func (forward) Process(_ context.Context, tx ergon.Transaction[person]) (person, error) {
	return tx.Payload(), nil
}

// Under an engine, what is not now is sent again under one key and in one trace, after
// as long as the receiver says, and what is never goes to the dead letters.
func TestSinkUnderAnEngine(t *testing.T) {
	r := newReceiver(t, func(w nethttp.ResponseWriter, q *nethttp.Request) {
		if q.Header.Get("X-Name") == "bad" {
			w.WriteHeader(nethttp.StatusUnprocessableEntity)
			_, _ = w.Write([]byte("no such name"))
		}
	})
	var times []time.Time
	busy := newReceiver(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		if times = append(times, time.Now()); len(times) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(nethttp.StatusServiceUnavailable)
		}
	})
	run := func(url string, txs ...ergon.Raw) *memory.Queue {
		queue := memory.NewQueue(memory.QueueOptions{})
		for _, tx := range txs {
			queue.Push(tx)
		}
		p := policy.DefaultConsumer()
		p.Loop.Streaming = false
		sink := newSink(t, http.SinkOptions{URL: url, Headers: map[string]string{"X-Name": "{payload.Name}"}})
		e, err := engine.New(engine.Config{
			Task: engine.Consume("forward", forward{}), App: "shop",
			Source: queue.Source(), Sinks: map[string]ergon.Sink{"out": sink}, Policy: p,
		})
		require.NoError(t, err)
		_, err = e.Run(t.Context())
		require.NoError(t, err)
		return queue
	}
	tx := func(name string) ergon.Raw {
		return ergon.New([]byte(`{"Name":"`+name+`"}`), ergon.WithTrace(ergon.Trace{Parent: trace, State: "v=1"}))
	}

	require.Empty(t, run(busy.URL, tx("good")).DeadLetters())
	seen := busy.requests()
	require.Len(t, seen, 2)
	require.GreaterOrEqual(t, times[1].Sub(times[0]), time.Second)
	require.Equal(t, seen[0].Header, seen[1].Header)
	require.NotEmpty(t, seen[0].Header.Get("Idempotency-Key"))
	require.Equal(t, "/ergon/shop/forward", seen[0].Header.Get("Ce-Source"))
	require.Equal(t, trace[:35], seen[0].Header.Get("Traceparent")[:35], "it is the same trace")
	require.Equal(t, "v=1", seen[0].Header.Get("Tracestate"))

	letters := run(r.URL, tx("good"), tx("bad")).DeadLetters()
	require.Len(t, letters, 1)
	require.ErrorContains(t, letters[0].Settlement.Err, "422 Unprocessable Entity: no such name")
	require.Len(t, r.requests(), 2)
}

// An engine has as many requests on their way as the sink allows, on however few cores:
// each waits for all of them.
func TestSinkIsFilledByAnEngine(t *testing.T) {
	const all = 48
	var arrived atomic.Int32
	full := make(chan struct{})
	r := newReceiver(t, func(nethttp.ResponseWriter, *nethttp.Request) {
		if arrived.Add(1) == all {
			close(full)
		}
		<-full
	})
	queue := memory.NewQueue(memory.QueueOptions{})
	for range 4 * all {
		queue.Push(ergon.New([]byte(`{}`)))
	}
	p := policy.DefaultConsumer()
	p.Loop.Streaming = false
	e, err := engine.New(engine.Config{
		Task: engine.Consume("forward", forward{}), Source: queue.Source(), Policy: p,
		Sinks: map[string]ergon.Sink{"out": newSink(t, http.SinkOptions{URL: r.URL, Connections: all})},
	})
	require.NoError(t, err)
	_, err = e.Run(t.Context())
	require.NoError(t, err)
	require.Empty(t, queue.DeadLetters())
	require.Len(t, r.requests(), 4*all)
}
