package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// project is a project that `ergon new` wrote.
type project struct {
	t   *testing.T
	dir string
}

// do runs a program in the project, without a network, and returns what it prints.
func (p project) do(name string, args ...string) string {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), name, args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off", "GOFLAGS=", "ERGON_BUS_LISTEN=127.0.0.1:0", "ERGON_ADMIN_LISTEN=off", "ERGON_BUS_STORE="+filepath.Join(p.dir, "store"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(p.t, err, "%s %s\n%s%s", name, strings.Join(args, " "), out, stderr.String())
	return string(out)
}

// A new project builds, passes its own tests, and does what its README says, with no
// more than is in the module cache.
func TestNewProjectWorks(t *testing.T) {
	repo, err := filepath.Abs("..")
	require.NoError(t, err)
	w := newWorld(t)
	t.Chdir(w.dir)
	code, _, stderr := w.run("", "new", "shop", "--module", "example.com/acme/shop", "--replace", repo)
	require.Zero(t, code, stderr)
	p := project{t, filepath.Join(w.dir, "shop")}
	before, err := os.ReadFile(filepath.Join(p.dir, "go.mod"))
	require.NoError(t, err)
	p.do("go", "build", "./...")
	p.do("go", "vet", "./...")
	p.do("go", "test", "./...")
	require.Empty(t, p.do("gofmt", "-l", "."))
	after, err := os.ReadFile(filepath.Join(p.dir, "go.mod"))
	require.NoError(t, err)
	require.Equal(t, string(before), string(after), "its go.mod was complete")

	p.do("go", "build")
	shop := filepath.Join(p.dir, "shop")
	require.FileExists(t, shop)
	require.Contains(t, p.do(shop, "tx", "run", "price", "--payload", "testdata/order.json", "--dry-run"), `{"item":"mug","quantity":3,"cents":750}`)
	require.Contains(t, p.do(shop, "publish", "shop.orders", "--file", "testdata/orders.jsonl"), "published 3 to shop.orders")
	var told struct {
		Tasks []struct{ Succeeded, Dead, Outputs int64 }
	}
	require.NoError(t, json.Unmarshal([]byte(p.do(shop, "run", "--until-empty", "--json")), &told))
	require.Equal(t, []struct{ Succeeded, Dead, Outputs int64 }{{2, 1, 2}}, told.Tasks)
	require.Contains(t, p.do(shop, "dlq", "ls"), "quantity 0 is not positive")

	cfg := config.Default()
	cfg.Bus.Store, cfg.Bus.Listen = filepath.Join(p.dir, "store"), config.ListenOff
	conn, err := app.Open(t.Context(), cfg.Bus, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	var out []string
	require.NoError(t, jetstream.Scan(t.Context(), conn.Bus, "SHOP_OUT", nil, func(s jetstream.Stored) {
		f, err := jetstream.At(t.Context(), conn.Bus, "SHOP_OUT", s.Sequence)
		require.NoError(t, err)
		require.Equal(t, "shop.priced", f.Message.Subject)
		out = append(out, string(f.Payload()))
	}))
	require.ElementsMatch(t, []string{`{"item":"mug","quantity":3,"cents":750}`, `{"item":"plate","quantity":1,"cents":400}`}, out)
}
