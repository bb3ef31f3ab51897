package embedded

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAcquireWaitsForAHolderThatStarts(t *testing.T) {
	dir := t.TempDir()
	first, err := acquire(t.Context(), dir)
	require.NoError(t, err)
	result := make(chan error, 1)
	go func() {
		_, err := acquire(t.Context(), dir)
		result <- err
	}()
	require.NoError(t, first.publish("nats://127.0.0.1:1"))
	var locked *LockedError
	require.ErrorAs(t, <-result, &locked)
	require.Equal(t, "nats://127.0.0.1:1", locked.URL)
	first.release()
}

func TestAcquireTakesOverFromAHolderThatStops(t *testing.T) {
	dir := t.TempDir()
	first, err := acquire(t.Context(), dir)
	require.NoError(t, err)
	type result struct {
		l   *lock
		err error
	}
	second := make(chan result, 1)
	go func() {
		l, err := acquire(t.Context(), dir)
		second <- result{l, err}
	}()
	first.release()
	got := <-second
	require.NoError(t, got.err)
	got.l.release()
}

func TestAcquireGivesUpOnASilentHolder(t *testing.T) {
	dir := t.TempDir()
	first, err := acquire(t.Context(), dir)
	require.NoError(t, err)
	defer first.release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = acquire(ctx, dir)
	var locked *LockedError
	require.ErrorAs(t, err, &locked)
	require.Empty(t, locked.URL)
	require.Equal(t, os.Getpid(), locked.PID)

	// Half a line, as while it is written, says nothing.
	require.NoError(t, os.WriteFile(filepath.Join(dir, lockName), []byte(`{"pid":1,"ur`), 0o600))
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = acquire(ctx, dir)
	require.ErrorAs(t, err, &locked)
	require.Zero(t, locked.PID)
	require.ErrorContains(t, err, "another process")
}

func TestDataHome(t *testing.T) {
	home := func() (string, error) { return "/home/ann", nil }
	env := func(values map[string]string) func(string) string {
		return func(name string) string { return values[name] }
	}
	for _, c := range []struct {
		goos string
		env  map[string]string
		want string
	}{
		{"linux", nil, "/home/ann/.local/share"},
		{"linux", map[string]string{"XDG_DATA_HOME": "/data"}, "/data"},
		{"linux", map[string]string{"XDG_DATA_HOME": "relative"}, "/home/ann/.local/share"},
		{"freebsd", nil, "/home/ann/.local/share"},
		{"darwin", map[string]string{"XDG_DATA_HOME": "/data"}, "/home/ann/Library/Application Support"},
		{"windows", map[string]string{"LocalAppData": `C:\Users\ann\AppData\Local`}, `C:\Users\ann\AppData\Local`},
	} {
		got, err := dataHome(c.goos, env(c.env), home)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	_, err := dataHome("windows", env(nil), home)
	require.Error(t, err)
	_, err = dataHome("linux", env(nil), func() (string, error) { return "", errors.New("no home") })
	require.ErrorContains(t, err, "no home")

	t.Setenv("XDG_DATA_HOME", "/data")
	t.Setenv("LocalAppData", "/data")
	dir, err := DefaultStoreDir()
	require.NoError(t, err)
	require.Equal(t, filepath.Join("ergon", "jetstream"), filepath.Join(filepath.Base(filepath.Dir(dir)), filepath.Base(dir)))
}

func TestLoggerRemembersTheFirstFatalLine(t *testing.T) {
	l := &logger{log: slog.New(slog.DiscardHandler)}
	require.NoError(t, l.fatal())
	l.Fatalf("first %d", 1)
	l.Fatalf("second")
	l.Tracef("x")
	l.Warnf("x")
	l.Errorf("x")
	l.Debugf("x")
	require.EqualError(t, l.fatal(), "first 1")
}
