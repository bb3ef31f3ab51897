package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/benchmarks/harness"
	"github.com/ergon-framework/ergon/benchmarks/work"
)

// The harness's children are this test binary.
func TestMain(m *testing.M) {
	all := maps.Clone(contenders)
	for name, lie := range lies {
		all[name] = lie.run
	}
	for name, lie := range httpLies {
		all[name] = lie.run
	}
	all["takes-holds"] = takingWith(func(_ http.ResponseWriter, _ func([]byte) string, _ []byte, _ bool) {
		select {} // until its process ends
	})
	all["swaps"] = swaps
	all["idles"] = func(ctx context.Context, _ *work.Job) error {
		<-ctx.Done()
		return nil
	}
	if code, isChild := harness.Child(os.Args[1:], all); isChild {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// liar does the work one by one, but for one transaction that it does badly.
type liar func(ctx context.Context, w *worker, m jetstream.Msg, in work.In) error

// lies are wrong in one way each. All acknowledge everything.
var lies = map[string]struct {
	run      harness.Contender
	workload string
	found    string // what the harness must say
}{
	"drops": {lying(func(ctx context.Context, w *worker, m jetstream.Msg, in work.In) error {
		_, err := w.job.Do(1, in)
		return err
	}), "W1", "1 lost"},
	"doubles": {lying(func(ctx context.Context, w *worker, m jetstream.Msg, in work.In) error {
		out, err := w.job.Do(1, in)
		if err == nil {
			err = w.publish(ctx, out)
		}
		if err == nil {
			err = w.publish(ctx, out)
		}
		return err
	}), "W1", "1 duplicates"},
	"miscalculates": {lying(func(ctx context.Context, w *worker, m jetstream.Msg, in work.In) error {
		out, err := w.job.Do(1, in)
		out.Total++
		if err == nil {
			err = w.publish(ctx, out)
		}
		return err
	}), "W1", "the sum of the totals stored"},
	"repeats": {lying(func(ctx context.Context, w *worker, m jetstream.Msg, in work.In) error {
		_, err := w.job.Do(1, in)
		if err == nil {
			_, err = w.job.Do(1, in)
		}
		return err
	}), "W2", "attempts: 501, and not 500"},
	"skips": {lying(func(ctx context.Context, w *worker, m jetstream.Msg, in work.In) error {
		return nil
	}), "W2", "attempts: 499, and not 500"},
	"ends": {func(ctx context.Context, job *work.Job) error {
		return nil
	}, "W2", "the contender ended before it was done"},
}

type worker struct {
	job *work.Job
	js  jetstream.JetStream
}

func (w *worker) publish(ctx context.Context, out work.Out) error {
	data, err := json.Marshal(out)
	if err == nil {
		_, err = w.js.Publish(ctx, w.job.Output, data)
	}
	return err
}

func honest(ctx context.Context, w *worker, _ jetstream.Msg, in work.In) error {
	out, err := w.job.Do(1, in)
	if err != nil || !w.job.Publishes() {
		return err
	}
	return w.publish(ctx, out)
}

// lying makes a contender that does input 17 as the liar wants.
func lying(lie liar) harness.Contender {
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
		consumer, err := js.Consumer(ctx, job.Stream, job.Durable)
		if err != nil {
			return err
		}
		failed := make(chan error, 1)
		w := &worker{job, js}
		consuming, err := consumer.Consume(func(m jetstream.Msg) {
			var in work.In
			err := json.Unmarshal(m.Data(), &in)
			if do := honest; err == nil {
				if in.ID == 17 {
					do = lie
				}
				err = do(context.WithoutCancel(ctx), w, m, in)
			}
			if err == nil {
				err = m.Ack()
			}
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
		if err != nil {
			return err
		}
		defer consuming.Stop()
		select {
		case <-ctx.Done():
			return nc.FlushTimeout(5 * time.Second)
		case err := <-failed:
			return err
		}
	}
}

// The command line, the children and the table, from end to end.
func TestCompare(t *testing.T) {
	var out, progress bytes.Buffer
	err := run(t.Context(), []string{"-n", "500", "-rounds", "1", "-w", "W1,W2,W5"}, &out, &progress)
	require.NoError(t, err, progress.String())
	for _, want := range []string{"W1 transform", "W2 sink", "W5 faulty"} {
		require.Contains(t, out.String(), want)
	}
	for name := range strings.SplitSeq(byDefault, ",") {
		require.Equal(t, 3, strings.Count(out.String(), " "+name+" "), "%s has a row in each table:\n%s", name, out.String())
	}
}

func TestLatency(t *testing.T) {
	var out, progress bytes.Buffer
	err := run(t.Context(), []string{"-n", "2", "-rounds", "1", "-w", "W3", "-for", "250ms", "-c", strings.Join(compared, ",")}, &out, &progress)
	require.NoError(t, err, progress.String())
	require.Contains(t, out.String(), "p99.9 ms")
}

func TestLiarsAreFound(t *testing.T) {
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := harness.Select(lie.workload)
			require.NoError(t, err)
			_, err = harness.Run(t.Context(), harness.Options{
				N: 500, Rounds: 1, Workloads: w, Contenders: []string{name}, Rate: 1000, For: time.Second, Timeout: time.Minute,
			})
			require.ErrorContains(t, err, lie.found)
		})
	}
}

// An interrupt ends the measurement in order, and nothing is left of it.
func TestInterrupt(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := fmt.Errorf("interrupted")
	time.AfterFunc(500*time.Millisecond, func() { cancel(interrupted) })
	var out, progress bytes.Buffer
	err := run(ctx, []string{"-n", "2", "-rounds", "1", "-w", "W3", "-for", "1m", "-c", "raw"}, &out, &progress)
	require.ErrorIs(t, err, interrupted)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-w W9":     `no workload "W9"`,
		"-c nobody": `no contender "nobody"`,
		"-n 1":      "two transactions",
		"-rate 0":   "-rate and -for",
		"more":      "only flags",
	} {
		err := run(t.Context(), strings.Fields(args), &bytes.Buffer{}, &bytes.Buffer{})
		require.ErrorContains(t, err, want, args)
	}
}

// Anyone can write Ergon's contender: it is short, and it takes nothing internal.
func TestPublicAPI(t *testing.T) {
	files, err := filepath.Glob("ergon/*.go")
	require.NoError(t, err)
	require.Len(t, files, 1)
	source, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.Less(t, bytes.Count(source, []byte("\n")), 80)
	packages, err := filepath.Glob("*/*.go")
	require.NoError(t, err)
	for _, file := range packages {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range parsed.Imports {
			require.NotContains(t, i.Path.Value, "/internal/", file)
			if strings.HasPrefix(file, "raw/") && strings.Contains(i.Path.Value, "ergon-framework") {
				require.Equal(t, `"github.com/ergon-framework/ergon/benchmarks/work"`, i.Path.Value)
			}
		}
	}
}
