package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReasonKinds(t *testing.T) {
	for reason, want := range map[string]string{
		"":                             "",
		"quantity -20 is not positive": "quantity # is not positive",
		"price 0.0 is not positive":    "price # is not positive",
		`customer "Ada \"the\" first" is unknown`:                    `customer "…" is unknown`,
		`an open "quote is text`:                                     `an open "quote is text`,
		"dial tcp 10.0.0.1:5432: connection refused":                 "dial tcp #: connection refused",
		"order 3f2c9a70-1b1e-4c1d-9a57-2d4be1a7c001, line 7.":        "order #, line #.",
		"took 1.5s; (attempt 3)":                                     "took #; (attempt #)",
		"é ist kein Preis":                                           "é ist kein Preis",
		"crashed 5 times":                                            "crashed # times",
		strings.Repeat("long ", 100):                                 strings.Repeat("long ", 40),
		"panic: runtime error: index out of range [7] with length 3": "panic: runtime error: index out of range [#] with length #",
		"\x1b[31m\xff":                                               "\x1b[#\xff",
	} {
		require.Equal(t, want, reasonKind(reason), "%q", reason)
	}
}

// A stream of millions, each with a reason of its own, is counted in bounded memory.
func TestTallyIsBounded(t *testing.T) {
	var n tally
	for i := range 3 * maxKinds {
		require.Equal(t, i < maxKinds, n.add(fmt.Sprint("kind", i)))
	}
	require.True(t, n.add("kind7"))
	require.Len(t, n.counts, maxKinds)
	require.Equal(t, 2*maxKinds, n.others)
	require.Equal(t, []tallied{{"kind7", 2}, {"kind0", 1}}, n.top(2))
	require.Len(t, n.top(0), maxKinds)
}
