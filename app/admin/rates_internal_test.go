package admin

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// The samples of the last minute are kept, and no more; a rate begins at the oldest
// that is not too old.
func TestSamplesAreBounded(t *testing.T) {
	var r rates
	require.Zero(t, r.since(time.Now(), time.Minute).at)
	began := time.Unix(1_000_000, 0)
	require.Equal(t, Rate{}, (&rates{ring: []sample{{at: began}}}).over(began, time.Minute, newIdle(t)), "no time has passed")
	for i := range 200 {
		r.sample(began.Add(time.Duration(i)*time.Second), nil)
	}
	require.Len(t, r.ring, samples)
	now := began.Add(199*time.Second + 500*time.Millisecond)
	for d, want := range map[time.Duration]time.Duration{
		time.Minute: 140 * time.Second, 10 * time.Second: 190 * time.Second, time.Hour: 139 * time.Second,
		time.Millisecond: 199 * time.Second, // the latest, if all are too old
	} {
		require.Equal(t, began.Add(want), r.since(now, d).at, d)
	}
	rate := r.over(now, 10*time.Second, newIdle(t))
	require.Zero(t, rate.TransactionsPerSecond)
	require.InDelta(t, 9.5, rate.Seconds, 0.001)
}

type idle struct{}

func (idle) Process(context.Context, ergon.Transaction[string]) (ergon.None, error) {
	return ergon.None{}, nil
}

func newIdle(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.New(engine.Config{
		Task:   engine.Consume[string, ergon.None]("idle", idle{}),
		Source: memory.NewQueue(memory.QueueOptions{}).Source(), Policy: policy.DefaultConsumer(),
	})
	require.NoError(t, err)
	return e
}
