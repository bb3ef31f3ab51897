package ergontest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
)

type counter struct{}

func (counter) Process(context.Context, ergon.Transaction[int]) (int, error) { return 0, nil }

func TestCheck(t *testing.T) {
	t.Parallel()
	one, task := []ergon.Transaction[int]{ergon.New(1)}, engine.Consume("count", counter{})
	require.NoError(t, check(task, one))
	require.NoError(t, check(task, []ergon.Raw{ergon.New([]byte("1"))}))
	require.ErrorContains(t, check(engine.Consume("A b", counter{}), one), "a name is")
	require.ErrorContains(t, check(task, one[:0]), `task "count": there is nothing to run it on`)
	require.ErrorContains(t, check(task, []ergon.Transaction[string]{ergon.New("1")}), `task "count" takes int, and is given string`)
}
