package peers

import (
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// faulty is a receiver that takes each key at last, and does something else before. It
// keeps what it took.
type faulty struct {
	mu       sync.Mutex
	attempts map[string]int
	taken    map[string][]string // by key, the bodies
	full     int                 // as soon as it took so many it takes no more,
	reached  chan struct{}       // closes this
	released chan struct{}       // and waits for that
}

func (f *faulty) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return // it was not sent whole
	}
	key := r.Header.Get("Idempotency-Key")
	f.mu.Lock()
	full := len(f.taken) >= f.full
	f.mu.Unlock()
	if full {
		select {
		case <-f.released:
		case <-r.Context().Done():
			return
		}
	}
	f.mu.Lock()
	kind := body[len(body)-1]
	if f.attempts[key]++; f.attempts[key] > 1 {
		kind = '0'
	}
	f.mu.Unlock()
	switch kind {
	case '1': // nobody can say whether it was taken
		reset(w)
	case '2':
		<-r.Context().Done()
	case '3': // taken, and half an answer
		f.take(key, body)
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("half a body"))
		_ = nethttp.NewResponseController(w).Flush()
		panic(nethttp.ErrAbortHandler)
	case '4':
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(nethttp.StatusServiceUnavailable)
	case '5': // taken, and an answer without an end
		f.take(key, body)
		endless(w, r)
	case '6': // taken, and no answer
		f.take(key, body)
		reset(w)
	case '7':
		w.WriteHeader(nethttp.StatusInternalServerError)
		endless(w, r)
	default:
		f.take(key, body)
		w.WriteHeader(nethttp.StatusNoContent)
	}
}

func (f *faulty) take(key string, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken[key] = append(f.taken[key], string(body))
	if len(f.taken) == f.full {
		select {
		case <-f.reached:
		default:
			close(f.reached)
		}
	}
}

// reset ends the connection as a machine does that crashes.
func reset(w nethttp.ResponseWriter) {
	conn, _, err := nethttp.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// endless writes for as long as somebody reads.
func endless(w nethttp.ResponseWriter, r *nethttp.Request) {
	control := nethttp.NewResponseController(w)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte(strings.Repeat("x", 1<<10))); err != nil || control.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// faultyProxy passes a request on, and resets the connection instead of answering.
func faultyProxy(t *testing.T, url string) nethttp.HandlerFunc {
	transport := &nethttp.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return func(w nethttp.ResponseWriter, r *nethttp.Request) {
		onward, err := nethttp.NewRequestWithContext(r.Context(), r.Method, url, r.Body)
		if err != nil {
			panic(err)
		}
		onward.Header, onward.ContentLength = r.Header.Clone(), r.ContentLength
		response, err := transport.RoundTrip(onward)
		if err != nil {
			panic(err)
		}
		_ = response.Body.Close()
		reset(w)
	}
}
