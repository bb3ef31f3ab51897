package percent_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/internal/percent"
)

func TestPercent(t *testing.T) {
	for _, c := range []struct{ in, value, name string }{
		{"", "", ""}, {"plain-1", "plain-1", "plain-1"}, {`a "b" 5%`, "a%20%22b%22%205%25", "a%20%22b%22%205%25"},
		{"a/b:c", "a/b:c", "a%2Fb%3Ac"}, {"é\n", "%C3%A9%0A", "%C3%A9%0A"},
	} {
		require.Equal(t, c.value, percent.Value(c.in))
		require.Equal(t, c.name, percent.Name(c.in))
	}
}

// Whatever is encoded comes back, and can break no header.
func FuzzPercent(f *testing.F) {
	f.Add("a b%")
	f.Fuzz(func(t *testing.T, s string) {
		for _, encoded := range []string{percent.Value(s), percent.Name(s)} {
			back, err := url.PathUnescape(encoded)
			require.NoError(t, err)
			require.Equal(t, s, back)
			for i := range len(encoded) {
				require.True(t, encoded[i] > ' ' && encoded[i] < 0x7f)
			}
		}
	})
}
