package cli

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

// NATS is blamed for what may be its fault, and a service for what is the service's.
func TestNotStarted(t *testing.T) {
	c := &command{stop: newStopper(t.Context(), nil)}
	defer c.stop.close()
	at := config.Bus{Config: bus.Config{URL: "nats://h:4222"}}
	require.EqualError(t, c.notStarted(context.DeadlineExceeded, at, 15_004*time.Millisecond),
		"not started within 15s: see whether NATS at nats://h:4222 answers, JetStream above all: context deadline exceeded")
	hangs := &app.ServiceError{Service: "s", Doing: "start", LeftBehind: true, Took: 15 * time.Second, Err: context.DeadlineExceeded}
	require.EqualError(t, c.notStarted(hangs, at, 15*time.Second),
		"service s: start: it has not returned after 15s, and was left behind: let it honour its context")
}
