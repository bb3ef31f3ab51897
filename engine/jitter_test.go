package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// R108: delays are a function of the transaction, jitter included, and differ
// between transactions.
func TestJitterIsTheTransactions(t *testing.T) {
	delays := func() map[string][]time.Duration {
		out := map[string][]time.Duration{}
		synctest.Test(t, func(t *testing.T) {
			r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
				return ergon.None{}, errors.New("again")
			}))
			r.policy.Process.Retry.Jitter = 0.5
			r.push("a", "b")
			r.run(t)
			for _, ev := range eventsOf[engine.RetryScheduled](r) {
				out[ev.Transaction.ID()] = append(out[ev.Transaction.ID()], ev.Delay)
			}
		})
		return out
	}
	first := delays()
	require.Len(t, first["a"], 3)
	require.Equal(t, first, delays())
	require.NotEqual(t, first["a"], first["b"])
}
