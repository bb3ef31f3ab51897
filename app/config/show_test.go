package config_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

const shownFile = `app: ${NAME:-retail}
bus: { url: "nats://u:hunter2@h", name: nn }
admin: { token: hunter2 }
streams:
  S: { subjects: [s.>, "t.*"], max_age: 1m, description: "costs $${X}\n# no comment" }
dead_letters: { max_age: 24h }
tasks:
  score:
    source: { jetstream: { stream: S, subjects: [s.a] } }
    routes:
      "a/b:c": { jetstream: { stream: R, subject: r } }
    consumer:
      loop: &loop { concurrency: 3 }
    producer:
      loop: *loop
telemetry: { resource: { deployment.environment.name: staging, "yes: no": "off" }, traces: { ratio: 0.5 } }
`

func TestShowChanged(t *testing.T) {
	r := resolve(t, shownFile, config.Inputs{
		Env:   world("ERGON_ADMIN_TRAIL=7", "ERGON_TASKS_SCORE_CONSUMER_PROCESS_RETRY_TIMEOUT=20s"),
		Flags: []config.Flag{{Name: "--admin", Path: "admin.listen", Value: "off"}},
	})
	require.Equal(t, `app: retail # ergon.yaml:1
bus:
  url: "nats://xxxxx@h" # ergon.yaml:2
  name: nn # ergon.yaml:2
streams:
  S:
    subjects: [s.>, "t.*"] # ergon.yaml:5
    description: "costs $${X}\n# no comment" # ergon.yaml:5
    max_age: 1m # ergon.yaml:5
dead_letters:
  max_age: 24h # ergon.yaml:6
admin:
  listen: "off" # --admin
  token: xxxxx # ergon.yaml:3
  trail: 7 # $ERGON_ADMIN_TRAIL
telemetry:
  resource:
    deployment.environment.name: staging # ergon.yaml:16
    "yes: no": "off" # ergon.yaml:16
  traces:
    ratio: 0.5 # ergon.yaml:16
tasks:
  score:
    source:
      jetstream:
        stream: S # ergon.yaml:9
        subjects: [s.a] # ergon.yaml:9
    routes:
      a/b:c:
        jetstream:
          stream: R # ergon.yaml:11
          subject: r # ergon.yaml:11
    dead_letters:
      max_age: 24h # ergon.yaml:6
    consumer:
      loop:
        concurrency: 3 # ergon.yaml:13
      process:
        retry:
          timeout: 20s # $ERGON_TASKS_SCORE_CONSUMER_PROCESS_RETRY_TIMEOUT
    producer:
      loop:
        concurrency: 3 # ergon.yaml:13
`, r.YAML(true))
	require.Equal(t, "{} # all as by default\n", resolve(t, "", config.Inputs{}).YAML(true))
}

// All of it is what is in force, also where nothing is said, and a file again.
func TestShowAll(t *testing.T) {
	r := resolve(t, shownFile, config.Inputs{})
	text := r.YAML(false)
	for _, line := range []string{
		"  connect_timeout: 5s # default", "    storage: file # default", "    duplicates: 1m # default", "        durable: score # default", "        ack_wait: 10s # default",
		"        max_ack_pending: 16384 # default", "    exporter: none # default", "    sampler: parentbased_traceidratio # default", "  listen: 127.0.0.1:9400 # default",
		"  sensitive: [authorization, proxy-authorization, cookie, set-cookie, \"*token*\", \"*secret*\", \"*password*\", \"*api-key*\"] # default", "          max_attempts: 8 # default", "  pprof: false # default",
	} {
		require.Contains(t, text, "\n"+line+"\n")
	}
	for line := range strings.Lines(text) {
		require.Regexp(t, `^ *[^ ].*:$| # (default|ergon\.yaml:\d+)$`, strings.TrimSuffix(line, "\n"))
	}
	again, err := config.Parse("again.yaml", []byte(text), none)
	require.NoError(t, err)
	require.Equal(t, r.Config.Tasks["score"].Consumer, again.Tasks["score"].Consumer)
	require.Equal(t, r.Config.Tasks["score"].Routes, again.Tasks["score"].Routes)
	require.Equal(t, r.Config.Streams["S"].Subjects, again.Streams["S"].Subjects)
	require.Equal(t, r.Config.Streams["S"].Description, again.Streams["S"].Description)
	require.Equal(t, r.Config.Telemetry.Resource, again.Telemetry.Resource)
}

func TestValues(t *testing.T) {
	r := resolve(t, "admin: { trail: 7 }", config.Inputs{})
	data, err := json.Marshal(r.Values())
	require.NoError(t, err)
	require.Contains(t, string(data), `{"path":"admin.trail","value":7,"origin":{"kind":"file","file":"ergon.yaml","line":1,"column":17}}`)
	require.Contains(t, string(data), `{"path":"dead_letters.replicas","value":1,"origin":{"kind":"default"}}`)
	seen := map[string]bool{}
	for _, v := range r.Values() {
		require.False(t, seen[v.Path], v.Path)
		seen[v.Path] = true
	}
}
