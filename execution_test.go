package ergon_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
)

func in(t *testing.T, id string, phase ergon.Phase, attempt int) context.Context {
	return ergon.WithExecution(t.Context(), &ergon.Execution{
		TransactionID: id, Source: "s", Task: "t", Phase: phase, Attempt: attempt, At: time.Unix(1, 0),
	})
}

// R053: what a task draws is a function of the transaction, not of the attempt.
func TestDeterminism(t *testing.T) {
	draw := func(ctx context.Context) []any {
		return []any{
			ergon.Rand(ctx).Uint64(), ergon.Rand(ctx).Uint64(), ergon.NewID(ctx), ergon.NewID(ctx), ergon.Now(ctx),
		}
	}
	first := draw(in(t, "a", ergon.PhaseProcess, 1))
	require.Equal(t, first, draw(in(t, "a", ergon.PhaseProcess, 2)))
	require.NotEqual(t, first[0], first[1], "it goes on from call to call")
	require.NotEqual(t, first[2], first[3])
	require.NotEqual(t, first[:4], draw(in(t, "b", ergon.PhaseProcess, 1))[:4])
	require.NotEqual(t, first[:4], draw(in(t, "a", ergon.PhaseSuccess, 1))[:4])
	require.Equal(t, time.Unix(1, 0), first[4])
}

func TestOutsideOfATransaction(t *testing.T) {
	ctx := t.Context()
	require.Equal(t, "", ergon.ExecutionOf(ctx).TransactionID)
	require.NotEqual(t, ergon.NewID(ctx), ergon.NewID(ctx))
	require.NotEqual(t, ergon.Rand(ctx).Uint64(), ergon.Rand(ctx).Uint64())
	require.WithinDuration(t, time.Now(), ergon.Now(ctx), time.Minute)
	require.Nil(t, ergon.CallObserverOf(ctx))
}

type observer struct{ ergon.CallObserver }

func TestCallObserver(t *testing.T) {
	o := &observer{}
	require.Same(t, o, ergon.CallObserverOf(ergon.WithCallObserver(t.Context(), o)))
}

func TestCodecs(t *testing.T) {
	for media, want := range map[string]bool{
		"": true, "application/json": true, "text/json": true, "application/cloudevents+json": true, "text/csv": false,
	} {
		require.Equal(t, want, ergon.JSON.Accepts(media), media)
	}
	require.Equal(t, "application/json", ergon.MediaType("Application/JSON ; charset=utf-8"))
	data := []byte("abc")
	var got []byte
	require.NoError(t, ergon.Bytes.Unmarshal(data, &got))
	got[0] = 'x'
	require.Equal(t, "abc", string(data), "decoding copies")
	require.Error(t, ergon.Bytes.Unmarshal(data, new(string)))
	_, err := ergon.Bytes.Marshal("abc")
	require.Error(t, err)
}
