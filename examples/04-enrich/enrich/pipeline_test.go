package enrich_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// The two commands of the example's comment, and what its comment says of the outcomes.
func TestExample(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, stderr := w.command("publish", "enrich.lines", "--file", lines)
	require.Zero(t, code, stderr)

	// A bucket that is missing, and a database that can't be opened, end the run before it
	// begins: no line is touched.
	w.env["ERGON_SERVICES_REGIONS_KV_CREATE"] = "false"
	code, stderr = w.command("run", "--until-empty")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `service regions: start: service "regions": open bucket "REGIONS": there is none: make it`)
	delete(w.env, "ERGON_SERVICES_REGIONS_KV_CREATE")
	url := w.env["ERGON_SERVICES_CUSTOMERS_SQL_URL"]
	w.env["ERGON_SERVICES_CUSTOMERS_SQL_URL"] = "sqlite:" + w.dir + "/missing/customers.db"
	code, stderr = w.command("run", "--until-empty")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `service customers: start: service "customers": open sqlite:`)
	w.env["ERGON_SERVICES_CUSTOMERS_SQL_URL"] = url

	code, stderr = w.command("run", "--until-empty")
	require.Zero(t, code, stderr)
	w.look(func(b *bus.Bus) {
		sorts, reasons := map[string]int{}, map[string]int{}
		require.NoError(t, b.Scan(t.Context(), "ENRICHED", nil, false, func(m *nats.Msg, _ bus.Meta) error {
			_, rest, _ := strings.Cut(string(m.Data), `"region":`)
			sorts[rest]++
			return nil
		}))
		require.NoError(t, b.Scan(t.Context(), bus.DefaultDeadStream, nil, false, func(m *nats.Msg, _ bus.Meta) error {
			reasons[m.Header.Get("Ergon-Dead-Reason")]++
			return nil
		}))
		require.Equal(t, map[string]int{"the line has no description": 2, `customer "21170" is not known`: 1, `country "Unspecified" has no region`: 4}, reasons)
		require.Equal(t, map[string]int{
			`"UK and Ireland","category":"kitchen"}`: 5, `"UK and Ireland","category":"other"}`: 35, `"Europe","category":"other"}`: 6,
			`"Asia-Pacific","category":"other"}`: 3, `"Americas","category":"other"}`: 2, `"Middle East \u0026 Africa","category":"other"}`: 2,
		}, sorts)
	})
}
