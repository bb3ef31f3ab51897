package app_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/policy"
)

// scorer does what the payload says: later is well the second time.
type scorer struct{}

func (scorer) Process(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
	switch {
	case tx.Payload() == "refuse":
		return "", ergon.Business("it is refused")
	case tx.Payload() == "later" && ergon.ExecutionOf(ctx).Attempt == 1:
		return "", errors.New("not yet")
	}
	return tx.Payload(), nil
}

var scores = app.Tasks(func() app.Task { return app.Consume("score", scorer{}) })

// page is docs/how-to/secured-nats.md, in the parts that a test runs.
type page struct{ yaml, conf []string }

func readPage(t *testing.T) page {
	t.Helper()
	text, err := os.ReadFile("../docs/how-to/secured-nats.md")
	require.NoError(t, err)
	var p page
	for _, m := range regexp.MustCompile("(?s)```(yaml|conf)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if m[1] == "yaml" {
			p.yaml = append(p.yaml, m[2])
		} else {
			p.conf = append(p.conf, m[2])
		}
	}
	require.Len(t, p.yaml, 7)
	require.Len(t, p.conf, 2)
	return p
}

// subjects are those that a part of nats.conf allows to be published on.
func subjects(conf string) (out []string) {
	for _, m := range regexp.MustCompile(`(?m)^    "(.*)"$`).FindAllStringSubmatch(conf, -1) {
		out = append(out, m[1])
	}
	return out
}

// forLocalhost is a server's certificate.
func forLocalhost(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }

// permissions is the page's, without one line that begins so.
func (p page) permissions(t *testing.T, without string) string {
	t.Helper()
	if without == "" {
		return p.conf[0]
	}
	line := regexp.MustCompile(`(?m)^    "` + regexp.QuoteMeta(without) + `"\n`)
	require.Len(t, line.FindAllString(p.conf[0], -1), 1, without)
	return line.ReplaceAllString(p.conf[0], "")
}

// logBook may be read while it is written.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// secured is a server of a test, with its files beside it.
type secured struct {
	t      *testing.T
	dir    string
	url    string
	server *natsserver.Server
	admin  natsjs.JetStream
	nc     *nats.Conn
}

// newSecured starts one with a configuration, whose /run/secrets is a directory. admin says how
// to connect as who may do anything.
func newSecured(t *testing.T, dir, conf string, change func(*natsserver.Options), admin ...nats.Option) *secured {
	t.Helper()
	file := filepath.Join(dir, "nats.conf")
	require.NoError(t, os.WriteFile(file, []byte("listen: 127.0.0.1:-1\njetstream { store_dir: \""+dir+"/js\" }\n"+strings.ReplaceAll(conf, "/run/secrets", dir)), 0o600))
	o, err := natsserver.ProcessConfigFile(file)
	require.NoError(t, err)
	o.NoSigs, o.NoLog = true, true
	if change != nil {
		change(o)
	}
	s, err := natsserver.NewServer(o)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(10*time.Second))
	port := strconv.Itoa(s.Addr().(*net.TCPAddr).Port)
	out := &secured{t: t, dir: dir, server: s, url: "localhost:" + port}
	out.nc, err = nats.Connect("nats://"+out.url, append(admin, nats.CustomInboxPrefix("_ADMIN"))...)
	require.NoError(t, err)
	t.Cleanup(out.nc.Close)
	out.admin, err = natsjs.New(out.nc)
	require.NoError(t, err)
	return out
}

func (s *secured) write(name, text string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
}

// config is the page's pipeline, with a bus of its own where there is one, at this server.
func (s *secured) config(p page, bus string) *config.Config {
	s.t.Helper()
	text := p.yaml[0]
	if bus != "" {
		text = regexp.MustCompile(`(?m)^bus: .*\n`).ReplaceAllLiteralString(text, bus)
	}
	text = strings.NewReplacer("nats:4222", s.url, "/run/secrets", s.dir).Replace(text)
	in := config.Inputs{}
	for key, value := range map[string]string{
		"admin.listen": "off", "tasks.score.consumer.process.retry.backoff": "1s", "tasks.score.consumer.transaction.redeliver_over": "10ms",
	} {
		in.Flags = append(in.Flags, config.Flag{Name: "--set", Path: key, Value: value})
	}
	r, err := config.Resolve("secured-nats.md", []byte(text), in)
	require.NoError(s.t, err)
	require.Empty(s.t, r.Warnings())
	task := r.Config.Tasks["score"]
	task.Consumer.Shutdown.Grace = policy.Duration(100 * time.Millisecond) // what can't be settled would be waited for
	r.Config.Tasks["score"] = task
	return r.Config
}

// run runs the pipeline until it is empty, or until it has said what is waited for. It
// returns what went wrong, and all that was logged.
func (s *secured) run(cfg *config.Config, until string) (string, error) {
	s.t.Helper()
	var log logBook
	r := newRunner(s.t, app.Options{Config: cfg, UntilEmpty: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}, scores)
	if err := r.Start(s.t.Context()); err != nil {
		return log.String(), err
	}
	require.Eventually(s.t, func() bool {
		select {
		case <-r.Done():
			return true
		default:
			return until != "" && strings.Contains(log.String(), until)
		}
	}, 60*time.Second, 5*time.Millisecond, "it neither ends nor says %q: %s", until, &log)
	err := r.Stop(context.WithoutCancel(s.t.Context()))
	return log.String(), errors.Join(r.Err(), err)
}

// bigPayload is one whose dead letter does not fit into a message.
const bigPayload = 1<<20 - 64

// fill publishes one transaction of each kind, and has each delivered twice, so that its
// next start is recorded.
func (s *secured) fill() {
	s.t.Helper()
	big := make([]byte, bigPayload)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(big)
	for _, payload := range []string{`"well"`, `"refuse"`, `"later"`, string(big)} {
		_, err := s.admin.Publish(s.t.Context(), "retail.lines", []byte(payload))
		require.NoError(s.t, err)
	}
	c, err := s.admin.Consumer(s.t.Context(), "RETAIL", "score")
	require.NoError(s.t, err)
	for range 2 {
		batch, err := c.Fetch(4, natsjs.FetchMaxWait(10*time.Second))
		require.NoError(s.t, err)
		n := 0
		for m := range batch.Messages() {
			n++
			require.NoError(s.t, m.NakWithDelay(time.Millisecond))
		}
		require.Equal(s.t, 4, n)
	}
	require.NoError(s.t, s.nc.Flush())
}

// stored is the number that a stream gave last, and how many it holds.
func (s *secured) stored(stream string) (last, now uint64) {
	s.t.Helper()
	info, err := s.admin.Stream(s.t.Context(), stream)
	require.NoError(s.t, err)
	return info.CachedInfo().State.LastSeq, info.CachedInfo().State.Msgs
}

// missing is what did not go where it belongs.
func (s *secured) missing() (out []string) {
	s.t.Helper()
	for stream, want := range map[string]uint64{"RETAIL_OUT": 2, "ERGON_DLQ": 2, "ERGON_PARKED": 0} {
		if _, now := s.stored(stream); now != want {
			out = append(out, fmt.Sprintf("%s has %d messages, not %d", stream, now, want))
		}
	}
	for _, stream := range []string{"ERGON_PARKED", "KV_ERGON_STARTS", "OBJ_ERGON_DLQ_PAYLOADS"} {
		if last, _ := s.stored(stream); last == 0 {
			out = append(out, stream+" had nothing")
		}
	}
	info, err := s.admin.Consumer(s.t.Context(), "RETAIL", "score")
	require.NoError(s.t, err)
	if left := info.CachedInfo().NumPending + uint64(info.CachedInfo().NumAckPending); left != 0 {
		out = append(out, fmt.Sprintf("%d are not done", left))
	}
	return out
}
