package transform

import (
	"strconv"
	"strings"
)

// DefaultMaxCost is the bound of one evaluation's cost: some 20 ms. One step
// costs 1; reading a text costs a tenth of its length.
const DefaultMaxCost = 200_000

// Spec is a transform as data. Every text but Routes is a CEL expression.
type Spec struct {
	// Filter says which transactions go on; the others are done with, and send
	// nothing. Default: all.
	Filter string
	// FailIf are the rules that a transaction must not meet, in their order.
	FailIf []Rule
	// Map is what is sent: a JSON object of these fields. A field whose value is
	// optional.none() is left out. Default: the payload, byte for byte.
	Map map[string]string
	// Route names the route to send on. Default: the only one.
	Route string
	// Key is the output's key. Default: none.
	Key string
	// MaxCost bounds what one evaluation of one expression may cost. Default
	// DefaultMaxCost.
	MaxCost uint64
	// Routes are the names of the routes that are bound. At least one.
	Routes []string
}

// Rule is a BUSINESS failure: when it holds, and what it says.
type Rule struct{ When, Message string }

// Fault is one thing that is wrong with a Spec.
type Fault struct {
	// Path leads to the expression: map, pence; or fail_if, [0], when.
	Path []string
	// Line and Column count from 1, in characters, inside the expression; they are
	// 0 where the fault has no place in it.
	Line, Column int
	// Message says what is wrong and what to do.
	Message string
	// Missing says that something required is not there.
	Missing bool
}

// Error is path, place and message.
func (f Fault) Error() string {
	at := ""
	if f.Line > 0 {
		at = " (at " + place(f.Line, f.Column) + ")"
	}
	return name(f.Path) + at + ": " + f.Message
}

// Faults is everything that is wrong with a Spec.
type Faults []Fault

// Error has one line per fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// name is a path as it is written: fail_if[0].when.
func name(path []string) string {
	return strings.ReplaceAll(strings.Join(path, "."), ".[", "[")
}

// place is a place in an expression as an error names it.
func place(line, column int) string {
	return strconv.Itoa(line) + ":" + strconv.Itoa(column)
}
