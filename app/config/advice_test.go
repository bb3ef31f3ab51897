package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

// advised is a task with an output; what is added to it stands behind its routes.
func advised(streams, source, more string) string {
	return "streams: {" + streams + "}\ntasks:\n  t:\n    source: { jetstream: { stream: S, subjects: [s.a]" + source + " } }\n" +
		"    routes: { r: { jetstream: { stream: OUT, subject: out } } }\n" + more
}

// Each is told of once, with its place and what to do, and is silent where it is right.
func TestAdvice(t *testing.T) {
	const declared = "S: { subjects: [s.>]"
	for name, test := range map[string]struct {
		text  string
		want  string // "" is silence
		place string
	}{
		"a worst case": {
			advised("", "", "    consumer: { transaction: { timeout: 3m } }"),
			"tasks.t.consumer.transaction.timeout: in the worst case the phases take 3m47s: process 2m39s (5 attempts of 30s and their waits), produce 52.7s (8 attempts of 5s and their waits), success 15.3s (3 attempts of 5s and their waits); at 3m the transaction is cut off, and the attempts that are left are never made: set it to 3m47s or more, or allow fewer or shorter attempts",
			"ergon.yaml:6",
		},
		"a worst case without parking": {
			advised("", "", "    consumer: { shutdown: { grace: 2m }, transaction: { redeliver_over: 0s }, process: { retry: { max_attempts: 4, timeout: 2m, jitter: 0 } } }"),
			"tasks.t.consumer.transaction.timeout: in the worst case the phases take 9m11s: process 8m3s (4 attempts of 2m and their waits), produce 52.7s (8 attempts of 5s and their waits), success 15.3s (3 attempts of 5s and their waits); at 5m the transaction is cut off, and the attempts that are left are never made: set it to 9m11s or more, or allow fewer or shorter attempts",
			"ergon.yaml:6",
		},
		"a worst case that fits":       {advised("", "", "    consumer: { transaction: { timeout: 4m } }"), "", ""},
		"a transaction without an end": {advised("", "", "    consumer: { transaction: { timeout: 0s }, process: { retry: { max_attempts: 1000000, timeout: 20s } } }"), "", ""},
		"attempts without an end":      {advised("", "", "    consumer: { process: { retry: { timeout: 0s } } }"), "", ""},
		"a worst case of a producer": {
			advised("", "", "    producer: { transaction: { timeout: 1m } }"),
			"tasks.t.producer.transaction.timeout: in the worst case the phases take 1m8s: produce 52.7s (8 attempts of 5s and their waits), success 15.3s (3 attempts of 5s and their waits); at 1m the transaction is cut off, and the attempts that are left are never made: set it to 1m8s or more, or allow fewer or shorter attempts",
			"ergon.yaml:6",
		},
		"a window": {
			advised("", "", "    consumer: { process: { retry: { backoff_cap: 10m, max_attempts: 10 } } }"),
			`tasks.t.routes.r.jetstream.stream: stream "OUT" knows an output again for 2m, and task "t" may send it again after 12m10s: ack_wait 10s, and a wait of up to 12m before a retry; it would be stored twice: set streams.OUT.duplicates to 12m10s or more, or lower process.retry.backoff_cap`,
			"ergon.yaml:5",
		},
		"a window that the lease alone is longer than": {
			advised("", ", ack_wait: 3m", ""),
			`tasks.t.routes.r.jetstream.stream: stream "OUT" knows an output again for 2m, and task "t" may send it again after 4m12s: ack_wait 3m, and a wait of up to 1m12s before a retry; it would be stored twice: set streams.OUT.duplicates to 4m12s or more, or lower source.jetstream.ack_wait and process.retry.backoff_cap`,
			"ergon.yaml:5",
		},
		"a declared window": {
			advised("OUT: { subjects: [out], duplicates: 30s }", "", ""),
			`streams.OUT.duplicates: stream "OUT" knows an output again for 30s, and task "t" may send it again after 1m22s: ack_wait 10s, and a wait of up to 1m12s before a retry; it would be stored twice: set streams.OUT.duplicates to 1m22s or more, or lower process.retry.backoff_cap`,
			"ergon.yaml:1",
		},
		"a window of what lives shortly": {
			advised("OUT: { subjects: [out], max_age: 1m }", "", ""),
			`streams.OUT.duplicates: stream "OUT" knows an output again for 1m, and task "t" may send it again after 1m22s: ack_wait 10s, and a wait of up to 1m12s before a retry; it would be stored twice: set streams.OUT.duplicates to 1m22s or more, or lower process.retry.backoff_cap`,
			"ergon.yaml:1",
		},
		"a window that is long enough": {advised("OUT: { subjects: [out], duplicates: 15m }", "", "    consumer: { process: { retry: { backoff_cap: 10m, max_attempts: 10 } } }"), "", ""},
		"parked": {
			advised("ERGON_PARKED: { subjects: [ergon.parked.>], max_age: 1m }", "", ""),
			`streams.ERGON_PARKED.max_age: transactions wait in this stream for their next attempt (parking.stream), those of task "t" for up to 1m12s, and after 1m they are dropped: leave max_age out: what is parked leaves the stream by itself`,
			"ergon.yaml:1",
		},
		"parked for less":   {advised("ERGON_PARKED: { subjects: [ergon.parked.>], max_age: 1h }", "", ""), "", ""},
		"nothing is parked": {advised("ERGON_PARKED: { subjects: [ergon.parked.>], max_age: 1m }", "", "    consumer: { transaction: { redeliver_over: 0s, timeout: 0s } }"), "", ""},
		"discards": {
			advised(declared+", max_msgs: 100, max_bytes: 5 }", "", ""),
			`streams.S.discard: at max_msgs 100 and max_bytes 5 the stream drops its oldest messages, also those that task "t" has not done: set discard: new, so that who publishes is told instead, or use a limit that a backlog does not reach`,
			"ergon.yaml:1",
		},
		"refuses": {advised(declared+", max_msgs: 100, discard: new }", "", ""), "", ""},
		"a short life": {
			advised(declared+", max_age: 1m }", "", ""),
			`streams.S.max_age: after 1m the stream drops a message, also while task "t" works on it, which may take 5m (transaction.timeout): set it to 5m or more: a backlog waits longer still`,
			"ergon.yaml:1",
		},
		"a long life": {advised(declared+", max_age: 24h }", "", ""), "", ""},
		"pending": {
			advised("", ", max_ack_pending: 255", ""),
			"tasks.t.source.jetstream.max_ack_pending: the server has no more than 255 deliveries unacknowledged, over all instances, and concurrency of one ask for 256: workers stand idle: raise it to 256 or more for each instance, or lower concurrency",
			"ergon.yaml:4",
		},
		"pending and prefetched": {
			advised("", ", max_ack_pending: 299", "    consumer: { loop: { prefetch: 44 } }"),
			"tasks.t.source.jetstream.max_ack_pending: the server has no more than 299 deliveries unacknowledged, over all instances, and concurrency and prefetch of one ask for 300: workers stand idle: raise it to 300 or more for each instance, or lower concurrency and prefetch",
			"ergon.yaml:4",
		},
		"enough pending": {advised("", ", max_ack_pending: 300", "    consumer: { loop: { prefetch: 44 } }"), "", ""},
		"a grace": {
			advised("", "", "    consumer: { shutdown: { grace: 20s } }"),
			"tasks.t.consumer.shutdown.grace: a stop waits 20s, and an attempt of process may take 30s: one that is cut off is done again from its beginning: set it to 30s or more, and give the orchestrator more than that before it kills, or lower process.retry.timeout",
			"ergon.yaml:6",
		},
		"a grace by default": {
			advised("", "", "    consumer: { transaction: { timeout: 10m }, process: { retry: { timeout: 45s } } }"),
			"tasks.t.consumer.shutdown.grace: a stop waits 25s, and an attempt of process may take 45s: one that is cut off is done again from its beginning: set it to 45s or more, and give the orchestrator more than that before it kills, or lower process.retry.timeout",
			"ergon.yaml:6",
		},
		"no grace":       {advised("", "", "    consumer: { shutdown: { grace: 0s } }"), "", ""},
		"all by default": {advised("", "", ""), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := resolve(t, test.text, config.Inputs{})
			if test.want == "" {
				require.Empty(t, r.Config.Warnings())
				return
			}
			require.Equal(t, []string{test.want}, r.Config.Warnings())
			all := r.Warnings()
			require.Len(t, all, 1)
			require.Equal(t, test.place, all[0].Origin.String())
		})
	}
}
