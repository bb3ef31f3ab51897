package services_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/internal/resilience"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
)

// What the seam does not try again in place, the engine's policy still may: an open breaker
// would else make a dead letter of each transaction that meets it.
func TestOpenBreakerIsNotFinalForTheEngine(t *testing.T) {
	get := seam(t, func(p *policy.Phase) {
		p.Retry.MaxAttempts = 1
		p.Breaker = policy.Breaker{Failures: 1, Delay: policy.Duration(time.Hour), Successes: 1}
	}).Operation("get", services.Idempotent)
	_, err := services.Call(t.Context(), get, "EUR", fails(9, io.EOF))
	require.ErrorIs(t, err, io.EOF)
	_, err = services.Call(t.Context(), get, "EUR", fails(9, io.EOF))
	require.ErrorIs(t, err, services.ErrOpen)

	p := policy.DefaultService() // as the policy of a task's phase
	attempts := 0
	out := resilience.Compile(p, nil).Retry(t.Context(), &resilience.Run{First: 1, Attempt: func(context.Context, int) error {
		attempts++
		return nil
	}}, err)
	require.NoError(t, out.Err)
	require.Equal(t, 1, attempts)
}
