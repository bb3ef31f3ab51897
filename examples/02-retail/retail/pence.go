package retail

import (
	"fmt"
	"math"
	"math/bits"
)

// maxDigits is how many digits a price may have, leading and trailing zeros
// aside. With that many everything below fits in 128 bits. A price that was a
// float64 once has 17 at the most.
const (
	maxDigits = 18
	tooLarge  = 1e18 // the first number that has more
)

// Pence is what a line costs: quantity × unitPrice, in pence, where the unit
// price is in pounds. Half a penny is rounded away from zero. The arithmetic is
// decimal and exact.
//
// A unit price is written as "2.55", "1", ".5", "1." or "-1.25": digits, at most
// one point, at most 18 digits that count, before and after the point. There
// are no exponents, no separators of thousands, no currency signs and no spaces.
// Anything else, and a result that does not fit, is an error whose text begins
// with "price".
func Pence(quantity int64, unitPrice string) (int64, error) {
	price, err := parsePrice(unitPrice)
	if err != nil {
		return 0, err
	}
	pence, ok := price.times(quantity)
	if !ok {
		return 0, fmt.Errorf("price %s times %d is out of range", unitPrice, quantity)
	}
	return pence, nil
}

// price is digits / 10^decimals pounds.
type price struct {
	negative bool
	digits   uint64 // below tooLarge
	decimals int    // 0 to maxDigits
}

// positive reports whether the price is above zero.
func (p price) positive() bool { return p.digits > 0 && !p.negative }

// parsePrice reads a decimal number. Zeros at the end of the fraction count only
// once a digit follows them.
func parsePrice(s string) (price, error) {
	var p price
	rest := s
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		p.negative = rest[0] == '-'
		rest = rest[1:]
	}
	seen, point, zeros := false, false, 0
	for i := range len(rest) {
		c := rest[i]
		switch {
		case c == '.' && !point:
			point = true
			continue
		case c < '0' || c > '9':
			return price{}, fmt.Errorf("price %q is not a decimal number", clip(s))
		}
		seen = true
		if point && c == '0' {
			zeros++
			continue
		}
		for range zeros {
			if !p.push(0, true) {
				return price{}, tooManyDigits(s)
			}
		}
		zeros = 0
		if !p.push(uint64(c-'0'), point) {
			return price{}, tooManyDigits(s)
		}
	}
	if !seen {
		return price{}, fmt.Errorf("price %q is not a decimal number", clip(s))
	}
	return p, nil
}

// push appends a digit and reports whether there was room for it.
func (p *price) push(digit uint64, fraction bool) bool {
	p.digits = p.digits*10 + digit
	if fraction {
		p.decimals++
	}
	return p.digits < tooLarge && p.decimals <= maxDigits
}

// times multiplies, in pence. The product of quantity and digits has 128 bits,
// hi and lo.
func (p price) times(quantity int64) (pence int64, ok bool) {
	negative := p.negative != (quantity < 0)
	amount := uint64(quantity)
	if quantity < 0 {
		amount = -amount
	}
	hi, lo := bits.Mul64(amount, p.digits)
	if p.decimals <= 2 {
		if hi > 0 {
			return 0, false
		}
		hi, lo = bits.Mul64(lo, pow10(2-p.decimals))
		if hi > 0 {
			return 0, false
		}
	} else {
		unit := pow10(p.decimals - 2)
		if hi >= unit {
			return 0, false
		}
		var below uint64
		lo, below = bits.Div64(hi, lo, unit)
		if below >= unit-below {
			if lo == math.MaxUint64 {
				return 0, false
			}
			lo++
		}
	}
	switch {
	case lo <= math.MaxInt64 && negative:
		return -int64(lo), true
	case lo <= math.MaxInt64:
		return int64(lo), true
	case negative && lo == 1<<63:
		return math.MinInt64, true
	}
	return 0, false
}

// pow10 is 10^n, for n from 0 to maxDigits.
func pow10(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

func tooManyDigits(s string) error {
	return fmt.Errorf("price %q has more than %d digits", clip(s), maxDigits)
}

// clip cuts a text that goes into an error message.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
