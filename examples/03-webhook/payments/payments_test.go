package payments_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/examples/03-webhook/payments"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestScores(t *testing.T) {
	for _, c := range []struct {
		p       payments.Payment
		score   int
		reasons int
	}{
		{payments.Payment{Payment: "a", Pence: 99_999, CardCountry: "GB", Country: "GB"}, 0, 0},
		{payments.Payment{Payment: "b", Pence: 100_000, CardCountry: "GB", Country: "GB"}, 30, 1},
		{payments.Payment{Payment: "c", Pence: 100_000, CardCountry: "US", Country: "GB"}, 90, 2},
	} {
		r, err := payments.Scorer{}.Process(t.Context(), ergon.Make(ergon.Envelope{}, c.p))
		require.NoError(t, err)
		require.Equal(t, c.p.Payment, r.Payment)
		require.Equal(t, c.score, r.Score)
		require.Len(t, r.Reasons, c.reasons)
	}
	_, err := payments.Scorer{}.Process(t.Context(), ergon.Make(ergon.Envelope{}, payments.Payment{Payment: "d"}))
	require.Equal(t, ergon.CategoryBusiness, ergon.CategoryOf(err))
}
