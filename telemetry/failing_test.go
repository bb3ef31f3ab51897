package telemetry_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ergon-framework/ergon/telemetry"
)

// generous bounds what must not take long.
const generous = 20 * time.Second

// impatient makes everything be exported at once, and given up soon.
var impatient = map[string]string{"OTEL_METRIC_EXPORT_INTERVAL": "5", "OTEL_LOGS_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "30", "OTEL_BLRP_MAX_QUEUE_SIZE": "100"}

// unwell starts a Telemetry whose receiver is not well, and returns what it complains of.
func unwell(t testing.TB, endpoint string, timeout time.Duration, protocol string) (*telemetry.Telemetry, *lines) {
	t.Helper()
	for _, name := range []string{"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY"} { // which the SDK reads by itself
		t.Setenv(name, "5")
	}
	complaints := &lines{}
	tel := start(t, telemetry.Config{OTLP: telemetry.OTLPConfig{Endpoint: endpoint, Timeout: timeout, Protocol: protocol}}, impatient,
		func(o *telemetry.Options) { o.Logger = slog.New(complaints) })
	counter, err := tel.MeterProvider().Meter("m").Int64Counter("n")
	require.NoError(t, err)
	counter.Add(t.Context(), 1)
	return tel, complaints
}

// use tells of something by each signal. It returns, whoever is at the other end.
func use(t *testing.T, tel *telemetry.Telemetry) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tell(tel.Tracer(), 20)
		log := slog.New(tel.Handler(wanting{}))
		for range 200 {
			log.Info("m")
		}
	}()
	select {
	case <-done:
	case <-time.After(generous):
		t.Fatal("telling waits for the receiver")
	}
}

// wanting is a handler that wants everything and keeps nothing.
type wanting struct{ slog.Handler }

func (wanting) Enabled(context.Context, slog.Level) bool  { return true }
func (wanting) Handle(context.Context, slog.Record) error { return nil }

// shutDown returns what Shutdown said, which is bound to return.
func shutDown(t *testing.T, tel *telemetry.Telemetry) error {
	t.Helper()
	began := time.Now()
	err := tel.Shutdown(context.Background())
	require.Less(t, time.Since(began), generous)
	return err
}

func failedAll(tel *telemetry.Telemetry) func() bool {
	return func() bool {
		f := tel.Failures()
		return f["traces"] > 1 && f["metrics"] > 1 && f["logs"] > 1
	}
}

// Nobody listens: what is told is lost and counted, and complained of once.
func TestDeadReceiver(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		tel, complaints := unwell(t, "http://"+dead(t), 20*time.Millisecond, protocol)
		require.Eventually(t, func() bool { use(t, tel); return failedAll(tel)() }, generous, time.Millisecond)
		_ = shutDown(t, tel)
		kept := complaints.all()
		require.Len(t, kept, 1, "at most one a minute")
		require.Equal(t, slog.LevelWarn, kept[0].Level)
		require.NotEmpty(t, attr(kept[0], "error"))
	}
}

// It takes connections and never answers.
func TestBlackHole(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		addr, hung := blackHole(t)
		tel, complaints := unwell(t, "http://"+addr, 20*time.Millisecond, protocol)
		require.Eventually(t, func() bool { use(t, tel); return failedAll(tel)() }, generous, time.Millisecond)
		require.Eventually(t, func() bool { return hung.Load() > 0 }, generous, time.Millisecond)
		_ = shutDown(t, tel)
		require.Len(t, complaints.all(), 1)
	}
}

// A black hole with the usual patience: nothing has failed yet when all ends, and the
// end does not wait for it.
func TestShutdownLeavesABlackHole(t *testing.T) {
	addr, _ := blackHole(t)
	tel, _ := unwell(t, "http://"+addr, time.Hour, "")
	use(t, tel)
	err := shutDown(t, tel)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "spans were lost")
	require.ErrorContains(t, err, "records were lost")
	require.Equal(t, err, tel.Shutdown(t.Context()))
}

// Its context ends it sooner.
func TestShutdownKeepsItsContext(t *testing.T) {
	addr, _ := blackHole(t)
	tel, _ := unwell(t, "http://"+addr, time.Hour, "")
	use(t, tel)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, tel.Shutdown(ctx))
}

// It is slow: what waits is bounded, the rest is lost, and nobody waits.
func TestSlowReceiver(t *testing.T) {
	c := collect(t)
	tel, _ := unwell(t, "http://"+c.addr, time.Hour, "")
	c.hold.Lock()
	use(t, tel)
	require.Eventually(t, func() bool { return c.calls.Load() == 3 }, generous, time.Millisecond, "one call of each signal")
	c.hold.Unlock()
	require.Eventually(t, func() bool { spans, _, records := c.got(); return spans > 0 && records > 0 }, generous, time.Millisecond)
	err := shutDown(t, tel)
	spans, _, records := c.got()
	require.LessOrEqual(t, spans, 30, "no more than the queue holds waited, with what was on its way")
	require.LessOrEqual(t, records, 100, "likewise")
	if err != nil { // unless a complaint has told of it
		require.ErrorContains(t, err, "were lost")
	}
	require.Zero(t, tel.Failures()["traces"])
}

// It comes and goes: what is told while it is there arrives, and there is one line.
func TestFlappingReceiver(t *testing.T) {
	c := collect(t)
	tel, complaints := unwell(t, "http://"+c.addr, time.Minute, "")
	busy := status.Error(codes.InvalidArgument, "no\nroom") // not tried again
	for range 3 {
		c.refuse.Store(&busy)
		before := tel.Failures()
		require.Eventually(t, func() bool { use(t, tel); return tel.Failures()["traces"] > before["traces"] }, generous, time.Millisecond)
		c.refuse.Store(nil)
		had, _, _ := c.got()
		require.Eventually(t, func() bool { use(t, tel); n, _, _ := c.got(); return n > had }, generous, time.Millisecond)
	}
	_ = shutDown(t, tel)
	require.Len(t, complaints.all(), 1)
	require.Contains(t, attr(complaints.all()[0], "error"), "no room", "in one line")
}

// The program's handler shares the one line a minute, and nothing global is set.
func TestErrorHandler(t *testing.T) {
	before := otel.GetTracerProvider()
	complaints := &lines{}
	tel := start(t, telemetry.Config{}, nil, func(o *telemetry.Options) { o.Logger = slog.New(complaints) })
	h := tel.ErrorHandler()
	for range 100 {
		h.Handle(errors.New("trouble"))
	}
	require.Len(t, complaints.all(), 1)
	require.Equal(t, "trouble", attr(complaints.all()[0], "error"))
	require.Equal(t, before, otel.GetTracerProvider())
}
