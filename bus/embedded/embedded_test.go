package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon/bus/embedded"
)

// holdStore makes this binary a process that holds a store until it is killed.
const holdStore = "ERGON_TEST_HOLD_STORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdStore); dir != "" {
		s, err := embedded.Start(context.Background(), embedded.Options{StoreDir: dir, Listen: "127.0.0.1:0"})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.URL())
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(testContext(t), o)
	require.NoError(t, err)
	t.Cleanup(s.Shutdown)
	return s
}

func publish(t *testing.T, nc *nats.Conn) {
	t.Helper()
	ctx := testContext(t)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.NoError(t, err)
	_, err = js.Publish(ctx, "s", nil)
	require.NoError(t, err)
}

func messages(t *testing.T, nc *nats.Conn) uint64 {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	s, err := js.Stream(testContext(t), "S")
	require.NoError(t, err)
	return s.CachedInfo().State.Msgs
}

func TestServerKeepsItsStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "as", "needed")
	for round := range uint64(3) {
		o := embedded.Options{StoreDir: dir, Name: "mine"}
		if round == 1 {
			o.Listen = "127.0.0.1:0"
		}
		s := start(t, o)
		nc, err := nats.Connect(s.URL(), nats.InProcessServer(s.InProcess()))
		require.NoError(t, err)
		require.Equal(t, "mine", nc.ConnectedServerName())
		publish(t, nc)
		require.Equal(t, round+1, messages(t, nc))
		nc.Close()
		if round == 1 {
			nc, err = nats.Connect(s.URL())
			require.NoError(t, err)
			require.Equal(t, round+1, messages(t, nc))
			nc.Close()
		} else {
			require.Empty(t, s.URL())
		}
		s.Shutdown()
		s.Shutdown()
		data, err := os.ReadFile(filepath.Join(dir, "ergon.lock"))
		require.NoError(t, err)
		require.Empty(t, data, "nobody is sent to a server that has stopped")
	}
}

func TestSecondStartLearnsWhereTheFirstIs(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embedded.Options{StoreDir: dir, Listen: "127.0.0.1:0"})
	_, err := embedded.Start(testContext(t), embedded.Options{StoreDir: dir})
	var locked *embedded.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, s.URL(), locked.URL)
	require.Equal(t, os.Getpid(), locked.PID)
	require.Equal(t, dir, locked.Dir)
	require.ErrorContains(t, err, s.URL())
	nc, err := nats.Connect(locked.URL)
	require.NoError(t, err)
	nc.Close()

	s.Shutdown()
	start(t, embedded.Options{StoreDir: dir}).Shutdown()
}

func TestSecondStartWithoutAPort(t *testing.T) {
	dir := t.TempDir()
	start(t, embedded.Options{StoreDir: dir, Listen: embedded.DontListen})
	_, err := embedded.Start(testContext(t), embedded.Options{StoreDir: dir})
	var locked *embedded.LockedError
	require.ErrorAs(t, err, &locked)
	require.Empty(t, locked.URL)
	require.Equal(t, os.Getpid(), locked.PID)
	require.ErrorContains(t, err, "takes no connections")
}

func TestManyStartsOneServer(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	var servers []*embedded.Server
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := embedded.Start(testContext(t), embedded.Options{StoreDir: dir, Listen: "127.0.0.1:0"})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				servers = append(servers, s)
				return
			}
			var locked *embedded.LockedError
			if !errors.As(err, &locked) || locked.URL == "" {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	require.Len(t, servers, 1)
	servers[0].Shutdown()
}

func TestAnotherProcessHoldsTheStore(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(testContext(t), self)
	cmd.Env = append(os.Environ(), holdStore+"="+dir)
	_, err = cmd.StdinPipe() // open until it is killed
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	url := lines.Text()

	_, err = embedded.Start(testContext(t), embedded.Options{StoreDir: dir})
	var locked *embedded.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, url, locked.URL)
	require.Equal(t, cmd.Process.Pid, locked.PID)
	nc, err := nats.Connect(url)
	require.NoError(t, err)
	publish(t, nc)
	nc.Close()

	// A process that is killed leaves its address in the file, and no lock.
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	s := start(t, embedded.Options{StoreDir: dir})
	nc, err = nats.Connect("", nats.InProcessServer(s.InProcess()))
	require.NoError(t, err)
	require.EqualValues(t, 1, messages(t, nc))
	nc.Close()
}

func TestStartFailures(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	occupied := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(occupied, "jetstream"), nil, 0o600))
	lockIsDir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(lockIsDir, "ergon.lock"), 0o700))
	for name, c := range map[string]struct {
		o    embedded.Options
		text []string
	}{
		"no store":             {embedded.Options{}, []string{"no store directory"}},
		"store is a file":      {embedded.Options{StoreDir: file}, []string{file, "is a file"}},
		"parent is a file":     {embedded.Options{StoreDir: filepath.Join(file, "x", "y")}, []string{file, "is a file"}},
		"streams are a file":   {embedded.Options{StoreDir: occupied}, []string{occupied, "JetStream"}},
		"lock is a directory":  {embedded.Options{StoreDir: lockIsDir}, []string{lockIsDir, "ergon.lock"}},
		"port in use":          {embedded.Options{StoreDir: t.TempDir(), Listen: taken.Addr().String()}, []string{taken.Addr().String(), "in use", "another as bus.listen"}},
		"no such address":      {embedded.Options{StoreDir: t.TempDir(), Listen: "192.0.2.1:4222"}, []string{"192.0.2.1:4222"}},
		"listen without port":  {embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1"}, []string{`"127.0.0.1"`, "host:port"}},
		"listen at no number":  {embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:nats"}, []string{`"nats"`}},
		"listen out of range":  {embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:70000"}, []string{`"70000"`}},
		"listen below minimum": {embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:-2"}, []string{`"-2"`}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := embedded.Start(testContext(t), c.o)
			require.Nil(t, s)
			require.Error(t, err)
			for _, text := range c.text {
				require.ErrorContains(t, err, text)
			}
			if dir := c.o.StoreDir; dir != "" && name != "lock is a directory" {
				if info, err := os.Stat(dir); err == nil && info.IsDir() {
					_ = os.Remove(filepath.Join(dir, "jetstream"))
					start(t, embedded.Options{StoreDir: dir}).Shutdown() // it was unlocked
				}
			}
		})
	}
}

func TestServerLogs(t *testing.T) {
	var log logBook
	s := start(t, embedded.Options{StoreDir: t.TempDir(), Listen: "0.0.0.0:-1", Logger: log.logger(), MaxStore: 1 << 30, MaxMemory: 1 << 28, SyncAlways: true})
	s.Shutdown()
	require.Contains(t, log.String(), "level=DEBUG")
	require.Contains(t, log.String(), "nats-server: Starting JetStream")
	require.Contains(t, log.String(), "lets everybody in")
}

// logBook collects log lines.
type logBook struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

func (l *logBook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
