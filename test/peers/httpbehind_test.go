package peers

import (
	"fmt"
	nethttp "net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// What nginx itself answers means to the sink what it says.
func TestHTTPSinkBeforeNginx(t *testing.T) {
	nobody := freePort(t)
	stalls := upstream(t, func(_ nethttp.ResponseWriter, r *nethttp.Request) { <-r.Context().Done() })
	n := startNginx(t, "", "", `
		location /ok { return 200 "fine"; }
		location /closed { return 444; }
		location /busy { add_header Retry-After 7 always; return 503 "busy"; }
		location /moved { return 301 /ok; }
		location /elsewhere { return 308 http://127.0.0.1:1/ok; }
		location /same { return 308 http://$http_host/ok; }
		location /login { return 401; }
		location /limited { limit_except GET { deny all; } return 403; }
		location /small { client_max_body_size 1; proxy_pass http://`+nobody+`; }
		location /nobody { proxy_pass http://`+nobody+`; }
		location /stalls { proxy_read_timeout 200ms; proxy_pass http://`+stalls+`; }
		location /slow { root $dir; limit_rate 1k; error_page 405 =200 $uri; }
	`)
	require.NoError(t, os.WriteFile(filepath.Join(n.dir, "slow"), make([]byte, 50<<10), 0o600))
	for path, want := range map[string]struct {
		category ergon.Category
		text     string
	}{
		"/ok": {}, "/same": {},
		"/slow":      {}, // whatever its body would have been: it would take 50 s
		"/closed":    {ergon.CategorySystem, "EOF"},
		"/busy":      {ergon.CategorySystem, "503 Service Unavailable: busy"},
		"/moved":     {ergon.CategorySystem, "301"},
		"/elsewhere": {ergon.CategorySystem, "not where the transaction was to go"},
		"/login":     {ergon.CategorySystem, "401"},
		"/limited":   {ergon.CategoryBusiness, "403"},
		"/small":     {ergon.CategoryBusiness, "413"},
		"/nobody":    {ergon.CategorySystem, "502"},
		"/stalls":    {ergon.CategoryTimeout, "504"},
	} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			err := deliver(t, httpSink(t, http.SinkOptions{URL: n.at(path), Timeout: 10 * time.Second}), ergon.New([]byte(`{"a":1}`)))
			if want.category == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, want.category, ergon.CategoryOf(err), err)
			require.ErrorContains(t, err, want.text)
			after, asked := ergon.RetryAfterOf(err)
			require.Equal(t, path == "/busy", asked)
			if asked {
				require.Equal(t, 7*time.Second, after)
			}
		})
	}
}

// Through an nginx that is stopped and started on the way, and to a receiver that resets,
// stalls, answers by halves, without an end and not at all, everything comes that was in
// the stream. What comes twice has the same key, and then the same body.
func TestHTTPSinkBehindNginx(t *testing.T) {
	const all = 320
	f := &faulty{
		attempts: map[string]int{}, taken: map[string][]string{}, full: all / 4,
		reached: make(chan struct{}), released: make(chan struct{}),
	}
	n := startNginx(t, "", "upstream receiver { server "+upstream(t, f.ServeHTTP)+" max_fails=0; keepalive 16; }", `
		proxy_buffering off;
		proxy_read_timeout 300ms;
		location / { proxy_pass http://receiver; }
	`)
	w := newHTTPWorld(t, http.ServerConfig{})
	want := w.fill(t, all)
	sink := httpSink(t, http.SinkOptions{URL: n.at("/orders"), Timeout: 5 * time.Second})
	e, end := runHTTPEngine(t, w.source(t), "forward", sink, forwarder{})

	<-f.reached
	n.process.stop(t) // with requests under way
	close(f.released)
	retried := e.Snapshot().Retries
	eventually(t, func() error {
		if e.Snapshot().Retries < retried+10 {
			return errNotYet // nobody has met the closed door
		}
		return nil
	})
	n.start(t)
	n.reload(t)
	eventually(t, func() error {
		if s := e.Snapshot(); s.Succeeded+s.Dead < all {
			return errNotYet
		}
		return nil
	})
	report := end()
	require.EqualValues(t, all, report.Succeeded)
	require.Zero(t, report.Dead)
	n.process.stop(t)

	f.mu.Lock()
	defer f.mu.Unlock()
	require.Len(t, f.taken, all, "as many keys as transactions")
	twice := 0
	for key, bodies := range f.taken {
		for _, body := range bodies {
			require.Equal(t, bodies[0], body, "two bodies came as %s", key)
		}
		require.True(t, want[bodies[0]], "%s came under two keys, or was not sent", bodies[0])
		delete(want, bodies[0])
		if len(bodies) > 1 {
			twice++
		}
	}
	require.Empty(t, want)
	require.GreaterOrEqual(t, twice, all/8, "what was taken without an answer comes again")
	t.Logf("%d came more than once, %d retries", twice, report.Retries)
}

// fill publishes so many messages, and returns their payloads.
func (w *httpWorld) fill(t *testing.T, n int) map[string]bool {
	t.Helper()
	payloads := map[string]bool{}
	for i := range n {
		payload := fmt.Sprintf("order %d, %d", i, i%8)
		_, err := w.bus.JetStream().Publish(t.Context(), "in.http", []byte(payload))
		require.NoError(t, err)
		payloads[payload] = true
	}
	return payloads
}

// source takes what is in the stream.
func (w *httpWorld) source(t *testing.T) ergon.Source {
	t.Helper()
	publisher, err := w.bus.NewPublisher(bus.PublisherConfig{})
	require.NoError(t, err)
	cleanly(t, publisher.Close)
	letters, err := w.bus.NewDeadLetters(t.Context(), bus.DeadLetterConfig{}, publisher)
	require.NoError(t, err)
	cleanly(t, letters.Close)
	source, err := jetstream.NewSource(t.Context(), jetstream.SourceConfig{
		Bus: w.bus, DeadLetters: letters, Starts: w.bus.NewStarts(1), Task: "forward",
		Consumer: bus.Consumer{Stream: "IN", Durable: "forward"},
	})
	require.NoError(t, err)
	return source
}
