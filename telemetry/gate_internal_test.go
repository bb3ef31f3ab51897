package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// One line a minute, whatever fails, with what was left out and lost since the last.
func TestOneComplaintAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		tell := &complaints{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))}
		spans, collections := newGate(traces, 10, 0, tell), newGate(metrics, 0, 0, tell)
		tell.gates = []*gate{spans, collections}
		fails := func(context.Context) error { return errors.New("refused\nagain") }
		for range 12 {
			spans.admit()
		}
		require.NoError(t, spans.export(t.Context(), 4, fails))
		require.NoError(t, collections.export(t.Context(), 1, fails))
		require.NoError(t, spans.export(t.Context(), 6, fails))
		require.Zero(t, spans.pending.Load())
		require.Equal(t, `level=WARN msg="telemetry could not be exported" signal=traces error="refused again" lost_spans=6`+"\n", out.String())
		out.Reset()

		time.Sleep(between)
		require.NoError(t, collections.export(t.Context(), 1, func(context.Context) error { return nil }))
		require.NoError(t, spans.export(t.Context(), 0, func(context.Context) error { return nil }))
		require.Equal(t, `level=WARN msg="telemetry was lost: more than fits waited" signal=metrics lost_spans=6 lost_collections=1 suppressed=2`+"\n", out.String())
		require.EqualValues(t, 2, spans.failures.Load())
	})
}

// What is under way ends when the gate is cut.
func TestCutEndsAnExport(t *testing.T) {
	g := newGate(traces, 1, 0, &complaints{log: slog.New(slog.DiscardHandler)})
	go g.cut()
	require.NoError(t, g.export(t.Context(), 1, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
	require.EqualValues(t, 1, g.failures.Load())
}

// The time for an export counts for all that it tries.
func TestPatience(t *testing.T) {
	g := newGate(traces, 1, time.Nanosecond, &complaints{log: slog.New(slog.DiscardHandler)})
	require.NoError(t, g.export(t.Context(), 1, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
	require.EqualValues(t, 1, g.failures.Load())
}
