package connectortest_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon/connectors/connectortest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is right passes every part, and none is skipped.
func TestReferencePasses(t *testing.T) {
	for _, p := range connectortest.Parts() {
		t.Run(p.Name, func(t *testing.T) {
			r := run(t, p, reference(nil))
			require.False(t, r.Failed(), "%s", strings.Join(r.lines, "\n"))
			require.Empty(t, r.skipped)
		})
	}
}

// Each fault is found by the part that is there for it, and each part finds one.
func TestFaultsAreFound(t *testing.T) {
	found := map[string]bool{}
	parts := map[string]connectortest.Part{}
	for _, p := range connectortest.Parts() {
		parts[p.Name] = p
	}
	for _, faults := range [][]fault{receivingFaults, fetchFaults, settleFaults, endFaults} {
		for _, f := range faults {
			t.Run(f.part+"/"+f.name, func(t *testing.T) {
				require.Contains(t, parts, f.part)
				r := run(t, parts[f.part], reference(f.in))
				require.Empty(t, r.skipped)
				require.True(t, r.Failed(), "nothing was found")
				t.Logf("found: %s", r.lines[0])
				found[f.part] = true
			})
		}
	}
	for name := range parts {
		require.True(t, found[name], "no fault is found by %q", name)
	}
}

// run runs a part in a bubble.
func run(t *testing.T, p connectortest.Part, h connectortest.Harness) (r *recorder) {
	synctest.Test(t, func(t *testing.T) {
		r = record(t, func(t testing.TB) { p.Run(t, h) })
	})
	return r
}

// A feature that is not declared skips its parts by name, and a known failure skips
// its part with the reason. Neither makes a transport.
func TestSkips(t *testing.T) {
	h := connectortest.Harness{
		New: func(t testing.TB, _ time.Duration) connectortest.Transport {
			t.Error("a transport is made")
			return connectortest.Transport{}
		},
		Except: map[string]string{"saturation": "it is slow"},
	}
	for _, p := range connectortest.Parts() {
		if len(p.Needs) == 0 && p.Name != "saturation" {
			continue
		}
		r := record(t, func(t testing.TB) { p.Run(t, h) })
		require.False(t, r.Failed(), p.Name)
		if len(p.Needs) > 0 {
			require.Equal(t, "feature "+string(p.Needs[0])+" is not declared", r.skipped, p.Name)
		} else {
			require.Equal(t, "known to fail: it is slow", r.skipped)
		}
	}
}

// What a delivery offers and the harness does not declare fails, since the engine
// would use what nothing has tested; and so does what is declared and not offered.
func TestDeclarationsAreHeld(t *testing.T) {
	for _, undeclared := range []connectortest.Feature{connectortest.Leases, connectortest.Defers, connectortest.CountsDeliveries} {
		h := reference(nil)
		h.Features = slices.DeleteFunc(h.Features, func(f connectortest.Feature) bool { return f == undeclared })
		r := run(t, connectortest.Parts()[0], h)
		require.True(t, r.Failed(), undeclared)
		require.Contains(t, r.lines[0], string(undeclared))
	}
	for _, missing := range []func(*connectortest.Transport){
		func(tr *connectortest.Transport) { tr.Source = nil },
		func(tr *connectortest.Transport) { tr.Publish = nil },
		func(tr *connectortest.Transport) { tr.Unacked = nil },
		func(tr *connectortest.Transport) { tr.Down = nil },
	} {
		h := reference(nil)
		whole := h.New
		h.New = func(t testing.TB, lease time.Duration) connectortest.Transport {
			tr := whole(t, lease)
			missing(&tr)
			return tr
		}
		require.True(t, run(t, connectortest.Parts()[0], h).Failed())
	}
}
