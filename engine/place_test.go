package engine_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
)

// answering is a tracer whose contexts answer with the span that they are asked for.
type answering struct{ *traces }

func (a answering) Begin(ergon.Raw, ergon.DeliveryInfo) engine.Tracing {
	return answered{tracedBy(a)}
}

type answered struct{ tracedBy }

type spanKey struct{}

func (answered) Value(key any, span engine.SpanID) any {
	if key == (spanKey{}) {
		return span
	}
	return nil
}

func placeOf(ctx context.Context) any { return ctx.Value(spanKey{}) }

// An event of an attempt answers for the attempt's span, one of a transaction for that
// of the transaction, which is none of the engine's to know.
func TestEventsKnowTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(stumbling())
		r.tracer = answering{&traces{sampled: true}}
		r.push("again")
		r.run(t)
		whole := engine.SpanID{}
		require.Equal(t, whole, placeOf(eventsOf[engine.Started](r)[0].Context()))
		attempts := eventsOf[engine.AttemptEnded](r)
		for i, ev := range attempts {
			require.Equal(t, engine.SpanID{byte(i + 1)}, placeOf(ev.Context()))
			require.Nil(t, ev.Context().Value(ergon.ExecutionKey{}), "it is to be logged with, and no more")
			require.NoError(t, ev.Context().Err())
		}
		require.Greater(t, len(attempts), 2)
		require.Equal(t, engine.SpanID{1}, placeOf(eventsOf[engine.RetryScheduled](r)[0].Context()))
		require.Equal(t, whole, placeOf(eventsOf[engine.Finished](r)[0].Context()))
	})
}

// The sweeper tells of a lost lease while the transaction runs.
func TestALostLeaseKnowsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deliveries := 0
		r := newRig(consume(func(ctx context.Context, _ ergon.Transaction[string]) (string, error) {
			if deliveries++; deliveries == 1 {
				<-ctx.Done()
			}
			return "out", nil
		}))
		r.tracer = answering{&traces{sampled: true}}
		loseFirst(r)
		r.push("a")
		require.EqualValues(t, 1, r.run(t).Lost)
		require.Equal(t, engine.SpanID{}, placeOf(eventsOf[engine.LeaseLost](r)[0].Context()))
	})
}

func TestAnEventWithoutATracerIsNowhere(t *testing.T) {
	require.Equal(t, context.Background(), engine.Started{}.Context())
}
