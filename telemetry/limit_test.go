package telemetry_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/telemetry"
)

const window = 10 * time.Second

// limited runs a test in virtual time with a logger whose failures are thinned out.
func limited(t *testing.T, test func(log *slog.Logger, l *telemetry.Limiter, written func() []string)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		inner, out := text(slog.LevelDebug)
		l := telemetry.Limit(telemetry.NewHandler(inner), telemetry.LimitOptions{})
		test(slog.New(l), l, func() []string {
			defer out.Reset()
			return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		})
	})
}

func warn(log *slog.Logger, err string) { log.Warn("failed", "task", "t", "error", errors.New(err)) }

// The first ones are written, and a line at the window's end says how many were not.
func TestRepeatedFailuresAreThinnedOut(t *testing.T) {
	limited(t, func(log *slog.Logger, _ *telemetry.Limiter, written func() []string) {
		for i := range 12 {
			warn(log, "no route to 10.0.0."+strconv.Itoa(i*7))
			time.Sleep(window / 20)
			synctest.Wait()
		}
		require.Len(t, written(), 5)
		time.Sleep(window)
		synctest.Wait()
		warn(log, "no route to 10.0.0.1")
		require.Equal(t, []string{
			`level=WARN msg=failed task=t error="no route to 10.0.0.77" suppressed=7`, // at the window's end
			`level=WARN msg=failed task=t error="no route to 10.0.0.1"`,
		}, written())
		time.Sleep(window)
		synctest.Wait()
		warn(log, "no route to 10.0.0.1")
		require.Equal(t, []string{`level=WARN msg=failed task=t error="no route to 10.0.0.1"`}, written())
	})
}

// It comes though nothing else is logged, and once.
func TestWhatWasSuppressedIsTold(t *testing.T) {
	limited(t, func(log *slog.Logger, l *telemetry.Limiter, written func() []string) {
		for range 8 {
			warn(log.With("app", "a"), "busy")
		}
		log.Info("other")
		require.Len(t, written(), 6)
		time.Sleep(window)
		synctest.Wait()
		require.Equal(t, []string{`level=WARN msg=failed app=a task=t error=busy suppressed=3`}, written())
		time.Sleep(window)
		synctest.Wait()
		require.NoError(t, l.Flush())
		require.Equal(t, []string{""}, written(), "once")

		for range 6 {
			log.ErrorContext(attempting(t.Context()), "mine", "error", "busy")
		}
		written()
		require.NoError(t, l.Flush())
		require.Equal(t, []string{`level=ERROR msg=mine error=busy task=t phase=process suppressed=1`}, written())
	})
}

// What is no failure, or differs, is written.
func TestOnlyWhatIsAlikeIsThinnedOut(t *testing.T) {
	limited(t, func(log *slog.Logger, _ *telemetry.Limiter, written func() []string) {
		for range 20 {
			log.Info("failed", "error", "busy")
			log.Warn("failed")
			log.Warn("failed", "error", error(nil))
		}
		require.Len(t, written(), 60)
		for i := range 5 {
			warn(log, "busy")
			log.Warn("failed", "task", "u", "error", "busy")
			log.Warn("failed", "task", "t", "phase", "produce", "error", "busy")
			log.With("phase", "success").Warn("failed", "task", "t", "error", "busy")
			log.Warn("broke", "task", "t", "error", "busy")
			log.With("error", "busier").Warn("failed", "task", "t")
			_ = i
		}
		require.Len(t, written(), 30)
	})
}

// However many differ, no more than a bounded number is told apart: beyond it those of
// one message share a window, and beyond that all that is left.
func TestKeysAreBounded(t *testing.T) {
	limited(t, func(log *slog.Logger, l *telemetry.Limiter, written func() []string) {
		for i := range 256 {
			warn(log, name(i))
		}
		require.Len(t, written(), 256)
		for i := range 100 {
			warn(log, "late "+name(i))
		}
		require.Len(t, written(), 5)
		for i := range 200 {
			log.Warn("late "+name(i), "error", "busy")
		}
		require.Len(t, written(), 63+5)
		time.Sleep(window)
		synctest.Wait()
		require.NoError(t, l.Flush())
		require.Len(t, written(), 2, "lines for what shared a window")
		for i := range 256 {
			warn(log, "again "+name(i))
		}
		require.Len(t, written(), 256, "there is room again")
	})
}

// name has no digits, which would be folded.
func name(i int) string {
	return strings.Map(func(r rune) rune { return r - '0' + 'a' }, fmt.Sprint(i))
}

func TestLimitIsAHandlerForManyGoroutines(t *testing.T) {
	inner := &lines{}
	log := slog.New(telemetry.Limit(inner, telemetry.LimitOptions{Most: 1, Window: time.Hour}))
	done := make(chan struct{})
	for range 8 {
		go func() {
			for i := range 500 {
				warn(log, name(i%3))
			}
			done <- struct{}{}
		}()
	}
	for range 8 {
		<-done
	}
	require.Len(t, inner.all(), 3)
}
