package peers

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// answerer says who asked what, unless it is bad.
type answerer struct{}

func (answerer) Process(_ context.Context, tx ergon.Transaction[[]byte]) ([]byte, error) {
	if string(tx.Payload()) == "bad" {
		return nil, ergon.Business("it is bad")
	}
	return append([]byte(tx.Metadata().Get("x-tenant")+": "), tx.Payload()...), nil
}

// forwarder sends on what it gets.
type forwarder struct{}

func (forwarder) Process(_ context.Context, tx ergon.Transaction[[]byte]) ([]byte, error) {
	return tx.Payload(), nil
}

// runHTTPEngine runs a task until the test is over, or end is called.
func runHTTPEngine(t *testing.T, source ergon.Source, name string, sink ergon.Sink, task ergon.Consumer[[]byte, []byte]) (e *engine.Engine, end func() engine.Report) {
	t.Helper()
	p := policy.DefaultConsumer()
	p.Produce.Retry.MaxAttempts, p.Produce.Retry.BackoffCap = 30, policy.Duration(500*time.Millisecond)
	e, err := engine.New(engine.Config{
		Task: engine.Consume(name, task), Source: source, Sinks: map[string]ergon.Sink{"out": sink}, Policy: p, App: "peers",
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	reports := make(chan engine.Report, 1)
	go func() {
		report, err := e.Run(ctx)
		if err != nil {
			t.Errorf("run %s: %v", name, err)
		}
		reports <- report
		close(reports)
	}()
	end = func() engine.Report {
		cancel()
		return <-reports
	}
	t.Cleanup(func() { end() })
	return e, end
}
