package main_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/cli"
	"github.com/ergon-framework/ergon/examples/03-webhook/payments"
)

// TestMain is the program itself, where a test runs it as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("ERGON_TEST_PROGRAM") != "" {
		cli.Main(payments.Module)
	}
	goleak.VerifyTestMain(m)
}

const secret = "ZXJnb24gZXhhbXBsZSwgbm90IGEgc2VjcmV0IQ=="

// lines is what a process says.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// shop is the endpoint that gets the scores.
type shop struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request // with their bodies read
	bodies   []string
	answer   func(n int, w http.ResponseWriter) // to the nth request for a payment
	of       map[string]int
}

func newShop(t *testing.T) *shop {
	s := &shop{of: map[string]int{}, answer: func(int, http.ResponseWriter) {}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(body))
	s.of[r.URL.Path]++
	n, answer := s.of[r.URL.Path], s.answer
	s.mu.Unlock()
	answer(n, w)
}

func (s *shop) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[path]
}

// program is a run of the example, with a store that outlives it.
type program struct {
	t    *testing.T
	env  map[string]string
	said *lines
	addr string
	stop func() int
}

func newProgram(t *testing.T, to *shop) *program {
	return &program{t: t, env: map[string]string{
		"ERGON_BUS_STORE": t.TempDir(), "ERGON_BUS_LISTEN": "off", "ERGON_ADMIN_LISTEN": "off",
		"ERGON_HTTP_ADDRESS": "127.0.0.1:0", "SCORED_URL": to.URL,
	}}
}

func (p *program) lookup(name string) (string, bool) {
	value, ok := p.env[name]
	return value, ok
}

var listens = regexp.MustCompile(`http server listens.*address=(\S+)`)

// run starts the program, and returns once it listens.
func (p *program) run(args ...string) {
	p.t.Helper()
	p.said = &lines{}
	process := &cli.Process{
		Args: append([]string{"run", "-f", "ergon.yaml"}, args...), Stdin: strings.NewReader(""),
		Stdout: p.said, Stderr: p.said, Env: p.lookup,
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- process.Run(ctx, payments.Module) }()
	p.stop = sync.OnceValue(func() int {
		stop()
		return <-ended
	})
	p.t.Cleanup(func() { p.stop() })
	p.listening()
}

// runApart starts the program as a process of its own, and returns once it listens. Its
// stop kills it.
func (p *program) runApart() {
	p.t.Helper()
	p.said = &lines{}
	process := exec.CommandContext(p.t.Context(), os.Args[0], "run", "-f", "ergon.yaml")
	process.Stdout, process.Stderr = p.said, p.said
	process.Env = append(os.Environ(), "ERGON_TEST_PROGRAM=1")
	for name, value := range p.env {
		process.Env = append(process.Env, name+"="+value)
	}
	require.NoError(p.t, process.Start())
	p.stop = sync.OnceValue(func() int {
		_ = process.Process.Kill() // unless it has ended
		_ = process.Wait()         // which says that it was killed
		return process.ProcessState.ExitCode()
	})
	p.t.Cleanup(func() { p.stop() })
	p.listening()
}

func (p *program) listening() {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return listens.MatchString(p.said.String()) }, 30*time.Second, 10*time.Millisecond, p.said)
	p.addr = listens.FindStringSubmatch(p.said.String())[1]
}

// answer is what the program says to a request.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

// send sends a webhook, signed with a secret.
func (p *program) send(id, body, secret string, headers ...string) answer {
	p.t.Helper()
	key, err := base64.StdEncoding.DecodeString(secret)
	require.NoError(p.t, err)
	at := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "." + body))
	return p.do(http.MethodPost, "/hooks/payments", body, append([]string{
		"Webhook-Id", id, "Webhook-Timestamp", at, "Content-Type", "application/json",
		"Webhook-Signature", "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
	}, headers...)...)
}

func (p *program) do(method, path, body string, headers ...string) answer {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.addr+path, strings.NewReader(body))
	require.NoError(p.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	r.Close = true // the program does not wait for a connection that is kept
	resp, err := http.DefaultClient.Do(r)
	require.NoError(p.t, err)
	defer resp.Body.Close() //nolint:errcheck // it was only read
	a := answer{status: resp.StatusCode, header: resp.Header}
	text, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	if len(text) > 0 {
		require.NoError(p.t, json.Unmarshal(text, &a.body), "%s", text)
	}
	return a
}

// state is what the program says of a transaction to whoever sent it.
func (p *program) state(location string) (state, reason string) {
	p.t.Helper()
	key, _ := base64.StdEncoding.DecodeString(secret)
	at := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("ask." + at + "."))
	a := p.do(http.MethodGet, location, "", "Webhook-Id", "ask", "Webhook-Timestamp", at,
		"Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	require.Equal(p.t, 200, a.status, a.body)
	reason, _ = a.body["reason"].(string)
	return a.body["state"].(string), reason
}

// stored is what a stream has, once the program has ended.
func (p *program) stored(stream string) (all []*nats.Msg) {
	p.t.Helper()
	cfg, err := config.Load("ergon.yaml", p.lookup)
	require.NoError(p.t, err)
	conn, err := app.Open(p.t.Context(), cfg.Bus, slog.New(slog.DiscardHandler))
	require.NoError(p.t, err)
	require.NoError(p.t, conn.Scan(p.t.Context(), stream, nil, false, func(m *nats.Msg, _ bus.Meta) error {
		all = append(all, m)
		return nil
	}))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.Context()), 10*time.Second)
	defer cancel()
	require.NoError(p.t, conn.Close(ctx))
	return all
}

func payment(id string) string {
	return `{"payment":"` + id + `","pence":250000,"card_country":"US","country":"GB"}`
}

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// A signed payment is answered with 202, scored, and delivered once, with its key and in
// its trace; what is sent again is stored once; who signs with another secret gets 401.
func TestDelivered(t *testing.T) {
	s := newShop(t)
	p := newProgram(t, s)
	p.run()
	require.Equal(t, 401, p.send("m-0", payment("p-0"), base64.StdEncoding.EncodeToString([]byte("not the secret, but as long"))).status)
	require.Equal(t, 401, p.do(http.MethodPost, "/hooks/payments", payment("p-0")).status)
	first := p.send("m-1", payment("p-1"), secret, "Traceparent", trace)
	require.Equal(t, 202, first.status, first.body)
	again := p.send("m-1", payment("p-1"), secret, "Traceparent", trace)
	require.Equal(t, 202, again.status, again.body)
	require.Equal(t, first.body["transaction"], again.body["transaction"])
	require.Equal(t, 422, p.send("m-1", payment("p-2"), secret).status, "the key of another body")
	require.Eventually(t, func() bool {
		state, _ := p.state(first.header.Get("Location"))
		return state == "succeeded"
	}, 30*time.Second, 10*time.Millisecond)
	require.Zero(t, p.stop(), p.said)

	require.Len(t, s.requests, 1)
	r := s.requests[0]
	require.Equal(t, "/risk/p-1", r.URL.Path)
	require.JSONEq(t, `{"payment":"p-1","score":90,"reasons":["the card is from US and the goods go to GB","it is large"]}`, s.bodies[0])
	require.NotEmpty(t, r.Header.Get("Idempotency-Key"))
	require.Equal(t, r.Header.Get("Ce-Id"), r.Header.Get("Idempotency-Key"))
	require.Equal(t, first.body["transaction"], r.Header.Get("Ce-Causationid"))
	require.Equal(t, trace[:35], r.Header.Get("Traceparent")[:35], "the trace goes on")
	in := p.stored("WEBHOOK")
	require.Len(t, in, 1)
	require.Equal(t, first.body["transaction"], in[0].Header.Get("ce-id"))
	require.NotContains(t, p.said.String(), secret)
}

// An endpoint that can't now is asked again when it said, with the same key; one that
// refuses is not, and the dead letter says what it answered.
func TestEndpointThatFails(t *testing.T) {
	s := newShop(t)
	p := newProgram(t, s)
	s.answer = func(n int, w http.ResponseWriter) {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(503)
		}
	}
	p.run()
	began := time.Now()
	require.Equal(t, 202, p.send("m-1", payment("busy"), secret).status)
	require.Eventually(t, func() bool { return s.count("/risk/busy") == 2 }, 30*time.Second, 10*time.Millisecond)
	require.GreaterOrEqual(t, time.Since(began), time.Second, "not before the time that it named")
	s.mu.Lock()
	require.Equal(t, s.requests[0].Header.Get("Idempotency-Key"), s.requests[1].Header.Get("Idempotency-Key"))
	s.answer = func(_ int, w http.ResponseWriter) { http.Error(w, "no such payment in our books", 400) }
	s.mu.Unlock()
	bad := p.send("m-2", payment("unknown"), secret)
	require.Equal(t, 202, bad.status)
	reason := ""
	require.Eventually(t, func() bool {
		var state string
		state, reason = p.state(bad.header.Get("Location"))
		return state == "dead"
	}, 30*time.Second, 10*time.Millisecond)
	require.Contains(t, reason, "BUSINESS")
	require.Zero(t, p.stop(), p.said)
	require.Equal(t, 1, s.count("/risk/unknown"))
	dead := p.stored("ERGON_DLQ")
	require.Len(t, dead, 1)
	require.Contains(t, dead[0].Header.Get("Ergon-Dead-Reason"), "no such payment in our books")
	require.Equal(t, payment("unknown"), string(dead[0].Data))
}

// What was answered with 202 is delivered, though the program is stopped, or killed, in
// the middle of it and started again.
func TestStopLosesNothing(t *testing.T) {
	for name, run := range map[string]func(*program){
		"stopped": func(p *program) { p.run() }, "killed": (*program).runApart,
	} {
		t.Run(name, func(t *testing.T) { interrupted(t, run, name == "stopped") })
	}
}

func interrupted(t *testing.T, run func(*program), drains bool) {
	s := newShop(t)
	p := newProgram(t, s)
	hold := make(chan struct{})
	var release sync.Once
	t.Cleanup(func() { release.Do(func() { close(hold) }) }) // of a test that failed, before the shop closes
	s.answer = func(int, http.ResponseWriter) { <-hold }
	p.env["ERGON_TASKS_RISK_CONSUMER_SHUTDOWN_GRACE"] = "100ms"
	p.env["ERGON_TASKS_RISK_CONSUMER_LOOP_CONCURRENCY"] = "4"
	p.env["ERGON_TASKS_RISK_SOURCE_JETSTREAM_ACK_WAIT"] = "1s" // a process that is killed gives nothing back
	run(p)
	const n = 30
	var statuses []string
	for i := range n {
		id := fmt.Sprintf("p-%d", i)
		a := p.send("m-"+id, payment(id), secret)
		require.Equal(t, 202, a.status, a.body)
		statuses = append(statuses, a.header.Get("Location"))
	}
	require.Eventually(t, func() bool { return s.count("/risk/p-0") > 0 }, 30*time.Second, 10*time.Millisecond)
	code := p.stop()
	require.Equal(t, drains, code == 0, p.said)
	release.Do(func() { close(hold) })
	p.run()
	for _, at := range statuses {
		require.Eventually(t, func() bool {
			state, _ := p.state(at)
			return state == "succeeded"
		}, 60*time.Second, 20*time.Millisecond, at)
	}
	require.Zero(t, p.stop(), p.said)
	keys := map[string]string{} // of each payment
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		key := r.Header.Get("Idempotency-Key")
		if had, ok := keys[r.URL.Path]; ok {
			require.Equal(t, had, key, "a repetition has the key of the first")
		}
		keys[r.URL.Path] = key
	}
	require.Len(t, keys, n)
	require.Len(t, p.stored("WEBHOOK"), n)
}
