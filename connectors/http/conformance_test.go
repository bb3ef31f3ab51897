package http_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	nethttp "net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/connectortest"
	"github.com/ergon-framework/ergon/connectors/http"
)

// A request that waits is not stored anywhere: it has no lease, is not shared, never
// drained, parked or kept as a dead letter, and a send is confirmed by who receives it.
// What a stranger may send is refused at the door, not delivered; that is tested apart.
func TestSourceConformance(t *testing.T) {
	connectortest.Run(t, connectortest.Harness{
		New: newTransport,
		Features: []connectortest.Feature{
			connectortest.Redelivers, connectortest.CountsDeliveries, connectortest.MultiValue,
		},
		Except: map[string]string{
			"envelope round trip": "CloudEvents has no control characters in attributes: they get a 400",
		},
	})
}

// newTransport is a server whose only route goes to the source that was made last.
func newTransport(t testing.TB, _ time.Duration) connectortest.Transport {
	at := &switchboard{t: t}
	at.source() // for what is sent before the first is asked for
	return connectortest.Transport{
		Source: func(testing.TB) ergon.Source { return at.source() },
		Sink:   func(testing.TB) ergon.Sink { return ergon.BlockingSink(at.post, 300) },
	}
}

type switchboard struct {
	t  testing.TB
	on *rig
}

func (s *switchboard) source() *http.Source {
	source := http.NewSource(http.SourceConfig{Queue: 1000})
	// A connection that the client opened and did not need yet counts as one whose headers
	// are late; on a slow machine it would be closed just when it is needed.
	s.on = serve(s.t, http.ServerConfig{ReadHeaderTimeout: time.Minute}, func(server *http.Server) {
		require.NoError(s.t, server.Add(http.Route{Path: "/in", Peer: true, Concurrency: 1000, Wait: time.Minute}, source))
	})
	return source
}

// post sends a transaction as a CloudEvent in binary mode, and waits for its answer.
func (s *switchboard) post(ctx context.Context, tx ergon.Raw) error {
	req, err := nethttp.NewRequestWithContext(ctx, "POST", "http://"+s.on.Addr().String()+"/in", bytes.NewReader(tx.Payload()))
	if err != nil {
		return err
	}
	set := func(name, value string) {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	set("ce-specversion", "1.0")
	set("ce-id", escape(tx.ID()))
	set("ce-source", escape(tx.Source()))
	set("ce-type", escape(tx.Type()))
	set("ce-subject", escape(tx.Key()))
	set("ce-time", tx.CreatedAt().Format(time.RFC3339Nano))
	set("ce-causationid", escape(tx.CausationID()))
	set("Content-Type", tx.ContentType())
	set("traceparent", tx.Trace().Parent)
	set("tracestate", tx.Trace().State)
	if tx.CorrelationID() != tx.ID() {
		set("ce-correlationid", escape(tx.CorrelationID()))
	}
	for name, value := range tx.Metadata().All() {
		req.Header.Add("Ergon-Meta-"+name, escape(value))
	}
	resp, err := s.on.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s (%v)", resp.Status, body, err)
	}
	return nil
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// What the suite can't send, for its control characters, arrives without them.
func TestEnvelopeOfAPeer(t *testing.T) {
	const awkward = "é 世界 \"quoted\" 100% a=b; c,d"
	full := ergon.Envelope{
		ID: "full " + awkward, Source: "/a b " + awkward, Type: awkward, CausationID: awkward, CorrelationID: awkward,
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC), ContentType: "application/json; charset=utf-8",
		Key: awkward, Trace: ergon.Trace{Parent: traceParent, State: "vendor=a b, other=c:d"},
	}
	ergon.WithMetadata("note", awkward)(&full)
	ergon.WithMetadata("note", "")(&full)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	at := &switchboard{t: t}
	source := at.source()
	for _, sent := range []ergon.Raw{
		ergon.Make(full, every), ergon.Make(ergon.Envelope{ID: "bare", Source: "/s", CreatedAt: time.Unix(2, 0).UTC()}, []byte{}),
	} {
		posted := make(chan error, 1)
		go func() { posted <- at.post(t.Context(), sent) }()
		d := fetch(t, source)
		got := d.Transaction()
		require.Equal(t, sent.Envelope(), got.Envelope())
		require.Equal(t, string(sent.Payload()), string(got.Payload()))
		settle(t, d, ergon.Settlement{Kind: ergon.Ack})
		require.NoError(t, receive(t, posted))
	}
}
