package retail_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/examples/02-retail/retail"
)

// A line is a function of its number, in this build and in the next: a demo that
// is run again publishes the same lines.
func TestGenerateIsDeterministic(t *testing.T) {
	t.Parallel()
	require.Equal(t, retail.Line{
		InvoiceNo: "700051", StockCode: "10102", Description: "TEA TOWEL, ALLOTMENT ROWS", Quantity: "2",
		InvoiceDate: "2024-12-02 09:20:50", UnitPrice: "3.25", CustomerID: "22179", Country: "United Kingdom",
	}, retail.Generate(400))
	for n := range 1000 {
		require.Equal(t, retail.Generate(n), retail.Generate(n))
	}
}

// The lines of one invoice have its date, customer and country in common.
func TestGenerateInvoices(t *testing.T) {
	t.Parallel()
	first := map[string]retail.Line{}
	for n := range 2000 {
		line := retail.Generate(n)
		one, ok := first[line.InvoiceNo]
		if !ok {
			first[line.InvoiceNo] = line
			continue
		}
		require.Equal(t, one.InvoiceDate, line.InvoiceDate)
		require.Equal(t, one.CustomerID, line.CustomerID)
		require.Equal(t, one.Country, line.Country)
	}
	require.Len(t, first, 250)
}

func TestGenerateShares(t *testing.T) {
	t.Parallel()
	const n = 100_000
	kinds, guests := map[string]int{}, 0
	countries, products := map[string]int{}, map[string]int{}
	for i := range n {
		line := retail.Generate(i)
		kind, scored, err := score(t, line)
		if e, ok := errors.AsType[*ergon.Error](err); ok {
			kind, _, _ = strings.Cut(e.Reason(), " ")
		}
		if kind == retail.RouteCancelled {
			require.Negative(t, scored.Quantity)
			require.Negative(t, scored.Pence)
		}
		kinds[kind]++
		if line.CustomerID == "" {
			guests++
		}
		countries[line.Country]++
		products[line.Description]++
	}
	share := func(count int) float64 { return 100 * float64(count) / n }
	require.InDelta(t, 1.5, share(kinds[retail.RouteCancelled]), 0.4)
	require.InDelta(t, 0.3, share(kinds["price"]), 0.1)
	require.InDelta(t, 0.1, share(kinds["quantity"]), 0.05)
	require.InDelta(t, 25, share(guests), 1.5)
	require.InDelta(t, 90, share(countries["United Kingdom"]), 1.5)
	require.Len(t, kinds, 4)
	require.Len(t, countries, 21)
	require.Len(t, products, 31, "30, and no name at all")
}

func BenchmarkGenerate(b *testing.B) {
	n := 0
	for b.Loop() {
		_ = retail.Generate(n)
		n++
	}
}
