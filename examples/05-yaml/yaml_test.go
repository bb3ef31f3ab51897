package yaml_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/cli"
	"github.com/ergon-framework/ergon/examples/02-retail/retail"
)

// figures is what became of the lines, read from the streams.
type figures struct {
	Count   map[string]int           // by subject
	Pence   map[string]int64         // by subject
	Dead    map[string]int           // by reason
	Outputs map[string]retail.Scored // by the ID of the line
}

// The file does what the Go task does, line by line.
func TestSameAsTheGoTask(t *testing.T) {
	t.Parallel()
	byYAML, byGo := process(t, "ergon.yaml"), process(t, "../02-retail/ergon.yaml")
	require.Equal(t, byGo, byYAML)
	require.Len(t, byYAML.Outputs, 58)
	byYAML.Outputs = nil
	require.Equal(t, figures{
		Count: map[string]int{"retail.scored": 55, "retail.cancelled": 3},
		Pence: map[string]int64{"retail.scored": 188445, "retail.cancelled": -22284},
		Dead:  map[string]int{"quantity -20 is not positive": 1, "price 0.0 is not positive": 1},
	}, byYAML)
}

// process publishes the lines and runs a file until it is done, with the stock
// binary's commands and modules and a server of its own.
func process(t *testing.T, file string) figures {
	t.Helper()
	env := map[string]string{"ERGON_BUS_STORE": t.TempDir(), "ERGON_BUS_LISTEN": "off", "ERGON_ADMIN_LISTEN": "off"}
	lookup := func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
	ergon := func(args ...string) {
		var out, errs bytes.Buffer
		p := &cli.Process{Args: append(args, "-f", file), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Env: lookup}
		require.Zero(t, p.Run(context.WithoutCancel(t.Context()), retail.Module), "%s%s", out.String(), errs.String())
	}
	ergon("publish", "retail.lines", "--file", "../02-retail/testdata/lines.csv")
	ergon("run", "--until-empty")

	cfg, err := config.Load(file, lookup)
	require.NoError(t, err)
	conn, err := app.Open(t.Context(), cfg.Bus, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		require.NoError(t, conn.Close(ctx))
	}()
	f := figures{map[string]int{}, map[string]int64{}, map[string]int{}, map[string]retail.Scored{}}
	require.NoError(t, conn.Scan(t.Context(), "RETAIL_OUT", nil, false, func(m *nats.Msg, _ bus.Meta) error {
		var scored retail.Scored
		dec := json.NewDecoder(bytes.NewReader(m.Data))
		dec.DisallowUnknownFields()
		require.NoError(t, dec.Decode(&scored))
		f.Count[m.Subject]++
		f.Pence[m.Subject] += scored.Pence
		f.Outputs[m.Header.Get("ce-causationid")] = scored
		return nil
	}))
	require.NoError(t, conn.Scan(t.Context(), "ERGON_DLQ", nil, false, func(m *nats.Msg, _ bus.Meta) error {
		f.Dead[m.Header.Get("Ergon-Dead-Reason")]++
		return nil
	}))
	return f
}
