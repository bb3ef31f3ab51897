package engine_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/ergon-framework/ergon"
	"github.com/stretchr/testify/require"
)

// R037: a source that delivers transactions without an ID breaks its contract. They
// are set aside unrun, each of them: run, the second would be taken for a copy of
// the first.
func TestTransactionsWithoutAnIDAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
			ran++
			return tx.Payload(), nil
		}))
		r.make()
		source := &anonymous{Source: r.queue.Source()}
		r.source = source
		r.push("a", "b")
		report := r.run(t)
		require.Zero(t, ran)
		require.EqualValues(t, 2, report.Dead)
		dead := r.queue.DeadLetters()
		require.Len(t, dead, 2)
		for _, d := range dead {
			require.ErrorContains(t, d.Settlement.Err, "without an ID")
		}
	})
}

// anonymous takes the identity off what its source delivers.
type anonymous struct{ ergon.Source }

func (s *anonymous) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	deliveries, err := s.Source.Fetch(ctx, max)
	for i, d := range deliveries {
		deliveries[i] = nameless{d}
	}
	return deliveries, err
}

type nameless struct{ ergon.Delivery }

func (n nameless) Transaction() ergon.Raw {
	return ergon.Make(ergon.Envelope{}, n.Delivery.Transaction().Payload())
}
