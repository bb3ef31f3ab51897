package peers

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type rule struct {
	Alert, Expr string
	Labels      map[string]string
	Annotations map[string]string
}

var annotationLabel = regexp.MustCompile(`\$labels\.(\w+)`)

func readAlerts(t *testing.T) (rules []rule) {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []rule }
	}
	data, err := os.ReadFile(filepath.Join(observe, "alerts.yml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &file))
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// Prometheus takes the files of the profile, and each alert fires when it should, and
// is silent when not.
func TestAlerts(t *testing.T) {
	promtool := installed(t, "promtool")
	run(t, nil, promtool, "check", "config", filepath.Join(observe, "prometheus.yml"))
	run(t, nil, promtool, "check", "rules", filepath.Join(observe, "alerts.yml"))
	run(t, nil, promtool, "test", "rules", filepath.Join(observe, "alerts_test.yml"))

	var unit struct {
		Tests []struct {
			Alerts []struct {
				Alert    string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	data, err := os.ReadFile(filepath.Join(observe, "alerts_test.yml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &unit))
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range unit.Tests {
		for _, a := range test.Alerts {
			fires[a.Alert] = fires[a.Alert] || len(a.Expected) > 0
			silent[a.Alert] = silent[a.Alert] || len(a.Expected) == 0
		}
	}
	for _, r := range readAlerts(t) {
		require.True(t, fires[r.Alert], "no test lets %s fire", r.Alert)
		require.True(t, silent[r.Alert], "no test has %s silent", r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.NotEmpty(t, r.Annotations["description"], r.Alert)
		require.True(t, slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]), r.Alert)
		delete(fires, r.Alert)
	}
	require.Empty(t, fires, "these are tested, and there are none")
}
