package ergon_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
)

// R037, R039: a root has an ID, unique, made at creation, and a UTC time.
func TestNewMakesARoot(t *testing.T) {
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	var ids []string
	for range 1000 {
		tx := ergon.New("payload")
		require.Regexp(t, uuid, tx.ID())
		require.False(t, seen[tx.ID()])
		seen[tx.ID()] = true
		ids = append(ids, tx.ID())
		require.Equal(t, time.UTC, tx.CreatedAt().Location())
		require.True(t, tx.Valid())
		require.Equal(t, tx.ID(), tx.CorrelationID(), "a root begins a flow of its own")
	}
	require.True(t, slices.IsSortedFunc(ids, func(a, b string) int {
		if a[:13] < b[:13] {
			return -1
		} else if a[:13] > b[:13] {
			return 1
		}
		return 0
	}), "later IDs sort later, to the millisecond")
}

func TestOptions(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("x", 3600))
	tx := ergon.New(42, ergon.WithID("id"), ergon.WithID(""), ergon.WithSource("src"), ergon.WithType("t"), ergon.WithKey("k"),
		ergon.WithCorrelationID("flow"), ergon.WithCausationID("cause"), ergon.WithContentType("text/plain"),
		ergon.WithMetadata("Tenant", "a"), ergon.WithMetadata("tenant", "b"), ergon.WithCreatedAt(at),
		ergon.WithTrace(ergon.Trace{Parent: "p"}))
	require.Equal(t, "id", tx.ID())
	require.Equal(t, "src", tx.Source())
	require.Equal(t, "t", tx.Type())
	require.Equal(t, "k", tx.Key())
	require.Equal(t, "flow", tx.CorrelationID())
	require.Equal(t, "cause", tx.CausationID())
	require.Equal(t, "text/plain", tx.ContentType())
	require.Equal(t, []string{"a", "b"}, tx.Metadata().Values("TENANT"))
	require.Equal(t, at.UTC(), tx.CreatedAt())
	require.Equal(t, "p", tx.Trace().Parent)
	require.Equal(t, 42, tx.Payload())
}

// R038: what anyone is handed changes nothing that another sees.
func TestTransactionIsImmutable(t *testing.T) {
	e := ergon.Envelope{ID: "a"}
	tx := ergon.Make(e, 1)
	e.ID = "b"
	require.Equal(t, "a", tx.ID())
	copied := tx.Envelope()
	copied.ID = "c"
	require.Equal(t, "a", tx.ID())

	other := ergon.With(tx, "typed")
	require.Equal(t, "a", other.ID())
	require.Equal(t, "typed", other.Payload())
	require.Equal(t, 1, tx.Payload())

	values := ergon.New(0, ergon.WithMetadata("k", "v")).Metadata()
	got := values.Values("k")
	got[0] = "changed"
	require.Equal(t, "v", values.Get("k"))
}

func TestZeroTransactionIsNotValid(t *testing.T) {
	var tx ergon.Raw
	require.False(t, tx.Valid())
	require.Empty(t, tx.ID())
	require.Zero(t, tx.Metadata().Len())
}

func TestMetadata(t *testing.T) {
	m := ergon.NewMetadata(func(yield func(string, string) bool) {
		_ = yield(" B ", "1") && yield("", "dropped") && yield("a", "2") && yield("b", "3")
	})
	require.Equal(t, 3, m.Len())
	var all []string
	for name, value := range m.All() {
		all = append(all, name+"="+value)
	}
	require.Equal(t, []string{"a=2", "b=1", "b=3"}, all)
	require.Equal(t, "1", m.Get("B"))
	require.Empty(t, m.Get("c"))
	require.Nil(t, m.Values("c"))
	for range m.All() {
		break // an early end is fine
	}
}
