package raw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// RunHTTPSink sends all inputs: a pool of workers, each of which sends one after the
// other by a client that they share, with the headers that Ergon writes. Its process
// has the room that Ergon gives the collector.
func RunHTTPSink(ctx context.Context, job *work.Job) error {
	ballast := make([]byte, 32<<20) // never touched
	defer runtime.KeepAlive(ballast)
	transport := &http.Transport{
		MaxConnsPerHost: job.Concurrency, MaxIdleConnsPerHost: job.Concurrency, MaxIdleConns: job.Concurrency,
		IdleConnTimeout: time.Minute,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	var next atomic.Int64
	ended := make(chan error)
	for range job.Concurrency {
		go func() {
			for id := next.Add(1) - 1; id < job.Inputs; id = next.Add(1) - 1 {
				if err := post(ctx, client, job.Target, id); err != nil {
					next.Store(job.Inputs)
					ended <- err
					return
				}
			}
			ended <- nil
		}()
	}
	var errs []error
	for range job.Concurrency {
		errs = append(errs, <-ended)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := job.Say(""); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func post(ctx context.Context, client *http.Client, url string, id int64) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(work.Encoded(id)))
	if err != nil {
		return err
	}
	key := work.Key(id)
	values := [...]string{
		"ergon", work.ContentType, key, "1.0", key, work.Source, work.Type, time.Now().UTC().Format(time.RFC3339Nano),
	}
	names := [...]string{
		"User-Agent", "Content-Type", "Idempotency-Key", "Ce-Specversion", "Ce-Id", "Ce-Source", "Ce-Type", "Ce-Time",
	}
	r.Header = http.Header(header(names[:], values[:]))
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("send input %d: %w", id, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("read the answer to input %d: %w", id, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("input %d was answered with %s", id, resp.Status)
	}
	return nil
}
