package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
)

type txTold struct {
	Outcome  string
	Attempts []struct {
		Phase       string
		Attempt     int
		MaxAttempts int `json:"max_attempts"`
		Category    string
		Error       string
		NextDelay   float64 `json:"next_delay_seconds"`
	}
}

// Retries are those of the policy, unless there are to be fewer or more.
func TestTxRetries(t *testing.T) {
	w := newWorld(t)
	w.env["ERGON_BUS_URL"] = "nats://127.0.0.1:1" // which is not needed
	code, out, stderr := w.run("again", "tx", "run", "moody", "--payload", "-", "--dry-run", "--json")
	require.Zero(t, code, stderr)
	var told txTold
	require.NoError(t, json.Unmarshal([]byte(out), &told))
	require.Equal(t, "succeeded", told.Outcome)
	require.Len(t, told.Attempts, 2)
	first, second := told.Attempts[0], told.Attempts[1]
	require.Equal(t, "not yet", first.Error)
	require.Equal(t, "SYSTEM", first.Category)
	require.Equal(t, 8, first.MaxAttempts)
	require.InDelta(t, 0.001, first.NextDelay, 1e-9)
	require.Equal(t, 2, second.Attempt)
	require.Empty(t, second.Error)
	require.Zero(t, second.NextDelay)

	code, out, stderr = w.run("again", "tx", "run", "moody", "--payload", "-", "--dry-run", "--tx-id", "x", "--attempts", "2")
	require.Zero(t, code, stderr)
	require.Regexp(t, `(?m)^  process  1 of 2  \S+  +SYSTEM: not yet, again after 1ms\n  process  2 of 2  \S+  +ok\nsucceeded in `, out)

	code, out, stderr = w.run("again", "tx", "run", "moody", "--payload", "-", "--dry-run", "--tx-id", "x", "--attempts", "1")
	require.Equal(t, 1, code)
	require.Contains(t, out, "dead in ")
	require.Equal(t, "ergon: transaction x: SYSTEM in process: not yet\n", stderr)

	// What a task says reaches the terminal without its escape sequences.
	code, out, stderr = w.run("rule", "tx", "run", "moody", "--payload", "-", "--dry-run", "--tx-id", "x\x1b[2J")
	require.Equal(t, 1, code)
	requirePrintable(t, out+stderr)
}

func TestTxExitCodes(t *testing.T) {
	w := newWorld(t)
	w.env["ERGON_BUS_URL"], w.env["ERGON_BUS_CONNECT_TIMEOUT"] = "nats://127.0.0.1:1", "50ms"
	for _, c := range []struct {
		stdin string
		args  []string
		want  int
	}{
		{"well", []string{"moody", "--payload", "-", "--dry-run"}, 0},
		{"rule", []string{"moody", "--payload", "-", "--dry-run"}, 1},
		{"well", []string{"moody", "--payload", "-"}, 1}, // no bus
		{"well", []string{"moody", "--id", "1"}, 1},
		{"well", []string{"moody"}, 2},
		{"well", []string{"nobody", "--payload", "-"}, 2},
	} {
		code, out, stderr := w.run(c.stdin, append([]string{"tx", "run"}, c.args...)...)
		require.Equal(t, c.want, code, "%v: %s%s", c.args, out, stderr)
		require.Equal(t, c.want == 0, stderr == "", stderr)
	}
}

// patient fails in a way that is tried again in an hour.
type patient struct{ began chan<- struct{} }

func (p patient) Process(context.Context, ergon.Transaction[[]byte]) (ergon.None, error) {
	p.began <- struct{}{}
	return ergon.None{}, ergon.RetryAfter(time.Hour, errors.New("come back later"))
}

// A signal ends the wait for the next attempt. It did neither well nor badly, and the
// exit code is one of its own; the services are stopped.
func TestTxInterrupted(t *testing.T) {
	w := newWorld(t)
	config := []byte("app: moody\ntasks:\n  moody:\n    source: { jetstream: { stream: MOODY, subjects: [moody.in] } }\n    consumer: { process: { retry: { backoff_cap: 2h } }, transaction: { timeout: 0s } }\n")
	require.NoError(t, os.WriteFile(w.dir+"/moody.yaml", config, 0o600))
	began, signals, stopped := make(chan struct{}, 1), make(chan os.Signal, 1), 0
	p := w.process("x", "tx", "run", "moody", "--payload", "-", "--dry-run", "--tx-id", "x")
	p.Signals = signals
	go func() {
		<-began
		signals <- syscall.SIGINT
	}()
	code := p.Run(context.WithoutCancel(t.Context()), app.Tasks(func(lc fx.Lifecycle) app.Task {
		lc.Append(fx.StopHook(func() { stopped++ }))
		return app.Consume("moody", patient{began})
	}))
	stderr := p.Stderr.(*bytes.Buffer).String()
	require.Equal(t, 3, code, stderr)
	require.Equal(t, "ergon: transaction x: interrupted before its end (released)\n", stderr)
	require.Contains(t, p.Stdout.(*bytes.Buffer).String(), "come back later")
	require.Equal(t, 1, stopped)
}

// A service that can't start is no failure of the transaction.
func TestTxServiceFails(t *testing.T) {
	w := newWorld(t)
	p := w.process("well", "tx", "run", "moody", "--payload", "-", "--dry-run")
	code := p.Run(context.WithoutCancel(t.Context()), modules, fx.Invoke(func(lc fx.Lifecycle) {
		lc.Append(fx.StartHook(func() error { return errors.New("no database") }))
	}))
	require.Equal(t, 1, code)
	require.Equal(t, "ergon: start the services of the tasks: no database\n", p.Stderr.(*bytes.Buffer).String())
	require.Empty(t, p.Stdout.(*bytes.Buffer).String())
}
