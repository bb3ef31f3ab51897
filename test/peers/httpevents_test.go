package peers

import (
	"context"
	"net"
	nethttp "net/http"
	"net/url"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// eventsSDK is a client of the CloudEvents SDK.
func eventsSDK(t *testing.T, target string) cloudevents.Client {
	t.Helper()
	transport := &nethttp.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(target), cloudevents.WithRoundTripper(transport))
	require.NoError(t, err)
	return c
}

// event is one with all that an event may have.
func event(t *testing.T, id, subject, tenant, contentType string, data any) cloudevents.Event {
	t.Helper()
	e := cloudevents.NewEvent()
	e.SetID(id)
	e.SetSource("/shop/é?a=b#c")
	e.SetType("com.example.placed")
	e.SetSubject(subject)
	e.SetTime(time.Date(2026, 11, 26, 12, 0, 0, 123456789, time.FixedZone("", 3600)))
	e.SetExtension("tenant", tenant)
	e.SetExtension("number", 7)
	e.SetExtension("truth", true)
	require.NoError(t, e.SetData(contentType, data))
	require.NoError(t, e.Validate())
	return e
}

// What the SDK sends is stored with its attributes, extensions and data, in either mode.
// In binary mode the SDK writes attributes as they are, where CloudEvents has them percent
// encoded. All but a % is understood so: an escape of a URI is undone, and a % that begins
// none is refused, not guessed.
func TestHTTPEventsFromSDK(t *testing.T) {
	headers := []string{"ce-tenant", "ce-number", "ce-truth"}
	w := newHTTPWorld(t, http.ServerConfig{},
		http.Route{Path: "/in", Headers: headers}, http.Route{Path: "/peer", Headers: headers, Peer: true})
	modes := map[string]func(context.Context) context.Context{"binary": cloudevents.WithEncodingBinary, "structured": cloudevents.WithEncodingStructured}
	n := 0
	for name, encoded := range modes {
		for _, path := range []string{"/in", "/peer"} {
			c := eventsSDK(t, w.at(path))
			for _, data := range []struct {
				contentType string
				data        any
				stored      string
			}{
				{"application/json", map[string]any{"a": "ü", "n": 1.5}, `{"a":"ü","n":1.5}`},
				{"text/plain; charset=utf-8", "grün\n\"x\"", "grün\n\"x\""},
				{"application/octet-stream", []byte{0, 1, 0xff, '\n'}, "\x00\x01\xff\n"},
			} {
				id := name + path + data.contentType
				e := event(t, id, `Grün "7" a,b;c 東京 🙂`, "ÄÖÜ & co", data.contentType, data.data)
				result := c.Send(encoded(t.Context()), e)
				require.True(t, cloudevents.IsACK(result), "%s: %v", id, result)
				require.True(t, cloudevents.IsACK(c.Send(encoded(t.Context()), e)), "a retry")
				n++
				all := w.stored(t)
				require.Len(t, all, n, id)
				source := "/shop/%C3%A9?a=b#c"
				if name == "binary" {
					source = "/shop/é?a=b#c"
				}
				tx := all[n-1]
				if path == "/peer" {
					require.Equal(t, []string{id, source}, []string{tx.ID(), tx.Source()})
				} else {
					require.Equal(t, []string{id, source}, []string{tx.Metadata().Get("ce-id"), tx.Metadata().Get("ce-source")})
				}
				require.Equal(t, e.Type(), tx.Type())
				require.Equal(t, e.Subject(), tx.Key())
				require.True(t, e.Time().Equal(tx.CreatedAt()), "%v is not %v", tx.CreatedAt(), e.Time())
				require.Equal(t, data.contentType, tx.ContentType())
				require.Equal(t, data.stored, string(tx.Payload()))
				for extension, value := range map[string]string{"tenant": "ÄÖÜ & co", "number": "7", "truth": "true"} {
					require.Equal(t, value, tx.Metadata().Get("ce-"+extension), "%s: %s", id, extension)
				}
			}
		}
	}
	percent := event(t, "percent", "100% off", "acme", "text/plain", "x")
	c := eventsSDK(t, w.at("/in"))
	require.True(t, cloudevents.IsACK(c.Send(cloudevents.WithEncodingStructured(t.Context()), percent)))
	require.Equal(t, "100% off", w.last(t).Key())
	percent.SetID("another")
	result := c.Send(cloudevents.WithEncodingBinary(t.Context()), percent)
	require.True(t, cloudevents.IsNACK(result))
	require.ErrorContains(t, result, "400")
	require.ErrorContains(t, c.Send(cloudevents.WithEncodingStructured(t.Context()), event(t, "percent", "s", "t", "text/plain", "y")), "422",
		"another event under the ID of one that there was")
	require.Len(t, w.stored(t), n+1)
}

// What the sink sends is an event for the SDK, with all that the transaction has, in
// either mode. In binary mode the SDK leaves attributes percent encoded.
func TestHTTPEventsToSDK(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	receiver, err := cloudevents.NewClientHTTP(cloudevents.WithListener(l), cloudevents.WithPath("/events"))
	require.NoError(t, err)
	got := make(chan cloudevents.Event, 1)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- receiver.StartReceiver(ctx, func(e cloudevents.Event) cloudevents.Result {
			if e.Type() == "refused" {
				return cloudevents.NewHTTPResult(422, "no such %s", "thing")
			}
			got <- e
			return cloudevents.ResultACK
		})
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	at := "http://" + l.Addr().String() + "/events"

	for _, mode := range []string{http.CloudEventsBinary, http.CloudEventsStructured} {
		sink := httpSink(t, http.SinkOptions{URL: at, CloudEvents: mode})
		plain := func(s string) string {
			if mode == http.CloudEventsStructured {
				return s
			}
			decoded, err := url.PathUnescape(s)
			require.NoError(t, err, "%q is not percent encoded", s)
			for _, c := range s {
				require.True(t, c > ' ' && c < 0x7f && c != '"', "%q is no header's value", s)
			}
			return decoded
		}
		for _, data := range []struct{ contentType, payload string }{
			{"application/json", `{"a": "ü", "n": 12345678901234567890}`}, {"", `[1]`},
			{"text/plain; charset=utf-8", "grün\n\"x\""}, {"image/png", "\x00\x01\xff\n"},
		} {
			tx := ergon.New([]byte(data.payload), ergon.WithID(`id "1" 100%`), ergon.WithSource("/shop/a%20b?c=d#e"), ergon.WithType("com.example.placed"),
				ergon.WithKey(`Grün "7" a,b;c 東京 🙂 %41`), ergon.WithContentType(data.contentType), ergon.WithCorrelationID("all of ü"), ergon.WithCausationID("an 'earlier' one"),
				ergon.WithMetadata("tenant", "acme"))
			require.NoError(t, deliver(t, sink, tx), mode)
			e := <-got
			require.NoError(t, e.Validate())
			require.Equal(t, "1.0", e.SpecVersion())
			require.Equal(t, tx.ID(), plain(e.ID()))
			require.Equal(t, tx.Source(), plain(e.Source()))
			require.Equal(t, tx.Type(), e.Type())
			require.Equal(t, tx.Key(), plain(e.Subject()))
			require.True(t, tx.CreatedAt().Equal(e.Time()))
			require.Equal(t, tx.CorrelationID(), plain(e.Extensions()["correlationid"].(string)))
			require.Equal(t, tx.CausationID(), plain(e.Extensions()["causationid"].(string)))
			require.Equal(t, data.payload, string(e.Data()))
			contentType := data.contentType
			if contentType == "" && mode == http.CloudEventsBinary {
				contentType = "application/json" // what it is by default has to be said there
			}
			require.Equal(t, contentType, e.DataContentType())
		}
		err := deliver(t, sink, ergon.New([]byte(`{}`), ergon.WithSource("/shop"), ergon.WithType("refused")))
		require.Equal(t, ergon.CategoryBusiness, ergon.CategoryOf(err), err)
		require.ErrorContains(t, err, "422")
	}
}
