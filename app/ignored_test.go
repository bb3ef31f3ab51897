package app_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
)

type ticks struct{}

func (ticks) Produce(context.Context, ergon.Transaction[int]) (int, error) { return 1, nil }

// Only what a task does not go by, and that is not as it is by default, is advised on.
func TestAdviceOnIgnoredPolicies(t *testing.T) {
	tasks := app.Registered{app.Produce("ticks", ticks{}), app.Consume("held", held{})}
	cfg, err := config.Parse("a.yaml", []byte(`
tasks:
  ticks: { source: { jetstream: { stream: A, subjects: [a] } }, consumer: { loop: { concurrency: 9 } }, producer: { loop: { limit: 3 } } }
  held: { source: { jetstream: { stream: B, subjects: [b] } }, consumer: { loop: { concurrency: 9 } } }
`), nil)
	require.NoError(t, err)
	got := tasks.Advice(cfg)
	require.Len(t, got, 1)
	require.Equal(t, "tasks.ticks.consumer: the task produces, so its policy is that under producer, and this one is ignored: move it to producer, or remove it", got[0].String())
}
