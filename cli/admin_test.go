package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/admin"
	"github.com/ergon-framework/ergon/cli"
)

const moodyConfig = `
app: moody
tasks:
  moody:
    source: { jetstream: { stream: MOODY, subjects: [moody.in] } }
    consumer: { process: { retry: { backoff: 1ms, jitter: 0 } } }
`

// moody fails as its payload says.
type moody struct{}

func (moody) Process(ctx context.Context, tx ergon.Transaction[[]byte]) (ergon.None, error) {
	switch strings.TrimSpace(string(tx.Payload())) {
	case "rule":
		return ergon.None{}, ergon.Business("it is against the rule\x1b[31m")
	case "again":
		if ergon.ExecutionOf(ctx).Attempt == 1 {
			return ergon.None{}, errors.New("not yet")
		}
	}
	return ergon.None{}, nil
}

// world runs commands of a program with the moody task, in this process.
type world struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newWorld(t *testing.T) *world {
	w := &world{t, t.TempDir(), map[string]string{"ERGON_BUS_LISTEN": "127.0.0.1:0"}}
	w.env["ERGON_BUS_STORE"] = filepath.Join(w.dir, "store")
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "moody.yaml"), []byte(moodyConfig), 0o600))
	return w
}

func (w *world) process(stdin string, args ...string) *cli.Process {
	return &cli.Process{
		Args: append(args, "-f", filepath.Join(w.dir, "moody.yaml")), Stdin: strings.NewReader(stdin), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
		Env: func(name string) (string, bool) { v, ok := w.env[name]; return v, ok },
	}
}

var modules = app.Tasks(func() app.Task { return app.Consume("moody", moody{}) })

func (w *world) run(stdin string, args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	p := w.process(stdin, args...)
	code = p.Run(context.WithoutCancel(w.t.Context()), modules, fx.Options())
	return code, p.Stdout.(*bytes.Buffer).String(), p.Stderr.(*bytes.Buffer).String()
}

// addressed is a log that tells where the admin server listens.
type addressed struct {
	mu  sync.Mutex
	all bytes.Buffer
	at  chan string
}

var listens = regexp.MustCompile(`admin server listens" address=(\S+)`)

func (a *addressed) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m := listens.FindSubmatch(p); m != nil {
		a.at <- string(m[1])
	}
	return a.all.Write(p)
}

// serve runs until the returned function ends it, and returns where it is asked.
func (w *world) serve(args ...string) (addr string, end func() (log string)) {
	w.t.Helper()
	p := w.process("", append([]string{"run", "--admin", "127.0.0.1:0"}, args...)...)
	log, signals, code := &addressed{at: make(chan string, 1)}, make(chan os.Signal, 1), make(chan int, 1)
	p.Stderr, p.Signals = log, signals
	go func() { code <- p.Run(context.WithoutCancel(w.t.Context()), modules) }()
	end = sync.OnceValue(func() string {
		signals <- syscall.SIGTERM
		require.Zero(w.t, <-code)
		return log.all.String()
	})
	w.t.Cleanup(func() { end() })
	select {
	case addr = <-log.at:
	case c := <-code:
		require.FailNow(w.t, "it did not start", "%d %s", c, log.all.String())
	}
	return addr, end
}

// A run is asked how it is and why, and when it is gone the dead letters tell the rest.
func TestHealthAndWhy(t *testing.T) {
	w := newWorld(t)
	for _, mood := range []string{"rule", "again", "well"} {
		code, _, stderr := w.run(mood+"\n", "publish", "moody.in", "--format", "raw", "--id", mood)
		require.Zero(t, code, stderr)
	}
	addr, end := w.serve()
	require.Eventually(t, func() bool {
		_, out, _ := w.run("", "health", "status", "--admin", addr, "--json")
		var s admin.Status
		return json.Unmarshal([]byte(out), &s) == nil && len(s.Tasks) == 1 && s.Tasks[0].Outcomes["succeeded"] == 2 && s.Tasks[0].Outcomes["dead"] == 1
	}, 30*time.Second, 20*time.Millisecond)
	for args, want := range map[string]string{
		"health": "ready: app moody\n", "health ready": "ready: app moody\n", "health live": "ok\n", "health startup": "started\n", "health live --json": `{"ok":true,"text":"ok"}` + "\n",
	} {
		code, out, stderr := w.run("", append(strings.Fields(args), "--admin", addr)...)
		require.Zero(t, code, stderr)
		require.Equal(t, want, out, args)
	}
	code, out, stderr := w.run("", "health", "--json", "--admin", addr)
	require.Zero(t, code, stderr)
	require.Contains(t, out, `"check":"source","ok":true`)
	code, out, _ = w.run("", "health", "status", "--admin", addr)
	require.Zero(t, code)
	require.Regexp(t, `(?m)^running for .*\nready: app moody\nTASK +READY .*\nmoody +yes +2 +1 +0 `, out)
	require.Contains(t, out, `moody: BUSINESS in process: it is against the rule\x1b[31m (rule)`)

	code, out, stderr = w.run("", "why", "again", "--admin", addr)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "again: task moody, source /ergon/publish, delivery 1\n")
	require.Contains(t, out, "SYSTEM: not yet\n      process.retry: the next attempt after 1ms\n")
	require.Contains(t, out, "acknowledged, with 0 outputs stored\n")
	require.Contains(t, out, "looked into the running process at "+addr+", app moody: 1 found\n")
	require.NotContains(t, out, "dead letters", "the process knew how it ended")
	code, out, _ = w.run("", "why", "rule", "--admin", addr, "--json")
	require.Zero(t, code)
	var why admin.Why
	require.NoError(t, json.Unmarshal([]byte(out), &why))
	require.Equal(t, "business", why.Deliveries[0].DecidedBy)

	code, out, stderr = w.run("", "why", "well", "--admin", addr)
	require.Equal(t, 1, code)
	require.Contains(t, out, "looked into the running process at "+addr+", app moody: it does not know it\nlooked into the dead letters of ERGON_DLQ: it does not know it\n")
	require.Contains(t, stderr, `ergon: transaction "well" is not known: it may have done well at once, which is remembered nowhere`)

	// By the number of its dead letter: both tell of it.
	code, out, _ = w.run("", "why", "1", "--admin", addr)
	require.Zero(t, code)
	require.Contains(t, out, "rule: task moody, ")
	require.Contains(t, out, "rule: dead letter 1 of ERGON_DLQ\n")
	end()

	code, _, stderr = w.run("", "health", "--admin", addr)
	require.Equal(t, 1, code)
	require.Equal(t, "ergon: ask "+addr+": nobody answers there: see whether the process runs, and where it listens (admin.listen, --admin)\n", stderr)
	for _, args := range [][]string{{"rule"}, {"rule", "--source", "/ergon/publish"}} {
		code, out, stderr = w.run("", append([]string{"why", "--admin", addr}, args...)...)
		require.Zero(t, code, stderr)
		require.Contains(t, out, "rule: dead letter 1 of ERGON_DLQ\n  task moody, BUSINESS in process: it is against the rule [31m\n")
		require.Contains(t, out, "could not look into the running process at "+addr+": ask "+addr+": nobody answers there")
		require.Contains(t, out, "looked into the dead letters of ERGON_DLQ: 1 found\n")
	}
	code, out, stderr = w.run("", "why", "1", "--admin", addr)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "rule: dead letter 1 of ERGON_DLQ\n")
	require.Equal(t, 1, strings.Count(out, "could not look into"), "it is asked once, by the number: %s", out)
	code, _, _ = w.run("", "why", "rule", "--source", "else", "--admin", addr)
	require.Equal(t, 1, code)
}

// The token goes from the environment, a file or the configuration into the request,
// and into no output.
func TestHealthToken(t *testing.T) {
	w := newWorld(t)
	w.env["ERGON_ADMIN_TOKEN"] = "hunter2"
	addr, end := w.serve()
	require.Eventually(t, func() bool { code, _, _ := w.run("", "health", "--admin", addr); return code == 0 }, 30*time.Second, 20*time.Millisecond)
	code, _, stderr := w.run("", "health", "status", "--admin", addr)
	require.Zero(t, code, stderr)
	delete(w.env, "ERGON_ADMIN_TOKEN")
	for _, args := range [][]string{{"health", "status"}, {"why", "x"}} {
		code, out, stderr := w.run("", append(args, "--admin", addr)...)
		require.Equal(t, 1, code)
		require.Contains(t, out+stderr, "ask "+addr+": it wants another token than ours: set ERGON_ADMIN_TOKEN, or name one with --token-file")
	}
	code, out, stderr := w.run("", "health", "--admin", addr)
	require.Zero(t, code, stderr)
	require.Equal(t, "ready\n", out)
	code, out, _ = w.run("", "health", "--admin", addr, "--json")
	require.Zero(t, code)
	require.Equal(t, `{"ok":true,"text":"ready"}`+"\n", out)
	file := filepath.Join(w.dir, "token")
	require.NoError(t, os.WriteFile(file, []byte("hunter2\n"), 0o600))
	code, out, stderr = w.run("", "health", "status", "--admin", addr, "--token-file", file)
	require.Zero(t, code, stderr)
	log := end()
	require.NotContains(t, log+out, "hunter2")
}

// A dead letter tells why though no process does: of a plain message too, whose source
// is its stream, and whatever strangers wrote into it.
func TestWhyOfLettersAlone(t *testing.T) {
	g := newGraveyard(t)
	header := func(more ...string) nats.Header {
		h := nats.Header{
			"Ergon-Dead-Task": {"score"}, "Ergon-Dead-Phase": {"process"}, "Ergon-Dead-Category": {"SYSTEM"}, "Ergon-Dead-Reason": {"\x1b[2Jdown"},
			"Ergon-Dead-Stream": {"IN"}, "Ergon-Dead-Sequence": {"5"}, "Ergon-Dead-Attempts": {"8"}, "Ergon-Dead-Failed-At": {"+99999-01-01T00:00:00Z"},
		}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = []string{more[i+1]}
		}
		return h
	}
	g.bury(header(), "x")
	g.bury(header("ce-id", "IN:5", "ce-source", "/a%20b"), "x")
	run := func(args ...string) (code int, stdout string) {
		var out, errs bytes.Buffer
		p := &cli.Process{
			Args: append([]string{"why", "--admin", "127.0.0.1:1"}, args...), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
			Env: func(name string) (string, bool) { return g.url, name == "ERGON_BUS_URL" },
		}
		code = p.Run(context.WithoutCancel(t.Context()))
		requirePrintable(t, out.String()+errs.String())
		return code, out.String()
	}
	for source, want := range map[string][]string{"": {"1", "2"}, "nats:IN": {"1"}, "/a b": {"2"}, "/a%20b": nil} {
		code, out := run("IN:5", "--source", source)
		require.Equal(t, len(want) == 0, code == 1, out)
		require.Equal(t, len(want), strings.Count(out, "IN:5: dead letter "), out)
		for _, seq := range want {
			require.Contains(t, out, "IN:5: dead letter "+seq+" of ERGON_DLQ\n  task score, SYSTEM in process: \\x1b[2Jdown\n  after 8 attempts")
		}
	}
	code, out := run("IN:5", "--json")
	require.Zero(t, code)
	require.True(t, json.Valid([]byte(out)), out)
	code, out = run("2")
	require.Zero(t, code)
	require.Contains(t, out, "IN:5: dead letter 2 of ERGON_DLQ\n")
}
