package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/benchmarks/harness"
	"github.com/ergon-framework/ergon/benchmarks/work"
)

func TestHTTP(t *testing.T) {
	dir := t.TempDir()
	var out, progress bytes.Buffer
	err := run(t.Context(), []string{"-http", "-n", "300", "-rounds", "2", "-profiles", dir}, &out, &progress)
	require.NoError(t, err, progress.String())
	require.Regexp(t, `(?m)^ +raw-http +\d+ +1\.00 +\d+\.\d+ +1\.00 `, out.String())
	require.Regexp(t, `(?m)^ +ergon-http +\d+ +\d+\.\d\d +\d+\.\d+ `, out.String())
	require.Regexp(t, `(?m)^ +raw-client +\d+ +1\.00 +\d+\.\d+ +1\.00$`, out.String())
	require.Regexp(t, `(?m)^ +ergon-client +\d+ +\d+\.\d\d +\d+\.\d+ +\d+\.\d\d$`, out.String())
	require.Regexp(t, `(?m)^ +ergon-engine +\d+ +\d+\.\d\d +\d+\.\d+ +\d+\.\d\d$`, out.String())
	for _, name := range []string{"source.raw-http", "source.ergon-http", "sink.raw-client", "sink.ergon-client", "sink.ergon-engine"} {
		require.FileExists(t, dir+"/"+name+".cpu.pprof")
	}
}

// httpLies are wrong in one way each.
var httpLies = map[string]struct {
	run   harness.Contender
	sends bool
	found string // what the harness must say
}{
	"takes-drops": {takingWith(func(w http.ResponseWriter, store func(body []byte) string, body []byte, seventeen bool) {
		id := "nowhere"
		if !seventeen {
			id = store(body)
		}
		accepted(w, id)
	}), false, "299 in all, and not 300: 1 lost"},
	"takes-doubles": {takingWith(func(w http.ResponseWriter, store func(body []byte) string, body []byte, seventeen bool) {
		if seventeen {
			store(body)
		}
		accepted(w, store(body))
	}), false, "301 in all, and not 300: 0 lost, 1 duplicates"},
	"takes-alters": {takingWith(func(w http.ResponseWriter, store func(body []byte) string, body []byte, seventeen bool) {
		if seventeen {
			body[len(body)-3] = '!'
		}
		accepted(w, store(body))
	}), false, "what is stored of input 17 is not its payload"},
	"takes-refuses": {takingWith(func(w http.ResponseWriter, store func(body []byte) string, body []byte, seventeen bool) {
		if seventeen {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		accepted(w, store(body))
	}), false, `request 17 was answered with "HTTP/1.1 503 Service Unavailable", and not with 202: not now`},
	"takes-misnames": {takingWith(func(w http.ResponseWriter, store func(body []byte) string, body []byte, seventeen bool) {
		id := store(body)
		if seventeen {
			id = "another"
		}
		accepted(w, id)
	}), false, "the answer to request 17 was not"},
	"sends-skips":   {sendingWith(func(id int64) [][]byte { return nil }), true, "1 lost"},
	"sends-doubles": {sendingWith(func(id int64) [][]byte { return [][]byte{work.Encoded(id), work.Encoded(id)} }), true, "1 duplicates"},
	"sends-alters": {sendingWith(func(id int64) [][]byte {
		return [][]byte{bytes.Replace(work.Encoded(id), []byte("EUR"), []byte("USD"), 1)}
	}), true, "the body of input 17 is not its payload"},
	"sends-nonsense": {sendingWith(func(id int64) [][]byte { return [][]byte{[]byte("{}")} }), true, "input -1 was never published"},
}

func accepted(w http.ResponseWriter, id string) {
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"transaction":"`+id+`"}`)
}

// takingWith makes a source that does each request as take wants.
func takingWith(take func(w http.ResponseWriter, store func(body []byte) string, body []byte, seventeen bool)) harness.Contender {
	return func(ctx context.Context, job *work.Job) error {
		nc, err := nats.Connect(job.URL)
		if err != nil {
			return err
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			key := r.Header.Get("Idempotency-Key")
			take(w, func(body []byte) string {
				_, _ = js.PublishMsg(context.WithoutCancel(ctx), &nats.Msg{Subject: job.Output, Data: body, Header: nats.Header{"ce-id": {key}}})
				return key
			}, body, key == work.Key(17))
		})}
		go func() { _ = server.Serve(l) }()
		defer func() { _ = server.Close() }()
		if err := job.Say("http://" + l.Addr().String() + work.Path); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
}

// sendingWith makes a sink that sends for input 17 what lie says.
func sendingWith(lie func(id int64) [][]byte) harness.Contender {
	return func(ctx context.Context, job *work.Job) error {
		for id := range job.Inputs {
			bodies := [][]byte{work.Encoded(id)}
			if id == 17 {
				bodies = lie(id)
			}
			for _, body := range bodies {
				resp, err := http.Post(job.Target, work.ContentType, bytes.NewReader(body))
				if err != nil {
					return err
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					return err
				}
				_ = resp.Body.Close()
			}
		}
		if err := job.Say(""); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
}

// The HTTP mode believes a contender no more than the others do.
func TestLiarsAreFoundOverHTTP(t *testing.T) {
	for name, lie := range httpLies {
		t.Run(name, func(t *testing.T) { // in turns: each has a server of its own
			o := harness.HTTPOptions{N: 300, Rounds: 1, Timeout: time.Minute, Sources: []string{name}}
			if lie.sends {
				o.Sources, o.Sinks = nil, o.Sources
			}
			_, err := harness.HTTP(t.Context(), o)
			require.ErrorContains(t, err, lie.found)
		})
	}
	for _, o := range []harness.HTTPOptions{{Sources: []string{"ends"}}, {Sinks: []string{"ends"}}} {
		o.N, o.Rounds, o.Timeout = 10, 1, time.Minute
		_, err := harness.HTTP(t.Context(), o)
		require.ErrorContains(t, err, "the contender returned before it was told to")
	}
}

// A run that gets nowhere ends by -timeout, and with it all that was started.
func TestHTTPIsBounded(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for _, o := range []harness.HTTPOptions{{Sources: []string{"idles"}}, {Sources: []string{"takes-holds"}}, {Sinks: []string{"idles"}}} {
		o.N, o.Rounds, o.Timeout = 10, 1, 500*time.Millisecond
		_, err := harness.HTTP(t.Context(), o)
		require.ErrorContains(t, err, "-timeout is too short")
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
