package peers

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// compose reads docker-compose.yml as docker-compose does.
func compose(t *testing.T, options ...cli.ProjectOptionsFn) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{"../../docker-compose.yml"}, options...)
	require.NoError(t, err)
	project, err := o.LoadProject(t.Context())
	require.NoError(t, err)
	return project
}

func servicesOf(p *types.Project) []string { return slices.Sorted(maps.Keys(p.Services)) }

// Without the profile there is what there was, and ergon sends nothing anywhere.
func TestComposeWithoutTheProfile(t *testing.T) {
	p := compose(t)
	require.Equal(t, []string{"ergon", "nats"}, servicesOf(p))
	require.Empty(t, *p.Services["ergon"].Environment["OTEL_EXPORTER_OTLP_ENDPOINT"])
	require.Empty(t, p.Services["ergon"].Ports, "the admin server is for this network alone")
}

// With it there are five services, and what one says of another is so.
func TestComposeWithTheProfile(t *testing.T) {
	all := []string{"collector", "ergon", "grafana", "nats", "prometheus"}
	require.Equal(t, all, servicesOf(compose(t, cli.WithProfiles([]string{"observe"}))))

	p := compose(t, cli.WithEnvFiles(filepath.Join(observe, "env")), cli.WithDotEnv, cli.WithDefaultProfiles())
	require.Equal(t, all, servicesOf(p), "the file names the profile")
	for _, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				require.FileExists(t, v.Source, s.Name)
				require.True(t, v.ReadOnly, v.Source)
			}
		}
		for _, port := range s.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, "%s is not for others to reach", s.Name)
		}
	}
	env := p.Services["ergon"].Environment
	require.Equal(t, "http://collector:4317", *env["OTEL_EXPORTER_OTLP_ENDPOINT"])

	// The collector listens there, with parts that there are.
	run(t, nil, program(t, "collector"), "validate", "--config", filepath.Join(observe, "collector.yaml"))
	var collector struct {
		Receivers struct {
			OTLP struct {
				Protocols map[string]struct{ Endpoint string }
			}
		}
	}
	read(t, "collector.yaml", &collector)
	require.Equal(t, "0.0.0.0:4317", collector.Receivers.OTLP.Protocols["grpc"].Endpoint)

	// Prometheus looks for ergon where that listens.
	var prometheus struct {
		ScrapeConfigs []struct {
			DNS []struct {
				Names []string
				Port  string
			} `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
	}
	read(t, "prometheus.yml", &prometheus)
	sd := prometheus.ScrapeConfigs[0].DNS[0]
	_, port, err := net.SplitHostPort(*env["ERGON_ADMIN_LISTEN"])
	require.NoError(t, err)
	require.Equal(t, port, sd.Port)
	require.Equal(t, []string{"ergon"}, sd.Names)

	// Grafana finds Prometheus, and the dashboard.
	var sources struct {
		DataSources []struct{ URL string } `yaml:"datasources"`
	}
	read(t, "grafana/datasources.yaml", &sources)
	require.Equal(t, "http://prometheus:9090", sources.DataSources[0].URL)
	var boards struct {
		Providers []struct{ Options struct{ Path string } }
	}
	read(t, "grafana/dashboards.yaml", &boards)
	require.True(t, slices.ContainsFunc(p.Services["grafana"].Volumes, func(v types.ServiceVolumeConfig) bool {
		return filepath.Dir(v.Target) == boards.Providers[0].Options.Path && filepath.Base(v.Source) == "ergon.json"
	}), "the dashboard is mounted where the provider looks")
}

// read reads a YAML file of the profile.
func read(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(observe, name))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, into))
}
