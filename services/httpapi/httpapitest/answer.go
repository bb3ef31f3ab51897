package httpapitest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Answer answers a request. Any handler is one: what stands here is a start.
type Answer func(w http.ResponseWriter, r *http.Request)

// JSON answers 200 with v as JSON. A v that can't be JSON panics.
func JSON(v any) Answer {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("httpapitest: encode a %T: %v", v, err))
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text) // whoever asked may be gone
	}
}

// Status answers with a status, and a body as it is.
func Status(status int, body string) Answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// RetryAfter answers with a status and a Retry-After, in seconds.
func RetryAfter(status int, after time.Duration) Answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", strconv.Itoa(int(after.Round(time.Second)/time.Second)))
		w.WriteHeader(status)
	}
}

// Reset resets the connection before there is an answer.
func Reset() Answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler) // which ends the stream, where it is HTTP/2
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // closed like that it is reset
		}
		_ = conn.Close()
	}
}

// Cut begins an answer of 200, and breaks the connection before its end.
func Cut(begin string) Answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(begin)+1))
		_, _ = w.Write([]byte(begin))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// Stall never answers: whoever asks waits for as long as its own time lasts.
func (s *Server) Stall() Answer {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler)
	}
}

// After answers as then does, after a time.
func (s *Server) After(d time.Duration, then Answer) Answer {
	return func(w http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			then(w, r)
			return
		case <-r.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler)
	}
}

// InTurn answers each request as the next of them does, and all that follow as the last.
func InTurn(answers ...Answer) Answer {
	if len(answers) == 0 {
		panic("httpapitest: InTurn has nothing to answer with")
	}
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		answers[min(int(n.Add(1)), len(answers))-1](w, r)
	}
}
