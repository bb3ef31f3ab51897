package identity_test

import (
	"strings"
	"testing"

	"github.com/ergon-framework/ergon/internal/identity"
	"github.com/stretchr/testify/require"
)

// The values are frozen: a release that derives others would send again, under
// new IDs, what its predecessor sent before a crash.
func TestGolden(t *testing.T) {
	require.Equal(t, "b09f087b4a17165e79e9070feeb116af", identity.Output("nats:ORDERS", "ORDERS:7", "score", "scored", identity.SingleK))
	require.Equal(t, "kabc", identity.KeyK("abc"))
	require.Equal(t, "pba7816bf8f01cfea414140de5dae2223.2", identity.PayloadK([]byte("abc"), 2))
	require.Equal(t, "00-a7ee23f8e5fb63fa324d73026e87f896-b59bef4042d90df2-00", identity.TraceParent("nats:ORDERS", "ORDERS:7"))
}

func TestPartsAreKeptApart(t *testing.T) {
	require.NotEqual(t, identity.Output("ab", "c", "t", "r", "0"), identity.Output("a", "bc", "t", "r", "0"))
	require.NotEqual(t, identity.TraceParent("ab", "c"), identity.TraceParent("a", "bc"))
}

func TestTraceParent(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	require.True(t, identity.ValidTraceParent(good))
	require.True(t, identity.ValidTraceParent(identity.TraceParent("s", "i")))
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", identity.TraceID(good))
	for _, bad := range []string{
		"", "00", strings.ToUpper(good), good + "-x", "ff" + good[2:],
		strings.Replace(good, "0af7651916cd43dd8448eb211c80319c", strings.Repeat("0", 32), 1),
		strings.Replace(good, "b7ad6b7169203331", strings.Repeat("0", 16), 1),
		strings.Replace(good, "-", "_", 1), good[:54] + "g",
	} {
		require.False(t, identity.ValidTraceParent(bad), bad)
		require.Empty(t, identity.TraceID(bad))
	}
	require.True(t, identity.ValidTraceParent("01"+good[2:]+"-later"))
}

func FuzzValidTraceParent(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Fuzz(func(t *testing.T, s string) {
		if identity.ValidTraceParent(s) {
			require.Len(t, identity.TraceID(s), 32)
		}
	})
}

func BenchmarkOutput(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = identity.Output("nats:ORDERS", "ORDERS:123456", "score", "scored", identity.SingleK)
	}
}
