package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/policy"
)

// The example of the design, as it stands there.
const example = `bus:
  url: embedded                    # or nats://…; a NATS context; creds, nkey, TLS files
tasks:
  score:
    source: { jetstream: { stream: RETAIL, subjects: [retail.lines], ack_wait: 10s } }
    routes:
      scored:    { jetstream: { stream: RETAIL_OUT, subject: retail.scored } }
      cancelled: { jetstream: { stream: RETAIL_OUT, subject: retail.cancelled } }
    consumer:
      loop:        { streaming: true, mode: continuous, concurrency: 256, window: 1024, limit: 0, timeout: 0s }
      fetch:       { batch: { size: 256 }, retry: { max_attempts: 5, backoff: 100ms, backoff_multiplier: 2, backoff_cap: 5s }, empty: { backoff: 50ms, backoff_multiplier: 2, backoff_cap: 1s } }
      transaction: { timeout: 5m, max_deliveries: 5, redeliver_over: 5s }
      process:     { retry: { max_attempts: 8, timeout: 30s, backoff: 200ms, backoff_multiplier: 3, backoff_cap: 1m, jitter: 0.2 }, bulkhead: { max_concurrency: 256 } }
      produce:     { retry: { max_attempts: 8, timeout: 5s, backoff: 100ms, backoff_multiplier: 2, backoff_cap: 10s } }
      success:     { retry: { max_attempts: 3, timeout: 5s } }
      exception:   { retry: { max_attempts: 3, timeout: 5s } }
`

func TestDesignExample(t *testing.T) {
	c := parse(t, example)
	want := config.Default()
	consumer := policy.DefaultConsumer()
	consumer.Process.Bulkhead.MaxConcurrency = 256
	want.Tasks = map[string]config.Task{"score": {
		Source: config.Source{JetStream: &config.JetStreamSource{Consumer: bus.Consumer{
			Stream: "RETAIL", Durable: "score", Subjects: []string{"retail.lines"}, AckWait: 10 * time.Second,
		}}, Trace: config.TraceParent},
		Routes: map[string]config.Route{
			"scored":    {JetStream: &config.JetStreamRoute{Stream: "RETAIL_OUT", Subject: "retail.scored"}},
			"cancelled": {JetStream: &config.JetStreamRoute{Stream: "RETAIL_OUT", Subject: "retail.cancelled"}},
		},
		DeadLetters: want.DeadLetters,
		Consumer:    consumer,
		Producer:    policy.DefaultProducer(),
	}}
	require.Equal(t, &want, c)
	require.Equal(t, []string{"score"}, c.TaskNames())
	require.Equal(t, []string{"cancelled", "scored"}, c.Tasks["score"].RouteNames())
	require.Empty(t, c.Warnings())
	require.Equal(t, "app ergon on embedded name=ergon listen=127.0.0.1:4222; task score from RETAIL/score"+
		" to cancelled=retail.cancelled, scored=retail.scored", c.String())
}

func TestNothingSaid(t *testing.T) {
	want := config.Default()
	require.NoError(t, want.Validate())
	for _, text := range []string{
		"", "\n\n", "# nothing\n", "---\n", "---\n# nothing\n...\n", "%YAML 1.2\n---\n", "{}", "null", "~", "\ufeff",
		"app:\nbus: ~\nstreams: null\ndead_letters:\n", "bus: { url: , listen: }\n", "app: ${APP:-}\n",
	} {
		require.Equal(t, &want, parse(t, text), "%q", text)
	}
	require.Equal(t, map[string]config.Task{}, parse(t, "tasks: {}").Tasks)
}

func TestEveryKey(t *testing.T) {
	c := parse(t, `
app: retail
bus:
  url: "nats://a:4222,tls://b"
  name: n
  user: u
  password: p
  ca: ca.pem
  cert: c.pem
  key: k.pem
  domain: hub
  connect_timeout: 1m30s
  store: /var/lib/x
  listen: "off"
streams:
  S:
    subjects:
    - s.>
    description: what it is
    storage: memory
    retention: workqueue
    discard: new
    max_age: 24h
    max_bytes: 1_000_000
    max_msgs: 0x10
    replicas: 3
    duplicates: 0.5
    allow_schedules: true
    allow_ttl: True
    allow_atomic: true
dead_letters: { stream: DEAD, subject: dead, storage: memory, max_age: 1h, max_bytes: 5, replicas: 1 }
parking: { stream: LATER, subject: later, storage: memory, replicas: 3 }
admin: { listen: "0.0.0.0:9401", token: t, pprof: true, allow_insecure: true, trail: 7 }
runner: { restarts: 9, backoff: 2s, backoff_cap: 1m, watchdog: 5m }
tasks:
  t:
    source:
      jetstream:
        stream: S
        durable: d
        subjects: [s.a, 's.b.*']
        description: x
        ack_wait: 30
        max_ack_pending: 7
        max_bytes: 1000
        deliver_policy: new
        memory_storage: true
      trace: link
    dead_letters: { subject: dead.t }
    consumer: { loop: { concurrency: 2 } }
    producer: { batch: { size: 7 }, loop: { mode: continuous } }
`)
	want := config.Config{
		App: "retail",
		Bus: config.Bus{
			Config: bus.Config{
				URL: "nats://a:4222,tls://b", Name: "n", User: "u", Password: "p", CA: "ca.pem", Cert: "c.pem", Key: "k.pem",
				Domain: "hub", ConnectTimeout: 90 * time.Second,
			},
			Store: "/var/lib/x", Listen: "off",
		},
		Streams: map[string]bus.Stream{"S": {
			Name: "S", Subjects: []string{"s.>"}, Description: "what it is", Storage: "memory", Retention: "workqueue", Discard: "new",
			MaxAge: 24 * time.Hour, MaxBytes: 1e6, MaxMsgs: 16, Replicas: 3, Duplicates: 500 * time.Millisecond,
			AllowSchedules: true, AllowTTL: true, AllowAtomic: true,
		}},
		DeadLetters: config.DeadLetters{Stream: "DEAD", Subject: "dead", Storage: "memory", MaxAge: policy.Duration(time.Hour), MaxBytes: 5, Replicas: 1},
		Parking:     config.Parking{Stream: "LATER", Subject: "later", Storage: "memory", Replicas: 3},
		Admin:       config.Admin{Listen: "0.0.0.0:9401", Token: "t", Pprof: true, AllowInsecure: true, Trail: 7},
		Runner: config.Runner{
			Restarts: 9, Backoff: policy.Duration(2 * time.Second), BackoffCap: policy.Duration(time.Minute), Watchdog: policy.Duration(5 * time.Minute),
		},
		Tasks: map[string]config.Task{"t": {
			Source: config.Source{JetStream: &config.JetStreamSource{Consumer: bus.Consumer{
				Stream: "S", Durable: "d", Subjects: []string{"s.a", "s.b.*"}, Description: "x",
				AckWait: 30 * time.Second, MaxAckPending: 7, DeliverPolicy: "new", MemoryStorage: true,
			}, MaxBytes: 1000}, Trace: config.TraceLink},
			DeadLetters: config.DeadLetters{Stream: "DEAD", Subject: "dead.t", Storage: "memory", MaxAge: policy.Duration(time.Hour), MaxBytes: 5, Replicas: 1},
			Consumer:    policy.DefaultConsumer(),
			Producer:    policy.DefaultProducer(),
		}},
	}
	task := want.Tasks["t"]
	task.Consumer.Loop.Concurrency = 2
	task.Producer.Batch.Size, task.Producer.Loop.Mode = 7, policy.ModeContinuous
	want.Tasks["t"] = task
	require.Equal(t, &want, c)
	require.Equal(t, bus.DeadLetterConfig{
		Stream: "DEAD", SubjectPrefix: "dead.t", Storage: "memory", MaxAge: time.Hour, MaxBytes: 5, Replicas: 1,
	}, task.DeadLetters.Config())
	require.Equal(t, bus.ParkingConfig{Stream: "LATER", SubjectPrefix: "later", Storage: "memory", Replicas: 3}, c.Parking.Config())
}

// What a task inherits is known wherever it stands in the file.
func TestDeadLettersAfterTasks(t *testing.T) {
	c := parse(t, "tasks: { t: { source: { jetstream: { stream: S, subjects: [s] } } } }\ndead_letters: { stream: D }\n")
	require.Equal(t, config.DeadLetters{Stream: "D", Subject: "ergon.dlq"}, c.Tasks["t"].DeadLetters)
}

func TestAliases(t *testing.T) {
	c := parse(t, `
tasks:
  a:
    source: { jetstream: &src { stream: S, subjects: [s.a], ack_wait: 7s } }
    consumer: &calm
      loop: &loop { concurrency: 3 }
      fetch: { extra: { "x.y": [1, { z: null }] } }
  b:
    source: { jetstream: { <<: *src, subjects: [s.b] } }
    consumer: *calm
  c:
    source: { jetstream: { subjects: [s.c], <<: [*src] } }
    consumer: { loop: { <<: *loop, window: 30 } }
`)
	require.Equal(t, 7*time.Second, c.Tasks["b"].Source.JetStream.AckWait)
	require.Equal(t, []string{"s.b"}, c.Tasks["b"].Source.JetStream.Subjects)
	require.Equal(t, "b", c.Tasks["b"].Source.JetStream.Durable)
	require.Equal(t, "a", c.Tasks["a"].Source.JetStream.Durable)
	require.Equal(t, "S", c.Tasks["c"].Source.JetStream.Stream)
	require.Equal(t, c.Tasks["a"].Consumer, c.Tasks["b"].Consumer)
	require.Equal(t, map[string]any{"x.y": []any{1.0, map[string]any{"z": nil}}}, c.Tasks["a"].Consumer.Fetch.Extra)
	require.Equal(t, 3, c.Tasks["c"].Consumer.Loop.Concurrency)
	require.Equal(t, 30, c.Tasks["c"].Consumer.Loop.Window)
}

func TestLineEndings(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", "\r"} {
		c := parse(t, "app: x"+end+"bus:"+end+"  store: y"+end)
		require.Equal(t, "x", c.App)
		require.Equal(t, "y", c.Bus.Store)
		require.Equal(t, []string{`2:3: bus.stor: unknown key "stor", did you mean "store"?`}, faults(t, "bus:"+end+"  stor: y"+end))
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]int64{"7": 7, "+7": 7, "0": 0, "0x1f": 31, "0o17": 15, "0b11": 3, "1_000": 1000} {
		c := parse(t, "streams: { S: { subjects: [s], max_msgs: "+text+" } }\ntasks: { t: { source: { jetstream: { stream: S } }, consumer: { loop: { limit: "+text+" } } } }")
		require.Equal(t, want, c.Streams["S"].MaxMsgs, text)
		require.Equal(t, want, c.Tasks["t"].Consumer.Loop.Limit, text)
	}
	c := parse(t, "tasks: { t: { source: { jetstream: { stream: S, subjects: [s] } }, consumer: { process: { retry: { jitter: .5, backoff_multiplier: +1.5e0 } } } } }")
	require.InDelta(t, 0.5, c.Tasks["t"].Consumer.Process.Retry.Jitter, 0)
	require.InDelta(t, 1.5, c.Tasks["t"].Consumer.Process.Retry.BackoffMultiplier, 0)
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		`x`: "x", `"x y"`: "x y", `'x'`: "x", `"\u00e9"`: "é", `12`: "12", `1e3`: "1e3", `"true"`: "true", `"null"`: "null",
		"|-\n    two\n    lines": "two\nlines", ">-\n    one\n    line": "one line", `2024-01-01`: "2024-01-01", `.inf`: ".inf", `a#b`: "a#b", `""`: "",
	} {
		require.Equal(t, want, parse(t, "bus:\n  name: "+text+"\n").Bus.Name, text)
	}
}
