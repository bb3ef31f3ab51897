package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/ergon-framework/ergon/bus"
)

// asComposed is the environment that docker-compose.yml gives ergon, with the addresses
// of this machine in the place of the network's.
func asComposed(t *testing.T, p *types.Project, addresses map[string]string) (env []string) {
	t.Helper()
	for name, value := range p.Services["ergon"].Environment {
		require.NotNil(t, value, name)
		v := *value
		if address, ok := addresses[name]; ok && v != "" {
			v = address
		}
		env = append(env, name+"="+v)
	}
	return env
}

// Without the profile ergon is told of no receiver: it looks for none, and has nothing
// to say of any.
func TestErgonWithoutTheProfile(t *testing.T) {
	w, a := newWorld(t), freePort(t)
	w.publish(t, mixed()...)
	retail := w.retail(t, asComposed(t, compose(t), map[string]string{"ERGON_BUS_URL": w.url, "ERGON_ADMIN_LISTEN": a}))
	w.await(t, mixedScored+mixedCancelled, "RETAIL_OUT", "retail.*", retail)
	page, _, err := fetch(t, "http://"+a+"/metrics", nil)
	require.NoError(t, err)
	require.Contains(t, samples(page), "ergon_transactions_total")
	retail.stop(t)
	require.NotContains(t, retail.out.String(), "telemetry")
}

// With it the collector shows spans and log records, and gets no metrics: those are
// Prometheus's to read.
func TestErgonWithTheProfile(t *testing.T) {
	var config map[string]any
	read(t, "collector.yaml", &config)
	grpc, dir := freePort(t), t.TempDir()
	config["receivers"] = map[string]any{"otlp": map[string]any{"protocols": map[string]any{"grpc": map[string]any{"endpoint": grpc}}}}
	data, err := yaml.Marshal(config)
	require.NoError(t, err)
	file := filepath.Join(dir, "collector.yaml")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	collector := start(t, dir, nil, program(t, "collector"), "--config", file)
	collector.listening(t, grpc)

	w, a := newWorld(t), freePort(t)
	w.publish(t, sent{id: "good-1", invoice: "700001", stock: "22041"}, sent{id: "bad-1", invoice: "700002", quantity: -1})
	p := compose(t, cli.WithEnvFiles(filepath.Join(observe, "env")), cli.WithDotEnv, cli.WithDefaultProfiles())
	retail := w.retail(t, asComposed(t, p, map[string]string{
		"ERGON_BUS_URL": w.url, "ERGON_ADMIN_LISTEN": a, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + grpc,
	}))
	w.await(t, 1, "RETAIL_OUT", "retail.scored", retail)
	w.await(t, 1, bus.DefaultDeadStream, "ergon.dlq.score", retail)
	page, _, err := fetch(t, "http://"+a+"/metrics", nil)
	require.NoError(t, err)
	require.Contains(t, samples(page), "ergon_transactions_total")
	retail.stop(t)
	eventually(t, func() error {
		for _, want := range []string{
			": transaction\n", "ergon.transaction.id: Str(good-1)", "ergon.transaction.id: Str(bad-1)",
			"transaction failed for good", "transaction: Str(bad-1)",
		} {
			if !strings.Contains(collector.out.String(), want) {
				return fmt.Errorf("the collector does not show %q", want)
			}
		}
		return nil
	})
	require.NotContains(t, collector.out.String(), "ergon.transactions.started")
	collector.stop(t)
}
