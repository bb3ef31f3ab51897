package raw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// The limits that Ergon has by default.
const (
	maxBody   = 768 << 10
	storeWait = 5 * time.Second
)

// RunHTTPSource takes requests until ctx ends: a handler that publishes, with the headers
// and the ID that Ergon writes, waits for the PubAck and answers as Ergon does. Its
// process has the room that Ergon gives the collector.
func RunHTTPSource(ctx context.Context, job *work.Job) error {
	ballast := make([]byte, 32<<20) // never touched
	defer runtime.KeepAlive(ballast)
	nc, err := nats.Connect(job.URL)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", job.URL, err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(2*job.Window))
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+work.Path, storing{js, job.Output})
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 45 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	if err := job.Say("http://" + listener.Addr().String() + work.Path); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWait)
		defer cancel()
		return server.Shutdown(closing)
	}
}

type storing struct {
	js      jetstream.JetStream
	subject string
}

func (s storing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	if r.ContentLength < 0 || r.ContentLength > maxBody {
		http.Error(w, "the body's length is not said, or more than is taken", http.StatusRequestEntityTooLarge)
		return
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		http.Error(w, "the body does not come to its end", http.StatusBadRequest)
		return
	}
	id := "h1-" + hash("ergon http 1", work.Path, "", "", "idempotency-key", r.Header.Get("Idempotency-Key"), "")
	if err := s.store(r, id, body, at); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	answer := []byte(`{"transaction":"` + id + `"}`)
	h := w.Header()
	h.Set("Content-Type", work.ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(answer) // the client has left
}

func (s storing) store(r *http.Request, id string, body []byte, at time.Time) error {
	values := [...]string{
		id, "1.0", id, "http:" + work.Path, work.Type, at.UTC().Format(time.RFC3339Nano), r.Header.Get("Content-Type"),
	}
	names := [...]string{"Nats-Msg-Id", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "ce-datacontenttype"}
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	stored, err := s.js.PublishMsgAsync(&nats.Msg{Subject: s.subject, Header: header(names[:], values[:]), Data: body})
	if err != nil {
		return err
	}
	select {
	case <-stored.Ok():
		return nil
	case err := <-stored.Err():
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
