package retail_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ergon-framework/ergon/examples/02-retail/retail"
)

func TestPence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		quantity int64
		price    string
		want     int64
	}{
		{6, "2.55", 1530},
		{1, "1", 100},
		{3, ".5", 150},
		{3, "5.", 1500},
		{2, "+2.10", 420},
		{-8, "4.95", -3960},
		{8, "-4.95", -3960},
		{-8, "-4.95", 3960},
		{0, "4.95", 0},
		{5, "0.0", 0},
		{-5, "-0", 0},
		{1, "000000000000000000000000000002.55", 255},
		{1, "2.5500000000000000000000000000000", 255},
		{3, "0.125", 38}, // 37.5: half is rounded away from zero
		{-3, "0.125", -38},
		{1, "0.005", 1},
		{1, "0.00499999999999999", 0},
		{1, "0.995", 100},
		{100, "1.005", 10050}, // 100.49999999999999 as a float64
		{1, "1.005", 101},
		{49, "1882320823847913.43", math.MaxInt64},
		{-49, "1882320823847913.43", -math.MaxInt64},
		{math.MaxInt64, "0.01", math.MaxInt64},
		{math.MinInt64, "0.01", math.MinInt64},
		{math.MaxInt64, "0.000000000000000001", 922},
		{math.MaxInt64, "0.009999999999999999", 9223372036854774885},
	} {
		got, err := retail.Pence(c.quantity, c.price)
		require.NoError(t, err, c.price)
		require.Equal(t, c.want, got, "%d x %s", c.quantity, c.price)
	}
}

func TestPenceRefuses(t *testing.T) {
	t.Parallel()
	for price, want := range map[string]string{
		"":                       `price "" is not a decimal number`,
		".":                      `price "." is not a decimal number`,
		"-":                      `price "-" is not a decimal number`,
		"+-1":                    `price "+-1" is not a decimal number`,
		"1.2.3":                  `price "1.2.3" is not a decimal number`,
		"2,55":                   `price "2,55" is not a decimal number`,
		"1,000.00":               `price "1,000.00" is not a decimal number`,
		"1e-3":                   `price "1e-3" is not a decimal number`,
		"0x10":                   `price "0x10" is not a decimal number`,
		" 2.55":                  `price " 2.55" is not a decimal number`,
		"£2.55":                  `price "£2.55" is not a decimal number`,
		"NaN":                    `price "NaN" is not a decimal number`,
		"2.55\n":                 `price "2.55\n" is not a decimal number`,
		"٢":                      `price "٢" is not a decimal number`,
		"1000000000000000000":    `price "1000000000000000000" has more than 18 digits`,
		"0.0000000000000000001":  `price "0.0000000000000000001" has more than 18 digits`,
		"1.00000000000000000001": `price "1.00000000000000000001" has more than 18 digits`,
		strings.Repeat("9", 1e6): `price "` + strings.Repeat("9", 40) + `…" has more than 18 digits`,
	} {
		_, err := retail.Pence(1, price)
		require.EqualError(t, err, want)
	}
	for _, c := range []struct {
		quantity int64
		price    string
	}{
		{50, "1882320823847913.43"},
		{2, "92233720368547758"},
		{math.MinInt64, "-0.01"},
		{math.MaxInt64, "999999999999999999"},
		{math.MinInt64, "0.0100000000000001"},
		{math.MaxInt64, "99999999999999.9999"},
		{200000000000000000, "0.922337203685477581"},
	} {
		_, err := retail.Pence(c.quantity, c.price)
		require.ErrorContains(t, err, "is out of range", "%d x %s", c.quantity, c.price)
		require.ErrorContains(t, err, "price ")
	}
}

// Pence agrees with exact fractions, for every price it reads.
func TestPenceIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		price := rapid.StringMatching(`[+-]?(0{0,3}[0-9]{1,9}(\.[0-9]{0,9}0{0,12})?|\.[0-9]{1,18})`).Draw(t, "price")
		quantity := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000)).Draw(t, "quantity")
		want, fits := exactPence(t, quantity, price)
		got, err := retail.Pence(quantity, price)
		if !fits {
			require.ErrorContains(t, err, "is out of range")
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// exactPence is the rule with fractions: quantity × price × 100, and half a
// penny is rounded away from zero.
func exactPence(t require.TestingT, quantity int64, price string) (pence int64, fits bool) {
	pounds, ok := new(big.Rat).SetString(price)
	require.True(t, ok, price)
	x := new(big.Rat).Mul(pounds, new(big.Rat).SetInt64(quantity))
	x.Mul(x, big.NewRat(100, 1))
	half := big.NewRat(1, 2)
	if x.Sign() < 0 {
		half.Neg(half)
	}
	x.Add(x, half)
	q := new(big.Int).Quo(x.Num(), x.Denom()) // towards zero
	return q.Int64(), q.IsInt64()
}

// FuzzPence: no input panics; what is read agrees with exact fractions.
func FuzzPence(f *testing.F) {
	for _, price := range []string{"2.55", ".5", "-1.25", "1e-3", "0.000000000000000005", "", "1.."} {
		f.Add(int64(3), price)
	}
	f.Fuzz(func(t *testing.T, quantity int64, price string) {
		got, err := retail.Pence(quantity, price)
		if err != nil {
			require.Regexp(t, "^price ", err.Error())
			return
		}
		want, fits := exactPence(t, quantity, price)
		require.True(t, fits)
		require.Equal(t, want, got)
	})
}

func TestPenceDoesNotAllocate(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = retail.Pence(6, "2.55")
	}))
}

func BenchmarkPence(b *testing.B) {
	for b.Loop() {
		_, _ = retail.Pence(6, "2.55")
	}
}
