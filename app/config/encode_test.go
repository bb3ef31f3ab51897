package config_test

import (
	"encoding/json"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

func TestMarshal(t *testing.T) {
	c := parse(t, `
app: retail
bus: { url: "nats://u:hunter2@h", connect_timeout: 90 }
admin: { listen: ":9400", token: hunter2 }
streams: { S: { subjects: [s.>], max_age: 24h, description: "costs $${X}" } }
tasks: { t: { source: { jetstream: { stream: S, ack_wait: 10s } }, consumer: { fetch: { extra: { a: "$${X}", b: [1, "$${Y}", ~] } } } } }
`)
	document, err := yaml.Marshal(c)
	require.NoError(t, err)
	require.Contains(t, string(document), `app: retail
bus:
  url: nats://xxxxx@h
  connect_timeout: 1m30s
  listen: 127.0.0.1:4222
streams:
  S:
    subjects:
    - s.>
    description: costs $${X}
    max_age: 24h
dead_letters:
  stream: ERGON_DLQ
  subject: ergon.dlq
  storage: ""
  max_age: 0s
  max_bytes: 0
  replicas: 0
parking:
  stream: ERGON_PARKED
  subject: ergon.parked
admin:
  listen: :9400
  token: xxxxx
  trail: 1024
runner:
  restarts: 5
  backoff: 1s
  backoff_cap: 30s
  watchdog: 1m
tasks:
  t:
    source:
      jetstream:
        stream: S
        durable: t
        ack_wait: 10s
      trace: parent
    dead_letters:
`)
	again := parse(t, string(document))
	want := *c
	want.Bus, want.Admin = want.Bus.Redacted(), want.Admin.Redacted()
	require.Equal(t, &want, again)
	require.Equal(t, map[string]any{"a": "${X}", "b": []any{1.0, "${Y}", nil}}, again.Tasks["t"].Consumer.Fetch.Extra)

	document, err = json.Marshal(c)
	require.NoError(t, err)
	require.Equal(t, &want, parse(t, string(document)), "JSON is YAML")
}

// What was parsed and written is parsed to the same, for whatever is valid.
func checkRoundTrip(t *testing.T, c *config.Config) {
	t.Helper()
	document, err := yaml.Marshal(c)
	require.NoError(t, err)
	again, err := config.Parse("again", document, none)
	require.NoError(t, err, "%s", document)
	want := *c
	want.Bus, want.Admin = want.Bus.Redacted(), want.Admin.Redacted()
	require.Equal(t, want.Bus, again.Bus, "%s", document)
	require.Equal(t, want.Admin, again.Admin, "%s", document)
	require.Equal(t, want.Topology(), again.Topology())
	require.Equal(t, want.DeadLetterStreams(), again.DeadLetterStreams())
	require.Equal(t, want.TaskNames(), again.TaskNames())
}
