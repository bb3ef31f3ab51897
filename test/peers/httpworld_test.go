package peers

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	nethttp "net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// httpWorld is a server of NATS with a stream, and in front of it a server of HTTP whose
// routes store in that stream.
type httpWorld struct {
	*http.Server
	nats     *embedded.Server
	options  embedded.Options
	bus      *bus.Bus
	receiver *http.Receiver
}

// newHTTPWorld has the routes that are given, or else one, /in, for everybody here.
func newHTTPWorld(t *testing.T, cfg http.ServerConfig, routes ...http.Route) *httpWorld {
	t.Helper()
	w := &httpWorld{options: embedded.Options{StoreDir: t.TempDir(), Listen: freePort(t)}}
	w.startNATS(t)
	t.Cleanup(func() { w.nats.Shutdown() })
	var err error
	w.bus, err = bus.Connect(t.Context(), bus.Config{URL: w.nats.URL()})
	require.NoError(t, err)
	cleanly(t, w.bus.Close)
	_, err = w.bus.EnsureStream(t.Context(), bus.Stream{Name: "IN", Subjects: []string{"in.>"}})
	require.NoError(t, err)
	publisher, err := w.bus.NewPublisher(bus.PublisherConfig{})
	require.NoError(t, err)
	cleanly(t, publisher.Close)
	sink, err := jetstream.NewSink(publisher, "in.http", jetstream.InStream("IN"))
	require.NoError(t, err)
	w.receiver, err = http.NewReceiver(http.ReceiverConfig{Sink: sink})
	require.NoError(t, err)
	if len(routes) == 0 {
		routes = []http.Route{{Path: "/in"}}
	}
	w.Server = serveHTTP(t, cfg, func(s *http.Server) {
		for _, r := range routes {
			require.NoError(t, s.Add(r, w.receiver))
		}
	})
	return w
}

// serveHTTP starts a server with the routes that add adds.
func serveHTTP(t *testing.T, cfg http.ServerConfig, add func(*http.Server)) *http.Server {
	t.Helper()
	if cfg.Address == "" {
		cfg.Address = "127.0.0.1:0"
	}
	s, err := http.NewServer(cfg, nil)
	require.NoError(t, err)
	add(s)
	require.NoError(t, s.Start(t.Context()))
	cleanly(t, s.Close)
	return s
}

// cleanly closes at the end, and requires that it does well.
func cleanly(t *testing.T, close func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, close(ctx))
	})
}

// startNATS starts the server, again with the port and the store that it had.
func (w *httpWorld) startNATS(t *testing.T) {
	t.Helper()
	var err error
	w.nats, err = embedded.Start(t.Context(), w.options)
	require.NoError(t, err)
}

// at is the URL of a path.
func (w *httpWorld) at(path string) string { return "http://" + w.Addr().String() + path }

// stored is what the stream holds, in its order. Nothing in it has another's ID.
func (w *httpWorld) stored(t *testing.T) []ergon.Raw {
	t.Helper()
	return w.since(t, 0)
}

// sequence is that of what was stored last.
func (w *httpWorld) sequence(t *testing.T) uint64 {
	t.Helper()
	stream, err := w.bus.JetStream().Stream(t.Context(), "IN")
	require.NoError(t, err)
	return stream.CachedInfo().State.LastSeq
}

// since is what was stored after that sequence.
func (w *httpWorld) since(t *testing.T, seq uint64) (all []ergon.Raw) {
	t.Helper()
	ids := map[string]bool{}
	for last := w.sequence(t); seq < last; {
		seq++
		tx, err := jetstream.At(t.Context(), w.bus, "IN", seq)
		require.NoError(t, err)
		require.False(t, ids[tx.ID()], "%s is stored twice", tx.ID())
		ids[tx.ID()] = true
		all = append(all, tx.Raw)
	}
	return all
}

// last is what was stored last.
func (w *httpWorld) last(t *testing.T) ergon.Raw {
	t.Helper()
	last := w.sequence(t)
	require.NotZero(t, last)
	return w.since(t, last-1)[0]
}

// payloads are those of what is stored.
func (w *httpWorld) payloads(t *testing.T) []string {
	t.Helper()
	return payloadsOf(w.stored(t))
}

func payloadsOf(txs []ergon.Raw) []string {
	all := []string{}
	for _, tx := range txs {
		all = append(all, string(tx.Payload()))
	}
	return all
}

// transactionOf is the ID that an answer of 202 has.
func transactionOf(t *testing.T, body string) string {
	t.Helper()
	var told struct{ Transaction string }
	require.NoError(t, json.Unmarshal([]byte(body), &told), body)
	require.NotEmpty(t, told.Transaction)
	return told.Transaction
}

// upstream is a server of net/http on the loopback, for what an Ergon sends to.
func upstream(t *testing.T, handler nethttp.HandlerFunc) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &nethttp.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l) // it ends with Close
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
	})
	return l.Addr().String()
}

// absolute is the path of one of our files, for a process that runs elsewhere.
func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	require.NoError(t, err)
	return path
}

// errNotYet is for eventually.
var errNotYet = errors.New("it has not come to that yet")
