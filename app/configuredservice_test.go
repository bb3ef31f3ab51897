package app_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	v1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/fx"
	"google.golang.org/protobuf/proto"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/internal/semconv"
	svc "github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

// rates is a service as a user writes one, which does what it is asked for.
type rates struct {
	of   *svc.Operation
	seam *svc.Seam
	url  string
	free chan struct{}        // ends what is stuck
	left chan struct{}        // gets one when that has ended
	kept chan context.Context // of a call
}

func newRates(s svc.Setup[spec.HTTP]) (*rates, error) {
	seam, err := s.Seam()
	if err != nil {
		return nil, err
	}
	return &rates{seam: seam, of: seam.Operation("of", svc.Idempotent), url: s.Config.URL, free: make(chan struct{}), left: make(chan struct{}, 1), kept: make(chan context.Context, 1)}, nil
}

func (r *rates) Seam() *svc.Seam { return r.seam }

// Health is that of the seam, as services of ours have it: its text is shown once.
func (r *rates) Health() error { return r.seam.Health() }

func (r *rates) Stop(context.Context) error { close(r.free); return nil }

func (r *rates) Of(ctx context.Context, what string) (string, error) {
	return svc.Call(ctx, r.of, what, r.ask)
}

// strange is an error that fails whoever asks it.
type strange struct{}

func (strange) Error() string   { panic("an error that can't be read") }
func (strange) Is(error) bool   { panic("an error that can't be compared") }
func (strange) Unwrap() []error { return []error{nil, context.Canceled} }

func (r *rates) ask(ctx context.Context, what string) (string, error) {
	what, _, _ = strings.Cut(what, "-")
	switch what {
	case "panics":
		panic("boom")
	case "nil":
		var none *rates
		return none.url, nil
	case "exits":
		runtime.Goexit()
	case "hangs":
		<-ctx.Done()
		return "", ctx.Err()
	case "stuck": // and does not even look
		<-r.free
		r.left <- struct{}{}
	case "cancels": // its own
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return "", ctx.Err()
	case "strange":
		return "", strange{}
	case "drained": // what a source says
		return "", ergon.ErrDrained
	case "keeps":
		_ = ctx.Done() // as clients do that watch it
		r.kept <- ctx
	case "late": // the context of a call that has ended
		ended := <-r.kept
		<-ended.Done()
		return "", fmt.Errorf("too late: %w", ended.Err())
	case "unknown":
		return "", ergon.Business("there is no such currency")
	case "down":
		return "", errors.New("connection refused")
	}
	return r.url + "/" + what, nil
}

type quote struct{ rates *rates }

func (q quote) Process(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
	return q.rates.Of(ctx, tx.Payload())
}

var quoting = fx.Options(
	app.Configured("rates", newRates),
	app.Tasks(func(r *rates) app.Task { return app.Consume("quote", quote{r}) }),
)

const quotes = `
services:
  rates:
    http: { url: https://rates.example, bearer: hunter2 }
    policy: { retry: { max_attempts: 1, timeout: 300ms } }
tasks:
  quote:
    source: { jetstream: { stream: Q, subjects: [q] } }
    routes: { out: { jetstream: { stream: QUOTED, subject: quoted } } }
    consumer:
      loop: { concurrency: 8 }
      process: { retry: { max_attempts: 1, timeout: 2s } }
      transaction: { stuck_after: 200ms }
`

// inFile is a configuration, of a file.
func inFile(t *testing.T, text string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "ergon.yaml")
	require.NoError(t, os.WriteFile(file, []byte("bus: { listen: off, store: '"+dir+"/store' }\nadmin: { listen: '127.0.0.1:0' }\n"+text), 0o600))
	cfg, err := config.Load(file, nil)
	require.NoError(t, err)
	return cfg
}

func publish(t *testing.T, b *bus.Bus, subject string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		_, err := b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: subject, Header: nats.Header{"Nats-Msg-Id": {id}}, Data: []byte(`"` + id + `"`)})
		require.NoError(t, err)
	}
}

// R022, R027, R035, the boundary: whatever a service does, it is the failure of the
// transaction that called it, of a category, and of no other; and its credentials are in
// none of it.
func TestServicesSteerNothing(t *testing.T) {
	cfg := inFile(t, quotes)
	want := map[string]string{
		"panics": "SYSTEM", "nil": "SYSTEM", "exits": "SYSTEM", "hangs": "TIMEOUT", "stuck": "TIMEOUT", "cancels": "SYSTEM", "strange": "SYSTEM",
		"drained": "SYSTEM", "late": "SYSTEM", "unknown": "BUSINESS", "down": "SYSTEM",
	}
	fine := 0
	withBus(t, cfg, func(b *bus.Bus) {
		_, err := b.Ensure(t.Context(), bus.Topology{Streams: cfg.Topology()})
		require.NoError(t, err)
		publish(t, b, "q", "keeps")
		for id := range want {
			publish(t, b, "q", "ok-"+id, id)
			fine++
		}
	})
	var (
		runner  *app.Runner
		service *rates
		log     buffer
	)
	fxApp := fx.New(quoting, app.Module, fx.Supply(app.Options{Config: cfg, UntilEmpty: true, Logger: logTo(&log)}), fx.Populate(&runner, &service), fx.NopLogger)
	require.NoError(t, fxApp.Start(t.Context()))
	<-runner.Done()
	require.NoError(t, runner.Err(), "no service ends a run")
	require.NoError(t, fxApp.Stop(context.WithoutCancel(t.Context())))
	<-service.left
	got := map[string]string{}
	withBus(t, cfg, func(b *bus.Bus) {
		stored := 0
		require.NoError(t, b.Scan(t.Context(), "QUOTED", nil, false, func(*nats.Msg, bus.Meta) error { stored++; return nil }))
		require.Equal(t, fine+1, stored, "the others do well")
		require.NoError(t, b.Scan(t.Context(), bus.DefaultDeadStream, nil, false, func(m *nats.Msg, _ bus.Meta) error {
			got[strings.Trim(string(m.Data), `"`)] = m.Header.Get(semconv.DeadCategory)
			require.NotContains(t, fmt.Sprint(m.Header), "hunter2")
			return nil
		}))
	})
	require.Equal(t, want, got)
	require.NotContains(t, log.String(), "hunter2")
}

// An open breaker of a service makes the process unready, and says why; its calls are
// metrics, and spans below the attempts that made them.
func TestServicesAreShown(t *testing.T) {
	r := &receiver{sent: map[string]string{}}
	server := httptest.NewServer(r)
	defer server.Close()
	cfg := inFile(t, strings.Replace(quotes, "timeout: 300ms }", "timeout: 300ms }, breaker: { failures: 3, delay: 1h }", 1))
	cfg.Telemetry.OTLP.Endpoint, cfg.Telemetry.OTLP.Protocol = server.URL, "http/protobuf"
	tel, err := app.OpenTelemetry(t.Context(), cfg, func(string) (string, bool) { return "", false }, logTo(&buffer{}))
	require.NoError(t, err)
	var runner *app.Runner
	fxApp := fx.New(quoting, app.Module, fx.Supply(app.Options{Config: cfg, Telemetry: tel}), fx.Populate(&runner), fx.NopLogger)
	require.NoError(t, fxApp.Start(t.Context()))
	at := "http://" + runner.AdminAddr()
	_, metrics, err := fetch(t, at+"/metrics")
	require.NoError(t, err)
	for _, series := range []string{
		`ergon_service_call_duration_seconds_count{ergon_service="rates",ergon_service_operation="rates.of"} 0`,
		`ergon_service_breaker_open{ergon_service="rates"} 0`, `ergon_service_rejected_total{ergon_service="rates",ergon_service_operation="rates.of"} 0`,
	} {
		require.Contains(t, metrics, series, "there from the beginning")
	}
	code, body, err := fetch(t, at+"/readyz")
	require.NoError(t, err)
	require.Equal(t, 200, code, body)
	require.Contains(t, body, `{"check":"rates","ok":true}`)

	publish(t, runner.Conn().Bus, "q", "ok")
	require.Eventually(t, func() bool { // among the failures a success would begin their count anew
		_, metrics, err = fetch(t, at+"/metrics")
		return err == nil && strings.Contains(metrics, `ergon_service_call_duration_seconds_count{ergon_service="rates",ergon_service_operation="rates.of"} 1`)
	}, 20*time.Second, 10*time.Millisecond)
	publish(t, runner.Conn().Bus, "q", "down-1", "down-2", "down-3")
	require.Eventually(t, func() bool {
		code, body, err = fetch(t, at+"/readyz")
		return err == nil && code == 503
	}, 20*time.Second, 10*time.Millisecond)
	require.Contains(t, body, "service rates: the circuit breaker is open: the next call is let through in")
	require.Contains(t, body, "the latest failure: SYSTEM: connection refused")
	require.Equal(t, 2, strings.Count(body, "the circuit breaker is open"), "once of the reasons, and once of the check: %s", body)
	_, status, err := fetch(t, at+"/status")
	require.NoError(t, err)
	require.Contains(t, status, "the circuit breaker is open")
	_, metrics, err = fetch(t, at+"/metrics")
	require.NoError(t, err)
	require.Contains(t, metrics, `ergon_service_breaker_open{ergon_service="rates"} 1`)
	require.Contains(t, metrics, `ergon_service_breaker_opened_total{ergon_service="rates"} 1`)
	require.Contains(t, metrics, `ergon_service_call_duration_seconds_count{ergon_service="rates",ergon_service_operation="rates.of",error_type="SYSTEM"} 3`)
	require.NoError(t, fxApp.Stop(context.WithoutCancel(t.Context())))
	require.NoError(t, tel.Shutdown(t.Context()))

	r.mu.Lock()
	defer r.mu.Unlock()
	var sent v1.ExportTraceServiceRequest
	require.NoError(t, proto.Unmarshal([]byte(r.sent["/v1/traces"]), &sent))
	names, parents := map[string]string{}, []string{}
	var calls [][]byte
	for _, of := range sent.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				names[string(s.GetSpanId())] = s.GetName()
				if s.GetName() == "rates.of" {
					calls = append(calls, s.GetParentSpanId())
				}
			}
		}
	}
	for _, parent := range calls {
		parents = append(parents, names[string(parent)])
	}
	require.Equal(t, []string{"process.attempt.1", "process.attempt.1", "process.attempt.1", "process.attempt.1"}, parents)
	require.NotContains(t, r.sent["/v1/traces"], "hunter2")
}
