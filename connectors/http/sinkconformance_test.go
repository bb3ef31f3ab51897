package http_test

import (
	"encoding/json"
	"errors"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/connectortest"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/connectors/memory"
)

// Behind a receiver that reads CloudEvents and pushes them into a queue in memory, the
// sink is half a connector; what the queue gives back is what has come over the wire.
func TestSinkConformance(t *testing.T) {
	connectortest.Run(t, harness(http.CloudEventsBinary))
}

// Structured events carry the same, so the parts about what is sent and how it is
// answered hold for them too.
func TestSinkConformanceStructured(t *testing.T) {
	names := map[string]bool{
		"publish and receive": true, "envelope round trip": true, "trace round trip": true, "multi-value headers": true,
		"close is idempotent": true, "send answers once": true, "send with an ended context": true, "duplicates": true,
	}
	for _, p := range connectortest.Parts() {
		if names[p.Name] {
			delete(names, p.Name)
			t.Run(p.Name, func(t *testing.T) { p.Run(t, harness(http.CloudEventsStructured)) })
		}
	}
	if len(names) > 0 {
		t.Errorf("there are no parts %v", names)
	}
}

func harness(mode string) connectortest.Harness {
	return connectortest.Harness{
		New: func(t testing.TB, lease time.Duration) connectortest.Transport {
			return newSinkTransport(t, lease, mode)
		},
		Features: []connectortest.Feature{
			connectortest.Persistent, connectortest.Shared, connectortest.Redelivers, connectortest.CountsDeliveries,
			connectortest.Leases, connectortest.Drains, connectortest.Deduplicates, connectortest.MultiValue,
			connectortest.CountsUnacked, connectortest.Reconnects, connectortest.RecordsStarts,
		},
	}
}

func newSinkTransport(t testing.TB, lease time.Duration, mode string) connectortest.Transport {
	q := memory.NewQueue(memory.QueueOptions{Lease: lease, CanDefer: false})
	seen := memory.NewSink(memory.SinkOptions{})
	var mu sync.Mutex
	var down atomic.Bool
	server := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if down.Load() {
			panic(nethttp.ErrAbortHandler)
		}
		tx, err := received(r)
		if err != nil {
			nethttp.Error(w, err.Error(), nethttp.StatusBadRequest)
			return
		}
		mu.Lock() // one at a time: copies are told by counting them
		defer mu.Unlock()
		before := seen.Duplicates()
		seen.Send(r.Context(), tx, func(e error) { err = e })
		if err == nil && seen.Duplicates() == before {
			q.Push(tx)
		}
		if err != nil {
			panic(nethttp.ErrAbortHandler) // whoever asked has gone
		}
		w.WriteHeader(nethttp.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	return connectortest.Transport{
		Source: func(testing.TB) ergon.Source { return q.Source() },
		Sink: func(t testing.TB) ergon.Sink {
			s, err := http.NewSink(http.SinkOptions{URL: server.URL + "/in", CloudEvents: mode})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Unacked: func(testing.TB) int { return q.Counts().Leased },
		Down: func(testing.TB) {
			down.Store(true)
			server.CloseClientConnections()
		},
		Up: func(testing.TB) { down.Store(false) },
	}
}

// received reads a CloudEvent as a receiver does that was written from the
// specification alone.
func received(r *nethttp.Request) (ergon.Raw, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return ergon.Raw{}, err
	}
	var failed error
	decoded := func(s string) string {
		v, err := url.PathUnescape(s)
		failed = errors.Join(failed, err)
		return v
	}
	get := func(name string) string { return decoded(r.Header.Get(name)) }
	var at string
	var e ergon.Envelope
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/cloudevents+json") {
		if e, at, body, err = structuredEvent(body); err != nil {
			return ergon.Raw{}, err
		}
	} else {
		if get("ce-specversion") != "1.0" {
			failed = errors.New("no CloudEvent of version 1.0")
		}
		e = ergon.Envelope{
			ID: get("ce-id"), Source: get("ce-source"), Type: get("ce-type"), Key: get("ce-subject"),
			CausationID: get("ce-causationid"), CorrelationID: get("ce-correlationid"),
			ContentType: r.Header.Get("Content-Type"),
			Trace:       ergon.Trace{Parent: r.Header.Get("traceparent"), State: r.Header.Get("tracestate")},
		}
		at = get("ce-time")
	}
	if e.CreatedAt, err = time.Parse(time.RFC3339Nano, at); err != nil {
		failed = errors.Join(failed, err)
	}
	if e.ContentType == "application/json" {
		e.ContentType = "" // which is the same
	}
	if r.Header.Get("Idempotency-Key") != r.Header.Get("ce-id") && r.Header.Get("ce-id") != "" {
		failed = errors.Join(failed, errors.New("the Idempotency-Key is not the ID"))
	}
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		if !strings.HasPrefix(lower, "ergon-meta-") {
			continue
		}
		for _, v := range values {
			ergon.WithMetadata(decoded(strings.TrimPrefix(lower, "ergon-meta-")), decoded(v))(&e)
		}
	}
	return ergon.Make(e, body), failed
}

func structuredEvent(body []byte) (e ergon.Envelope, at string, payload []byte, err error) {
	var event struct {
		ID, Source, Type, Subject, Time, DataContentType, CausationID, CorrelationID, TraceParent, TraceState string

		Data json.RawMessage
		B64  []byte `json:"data_base64"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return e, "", nil, err
	}
	e = ergon.Envelope{
		ID: event.ID, Source: event.Source, Type: event.Type, Key: event.Subject, ContentType: event.DataContentType,
		CausationID: event.CausationID, CorrelationID: event.CorrelationID,
		Trace: ergon.Trace{Parent: event.TraceParent, State: event.TraceState},
	}
	if event.B64 != nil {
		return e, event.Time, event.B64, nil
	}
	return e, event.Time, event.Data, nil
}
