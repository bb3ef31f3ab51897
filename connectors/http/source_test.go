package http_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// waiting is a server whose requests wait for who fetches them.
func waiting(t *testing.T, cfg http.SourceConfig, routes ...http.Route) (*rig, *http.Source) {
	t.Helper()
	source := http.NewSource(cfg)
	return serve(t, http.ServerConfig{}, func(server *http.Server) {
		for _, route := range routes {
			require.NoError(t, server.Add(route, source))
		}
	}), source
}

func fetch(t *testing.T, s *http.Source) ergon.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ds, err := s.Fetch(ctx, 1)
	require.NoError(t, err)
	require.Len(t, ds, 1)
	return ds[0]
}

func settle(t *testing.T, d ergon.Delivery, s ergon.Settlement) {
	t.Helper()
	require.NoError(t, trySettle(d, s))
}

func trySettle(d ergon.Delivery, s ergon.Settlement) error {
	answer := make(chan error, 1)
	d.Settle(s, func(err error) { answer <- err })
	return <-answer
}

func ack(outputs ...ergon.Raw) ergon.Settlement {
	return ergon.Settlement{Kind: ergon.Ack, Reply: outputs}
}

func dead(err error) ergon.Settlement {
	failed, ok := err.(*ergon.Error)
	if !ok || failed.Phase == "" {
		failed = &ergon.Error{Category: ergon.CategoryOf(err), Err: err}
	}
	return ergon.Settlement{Kind: ergon.Dead, Err: failed}
}

// The answer is what the task put out, or why it did not.
func TestAnswers(t *testing.T) {
	r, source := waiting(t, http.SourceConfig{}, http.Route{Path: "/in", Type: "order", RetryAfter: 3 * time.Second},
		http.Route{Path: "/some", Reply: "answers"})
	ask := func(path string, s ergon.Settlement) (ergon.Raw, response) {
		c := r.later(path, "body", "Content-Type", "text/plain")
		d := fetch(t, source)
		require.False(t, d.Info().CanDefer)
		require.NoError(t, d.Extend(t.Context()))
		settle(t, d, s)
		require.ErrorIs(t, d.Extend(t.Context()), ergon.ErrLeaseLost)
		require.ErrorIs(t, trySettle(d, s), ergon.ErrLeaseLost, "a second time")
		return d.Transaction(), receive(t, c)
	}
	one := ergon.New([]byte(`{"a":1}`), ergon.WithType("answers"))
	two := ergon.New([]byte("\x00"), ergon.WithID("2"), ergon.WithSource("/s"), ergon.WithType("events"), ergon.WithContentType("application/x"))

	tx, resp := ask("/in", ack(one))
	require.Equal(t, "body", string(tx.Payload()))
	require.Equal(t, "text/plain", tx.ContentType())
	require.Equal(t, "order", tx.Type())
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, `{"a":1}`, resp.body)
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	require.Equal(t, tx.ID(), resp.Header.Get("Ergon-Transaction"))
	_, resp = ask("/in", ack(two))
	require.Equal(t, "application/x", resp.Header.Get("Content-Type"))
	require.Equal(t, "\x00", resp.body)
	_, resp = ask("/in", ack())
	require.Equal(t, 204, resp.StatusCode)
	_, resp = ask("/in", ack(two, ergon.With(two, []byte("y"))))
	require.Equal(t, "application/cloudevents-batch+json", resp.Header.Get("Content-Type"))
	at := two.CreatedAt().Format(time.RFC3339Nano)
	event := `{"specversion":"1.0","id":"2","source":"/s","type":"events","time":"` + at + `","datacontenttype":"application/x","data_base64":%q}`
	require.JSONEq(t, "["+fmt.Sprintf(event, "AA==")+","+fmt.Sprintf(event, "eQ==")+"]", resp.body)
	_, resp = ask("/some", ack(two, one))
	require.Equal(t, `{"a":1}`, resp.body, "only the route that is the answer")
	_, resp = ask("/in", ack(two, ergon.With(one, []byte("no JSON"))))
	resp.problem(t, 500, "not what its content type says")

	tx, resp = ask("/in", dead(ergon.Business("quantity %d is not positive", 0)))
	resp.problem(t, 422, "quantity 0 is not positive")
	require.Equal(t, tx.ID(), resp.transaction(t))
	require.Empty(t, resp.Header.Get("Retry-After"))
	_, resp = ask("/in", dead(&ergon.Error{Category: ergon.CategoryBusiness, Phase: ergon.PhaseProduce, Err: errors.New("POST http://db7.internal: 400")}))
	resp.problem(t, 422, "what it caused was refused")
	require.NotContains(t, resp.body, "internal")
	_, resp = ask("/in", dead(ergon.Timeout("db7.internal took 5s")))
	resp.problem(t, 504, "it took too long")
	require.NotContains(t, resp.body, "internal")
	_, resp = ask("/in", dead(errDown))
	resp.problem(t, 503, "it can't be done now")
	require.NotContains(t, resp.body, "bus")
	require.Equal(t, "3", resp.Header.Get("Retry-After"))
	_, resp = ask("/in", dead(ergon.RetryAfter(time.Minute, errDown)))
	require.Equal(t, "60", resp.Header.Get("Retry-After"))
}

// Nothing is parked, and what is not settled in a way that there is stays with the engine.
func TestCannotDefer(t *testing.T) {
	r, source := waiting(t, http.SourceConfig{}, http.Route{Path: "/in"})
	c := r.later("/in", "x")
	d := fetch(t, source)
	require.ErrorContains(t, trySettle(d, ergon.Settlement{Kind: ergon.Retry}), "can't be settled with retry")
	settle(t, d, ack())
	require.Equal(t, 204, receive(t, c).StatusCode)
}

// What is released comes again, whole, under the same name. An older delivery of it counts
// for nothing.
func TestReleased(t *testing.T) {
	r, source := waiting(t, http.SourceConfig{}, http.Route{Path: "/in"})
	c := r.later("/in", "x", "X-A", "b")
	first := fetch(t, source)
	settle(t, first, ergon.Settlement{Kind: ergon.Release, After: time.Millisecond})
	again := fetch(t, source)
	require.Equal(t, first.Transaction(), again.Transaction())
	require.Equal(t, first.Info().Stored, again.Info().Stored)
	require.Equal(t, first.Info().FirstSeen, again.Info().FirstSeen)
	require.Equal(t, 2, again.Info().Deliveries)
	require.ErrorIs(t, trySettle(first, ack()), ergon.ErrLeaseLost)
	settle(t, again, ack())
	require.Equal(t, 204, receive(t, c).StatusCode)
}

// A full queue and a source that ends answer 503, and say when to come again. What the
// engine has may be done yet, and the answer says so.
func TestUnavailable(t *testing.T) {
	r, source := waiting(t, http.SourceConfig{Queue: 1}, http.Route{Path: "/in", RetryAfter: 9 * time.Second})
	held := r.later("/in", "begun")
	fetch(t, source)
	queued := r.later("/in", "not begun")
	eventually(t, func() bool { return source.Lag().Pending == 1 })
	full := r.post("/in", "x")
	full.problem(t, 503, "too many requests wait")
	require.Equal(t, "9", full.Header.Get("Retry-After"))

	source.Drain()
	r.post("/in", "x").problem(t, 503, "stopping")
	require.NoError(t, source.Health())
	require.NoError(t, source.Close(t.Context()))
	receive(t, held).problem(t, 503, "may be done yet")
	receive(t, queued).problem(t, 503, "not begun")
	r.post("/in", "x").problem(t, 503, "stopping")
	require.ErrorIs(t, source.Health(), ergon.ErrClosed)
	require.Equal(t, int64(0), source.Lag().InFlight)
}

// A client that leaves stops nothing, whether its request waits or runs.
func TestClientLeaves(t *testing.T) {
	r, source := waiting(t, http.SourceConfig{}, http.Route{Path: "/in", Concurrency: 1})
	leave := func(begun func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		req := r.request("POST", "/in", "x").WithContext(ctx)
		go func() {
			defer close(ended)
			resp, err := r.client.Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
		}()
		begun()
		cancel()
		receive0(t, ended)
	}
	leave(func() {
		eventually(t, func() bool { return source.Lag().Pending == 1 })
	})
	settle(t, fetch(t, source), ack())
	var d ergon.Delivery
	eventually(t, func() bool { // the place of the one that left is free a moment later
		found := false
		leave(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if ds, err := source.Fetch(ctx, 1); err == nil {
				d, found = ds[0], true
			}
		})
		return found
	})
	require.NoError(t, d.Extend(t.Context()))
	settle(t, d, ack())
}

func receive0(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		require.FailNow(t, "waited in vain")
	}
}

// A request that is sent again while the first one is under way waits for its answer. With
// another body it is refused. Afterwards it is another delivery of the same ID.
func TestJoins(t *testing.T) {
	r, source := waiting(t, http.SourceConfig{}, http.Route{Path: "/in"})
	one := r.later("/in", "x", "Idempotency-Key", "k")
	d := fetch(t, source)
	two := r.later("/in", "x", "Idempotency-Key", "k")
	r.post("/in", "y", "Idempotency-Key", "k").problem(t, 422, "used with another body")
	eventually(t, func() bool { return source.Waiting(d.Transaction().ID()) == 2 })
	require.Zero(t, source.Lag().Pending)
	settle(t, d, ack(ergon.New([]byte("1"))))
	require.Equal(t, "1", receive(t, one).body)
	require.Equal(t, "1", receive(t, two).body)

	three := r.later("/in", "x", "Idempotency-Key", "k")
	again := fetch(t, source)
	require.Equal(t, d.Transaction().ID(), again.Transaction().ID())
	require.NotEqual(t, d.Info().Stored, again.Info().Stored)
	settle(t, again, ack())
	require.Equal(t, 204, receive(t, three).StatusCode)
}

// Ready tells of what is there, and Fetch ends with its context.
func TestFetch(t *testing.T) {
	r, source := waiting(t, http.SourceConfig{}, http.Route{Path: "/in"})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := source.Fetch(ended, 1)
	require.ErrorIs(t, err, context.Canceled)
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = source.Fetch(short, 1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	c := r.later("/in", "x")
	receive0(t, source.Ready())
	settle(t, fetch(t, source), ack())
	require.Equal(t, 204, receive(t, c).StatusCode)
	select {
	case <-source.Ready():
		require.Fail(t, "nothing is there any more")
	default:
	}
	waits := make(chan error, 1)
	go func() {
		_, err := source.Fetch(t.Context(), 1)
		waits <- err
	}()
	require.NoError(t, source.Close(t.Context()))
	require.ErrorIs(t, receive(t, waits), ergon.ErrClosed)
}

func TestReplySink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := http.ReplySink()
		send := func(ctx context.Context) error {
			answer := make(chan error, 1)
			sink.Send(ctx, ergon.New([]byte("x")), func(err error) { answer <- err })
			return <-answer
		}
		require.NoError(t, send(t.Context()))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, send(ended), context.Canceled)
		require.NoError(t, sink.Close(t.Context()))
		require.ErrorIs(t, send(t.Context()), ergon.ErrClosed)
	})
}
