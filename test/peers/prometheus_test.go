package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// observe is where the files of the compose profile are.
const observe = "../../deploy/observe"

// prometheus is a running Prometheus.
type prometheus struct {
	*process
	url string
}

// startPrometheus runs it with the configuration and the rules of the compose profile.
// Two things are other than there: the targets, and that nobody has ten seconds.
func startPrometheus(t *testing.T, targets ...string) *prometheus {
	t.Helper()
	dir, address := t.TempDir(), freePort(t)
	var config map[string]any
	data, err := os.ReadFile(filepath.Join(observe, "prometheus.yml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &config))
	config["global"] = map[string]any{"scrape_interval": "1s", "evaluation_interval": "1s"}
	jobs := config["scrape_configs"].([]any)
	require.Len(t, jobs, 1)
	job := jobs[0].(map[string]any)
	require.Contains(t, job, "dns_sd_configs")
	delete(job, "dns_sd_configs")
	job["static_configs"] = []any{map[string]any{"targets": targets}}
	data, err = yaml.Marshal(config)
	require.NoError(t, err)
	file := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	rules, err := os.ReadFile(filepath.Join(observe, "alerts.yml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "alerts.yml"), rules, 0o600))

	p := &prometheus{url: "http://" + address}
	p.process = start(t, dir, nil, installed(t, "prometheus"),
		"--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	p.listening(t, address)
	return p
}

// api asks Prometheus's HTTP API and reads what it answers.
func (p *prometheus) api(t *testing.T, path string, into any) error {
	t.Helper()
	body, status, err := fetch(t, p.url+path, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: %d: %s", path, status, body)
	}
	answer := struct{ Data any }{into}
	return json.Unmarshal(body, &answer)
}

// sample is one series of an answer.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

func (s sample) value(t *testing.T) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s.Value[1].(string), 64)
	require.NoError(t, err)
	return v
}

func (p *prometheus) query(t *testing.T, promql string) (samples []sample, err error) {
	t.Helper()
	var answer struct{ Result []sample }
	err = p.api(t, "/api/v1/query?query="+url.QueryEscape(promql), &answer)
	return answer.Result, err
}

// becomes polls until a query has this one number for an answer.
func (p *prometheus) becomes(t *testing.T, want float64, promql string) {
	t.Helper()
	eventually(t, func() error {
		samples, err := p.query(t, promql)
		if err != nil {
			return err
		}
		if len(samples) != 1 || samples[0].value(t) != want {
			return fmt.Errorf("%s is %v, not %v", promql, samples, want)
		}
		return nil
	})
}

// lint requires that Prometheus's linter has nothing against the names on a page.
func lint(t *testing.T, page []byte) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), installed(t, "promtool"), "check", "metrics")
	cmd.Stdin = bytes.NewReader(page)
	out, err := cmd.CombinedOutput()
	require.Empty(t, string(out))
	require.NoError(t, err)
}

// fetch gets a page.
func fetch(t *testing.T, address string, header http.Header) (body []byte, status int, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	if header != nil {
		req.Header = header
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return body, res.StatusCode, err
}
