package retail_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/examples/02-retail/regions"
	"github.com/ergon-framework/ergon/examples/02-retail/retail"
)

func sale() retail.Line {
	return retail.Line{
		InvoiceNo: "700001", StockCode: "10115A", Description: "ENAMEL MUG", Quantity: "6",
		InvoiceDate: "2024-12-02 08:00:00", UnitPrice: "2.55", CustomerID: "20001", Country: "EIRE",
	}
}

func score(t *testing.T, line retail.Line) (route string, scored retail.Scored, err error) {
	t.Helper()
	task := retail.Scorer{Regions: regions.New()}
	outputs, err := task.Process(t.Context(), ergon.New(line))
	if err != nil {
		require.Empty(t, outputs)
		return "", retail.Scored{}, err
	}
	require.Len(t, outputs, 1)
	return outputs[0].Route, outputs[0].Payload.(retail.Scored), nil
}

func TestScorerScores(t *testing.T) {
	t.Parallel()
	route, scored, err := score(t, sale())
	require.NoError(t, err)
	require.Equal(t, retail.RouteScored, route)
	require.Equal(t, retail.Scored{
		Invoice: "700001", StockCode: "10115A", Quantity: 6, Pence: 1530, Region: "UK and Ireland", Country: "EIRE",
	}, scored)

	guest := sale()
	guest.CustomerID = ""
	_, scored, err = score(t, guest)
	require.NoError(t, err)
	require.True(t, scored.Guest)
}

func TestScorerCancels(t *testing.T) {
	t.Parallel()
	for quantity, pence := range map[string]int64{"-6": -1530, "0": 0, "6": 1530} {
		line := sale()
		line.InvoiceNo, line.Quantity = "C700001", quantity
		route, scored, err := score(t, line)
		require.NoError(t, err)
		require.Equal(t, retail.RouteCancelled, route)
		require.Equal(t, "C700001", scored.Invoice)
		require.Equal(t, pence, scored.Pence)
	}
	free := sale()
	free.InvoiceNo, free.Quantity, free.UnitPrice = "C700001", "-1", "0"
	route, scored, err := score(t, free)
	require.NoError(t, err)
	require.Equal(t, retail.RouteCancelled, route)
	require.Zero(t, scored.Pence)
}

func TestScorerRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ invoice, quantity, price, want string }{
		{"1", "0", "2.55", "quantity 0 is not positive"},
		{"1", "-10", "0.0", "quantity -10 is not positive"}, // the quantity first
		{"1", "x", "y", `quantity "x" is not a whole number`},
		{"1", "1.5", "2.55", `quantity "1.5" is not a whole number`},
		{"1", "", "2.55", `quantity "" is not a whole number`},
		{"1", "9223372036854775808", "1", `quantity "9223372036854775808" is not a whole number`},
		{"C1", "x", "2.55", `quantity "x" is not a whole number`},
		{"1", "1", "0.0", "price 0.0 is not positive"},
		{"1", "1", "-2.55", "price -2.55 is not positive"},
		{"1", "1", "", `price "" is not a decimal number`},
		{"C1", "-1", "2,55", `price "2,55" is not a decimal number`},
		{"1", "9223372036854775807", "1", "price 1 times 9223372036854775807 is out of range"},
		{"c1", "-1", "2.55", "quantity -1 is not positive"}, // a small c cancels nothing
	} {
		line := sale()
		line.InvoiceNo, line.Quantity, line.UnitPrice = c.invoice, c.quantity, c.price
		_, _, err := score(t, line)
		require.ErrorIs(t, err, ergon.CategoryBusiness)
		e, ok := errors.AsType[*ergon.Error](err)
		require.True(t, ok)
		require.Equal(t, c.want, e.Reason())
	}
}

type downed struct{ err error }

func (d downed) Of(context.Context, string) (string, error) { return "", d.err }

func TestScorerPassesTheServicesErrorOn(t *testing.T) {
	t.Parallel()
	down := errors.New("regions are down")
	task := retail.Scorer{Regions: downed{down}}
	_, err := task.Process(t.Context(), ergon.New(sale()))
	require.ErrorIs(t, err, down)
	require.Equal(t, ergon.CategorySystem, ergon.CategoryOf(err), "so the engine tries again")
}

func TestJSONNames(t *testing.T) {
	t.Parallel()
	line, err := json.Marshal(sale())
	require.NoError(t, err)
	require.JSONEq(t, `{"InvoiceNo":"700001","StockCode":"10115A","Description":"ENAMEL MUG","Quantity":"6",
		"InvoiceDate":"2024-12-02 08:00:00","UnitPrice":"2.55","CustomerID":"20001","Country":"EIRE"}`, string(line))
	scored, err := json.Marshal(retail.Scored{Invoice: "1", StockCode: "2", Quantity: 3, Pence: 4, Guest: true, Region: "r", Country: "c"})
	require.NoError(t, err)
	require.JSONEq(t, `{"invoice":"1","stock_code":"2","quantity":3,"pence":4,"guest":true,"region":"r","country":"c"}`, string(scored))
}

// The 60 lines of testdata, counted by their columns and with fractions, and
// what a person counts in the file.
func TestLines(t *testing.T) {
	t.Parallel()
	lines := readLines(t, "../testdata/lines.csv")
	want, got := map[string]int{}, map[string]int{}
	wantPence, gotPence := map[string]int64{}, map[string]int64{}
	seen := map[retail.Line]bool{}
	repeats, guests := 0, 0
	for _, line := range lines {
		quantity, ok := new(big.Rat).SetString(line.Quantity)
		require.True(t, ok)
		price, ok := new(big.Rat).SetString(line.UnitPrice)
		require.True(t, ok)
		kind := "scored"
		switch {
		case strings.HasPrefix(line.InvoiceNo, "C"):
			kind = "cancelled"
		case quantity.Sign() <= 0:
			kind = "quantity"
		case price.Sign() <= 0:
			kind = "price"
		}
		want[kind]++
		if kind == "scored" || kind == "cancelled" {
			pence, _ := exactPence(t, quantity.Num().Int64(), line.UnitPrice)
			wantPence[kind] += pence
		}

		route, scored, err := score(t, line)
		if e, ok := errors.AsType[*ergon.Error](err); ok {
			route, _, _ = strings.Cut(e.Reason(), " ")
		} else {
			gotPence[route] += scored.Pence
		}
		got[route]++

		if seen[line] {
			repeats++
		}
		seen[line] = true
		if line.CustomerID == "" {
			guests++
		}
	}
	require.Len(t, lines, 60)
	require.Equal(t, map[string]int{"scored": 55, "cancelled": 3, "quantity": 1, "price": 1}, want)
	require.Equal(t, map[string]int64{"scored": 188445, "cancelled": -22284}, wantPence)
	require.Equal(t, want, got)
	require.Equal(t, wantPence, gotPence)
	require.Equal(t, 2, repeats)
	require.Equal(t, 9, guests)
}

func readLines(t *testing.T, path string) (lines []retail.Line) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"}, rows[0])
	for _, r := range rows[1:] {
		lines = append(lines, retail.Line{
			InvoiceNo: r[0], StockCode: r[1], Description: r[2], Quantity: r[3],
			InvoiceDate: r[4], UnitPrice: r[5], CustomerID: r[6], Country: r[7],
		})
	}
	return lines
}
