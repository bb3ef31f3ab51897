package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

func TestValidate(t *testing.T) {
	const subject = `is not a subject: a dot stands between two tokens, and not at an end or beside another`
	for text, want := range map[string][]string{
		"app: a b\nbus: { url: nats://h, creds: a, token: b, password: c, cert: d, domain: a.b, listen: here }": {
			`1:6: app: "a b" is not the name of an application: it is 1 to 64 letters, digits, dots, dashes and underscores`,
			`2:1: bus: creds, nkey, user and token exclude one another: keep one`,
			`2:1: bus: password without user`,
			`2:1: bus: cert and key need each other`,
			`2:73: bus.domain: "a.b" is not one token of a subject`,
			`2:86: bus.listen: "here" is not an address: write host:port, or off for none`,
		},
		"bus: { url: ' ', listen: 'a:x' }": {
			`1:13: bus.url: an address is required: nats://host:4222, or embedded`,
			`1:26: bus.listen: "a:x" is not an address: write host:port, or off for none`,
		},
		"bus: { url: 'embedded,nats://h' }": {
			`1:13: bus.url: "embedded" is not an address: start an embedded server and connect in process`,
		},
		`streams:
  A: { subjects: [a.>, a.b, a.b], storage: disk, retention: x, discard: y, max_bytes: -1, max_msgs: -2, replicas: 6 }
  a.b: { subjects: ["b b"] }
  C:
`: {
			`2:24: streams.A.subjects[1]: "a.>" and "a.b" overlap: a stream stores nothing twice`,
			`2:29: streams.A.subjects[2]: "a.>" and "a.b" overlap: a stream stores nothing twice`,
			`2:44: streams.A.storage: "disk" is not known here: write file, memory`,
			`2:61: streams.A.retention: "x" is not known here: write limits, interest, workqueue`,
			`2:73: streams.A.discard: "y" is not known here: write old, new`,
			`2:87: streams.A.max_bytes: -1 is below 0`,
			`2:101: streams.A.max_msgs: -2 is below 0`,
			`2:115: streams.A.replicas: 6 is not between 0 and 5`,
			`3:3: streams."a.b": "a.b" is not the name of a stream: it has no spaces, dots, *, >, / or \`,
			`3:21: streams."a.b".subjects[0]: "b b" is not a subject: it holds white space or a control character`,
			`4:3: streams.C.subjects: a stream that is declared needs its subjects`,
		},
		"dead_letters: { stream: a b, subject: x.*, storage: z, replicas: 9, max_bytes: -1 }\ntasks: { t: { source: { jetstream: { stream: S } }, dead_letters: { subject: . } } }": {
			`1:25: dead_letters.stream: "a b" is not the name of a stream: it has no spaces, dots, *, >, / or \`,
			`1:39: dead_letters.subject: "x.*" has a wildcard: what is sent has one subject`,
			`1:53: dead_letters.storage: "z" is not known here: write file, memory`,
			`1:66: dead_letters.replicas: 9 is not between 0 and 5`,
			`1:80: dead_letters.max_bytes: -1 is below 0`,
			`2:78: tasks.t.dead_letters.subject: "." ` + subject,
		},
		`tasks:
  Score: {}
  a:
  b: { source: { jetstream: { stream: a.b, durable: x y, subjects: [a..b, '', .a, a.>.b, a*, ok], max_ack_pending: -1, deliver_policy: latest } } }
  c: { source: { jetstream: { subjects: [s, s.>, s.*] }, trace: child } }
  d:
    source: { jetstream: { stream: S, subjects: [s] } }
    routes: { r: , '': { jetstream: { stream: S, subject: s } }, x: { jetstream: { stream: S } }, y: { jetstream: { subject: s } } }
`: {
			`2:3: tasks.Score: "Score" is not the name of a task: it is 1 to 64 small letters, digits, dashes and underscores`,
			`2:3: tasks.Score.source: a source is required: write source: { jetstream: { stream: … } }`,
			`3:3: tasks.a.source: a source is required: write source: { jetstream: { stream: … } }`,
			`4:39: tasks.b.source.jetstream.stream: "a.b" is not the name of a stream: it has no spaces, dots, *, >, / or \`,
			`4:53: tasks.b.source.jetstream.durable: "x y" is not the name of a durable: it has no spaces, dots, *, >, / or \`,
			`4:69: tasks.b.source.jetstream.subjects[0]: "a..b" ` + subject,
			`4:75: tasks.b.source.jetstream.subjects[1]: a subject is required`,
			`4:79: tasks.b.source.jetstream.subjects[2]: ".a" ` + subject,
			`4:83: tasks.b.source.jetstream.subjects[3]: "a.>.b" is not a subject: > is its last token or none`,
			`4:90: tasks.b.source.jetstream.subjects[4]: "a*" is not a subject: a wildcard is a token by itself`,
			`4:116: tasks.b.source.jetstream.max_ack_pending: -1 is below 0`,
			`4:136: tasks.b.source.jetstream.deliver_policy: "latest" is not known here: write all, new, last, last_per_subject`,
			`5:18: tasks.c.source.jetstream.stream: a stream is required`,
			`5:50: tasks.c.source.jetstream.subjects[2]: "s.>" and "s.*" name the same messages: keep the wider one`,
			`5:65: tasks.c.source.trace: "child" is not known here: write parent, link`,
			`8:15: tasks.d.routes.r: a route needs somewhere to go: write r: { jetstream: { stream: …, subject: … } }, or { http: { url: … } }`,
			`8:20: tasks.d.routes."": "" is not the name of a route: it is 1 to 128 letters, digits, and . _ - / :`,
			`8:71: tasks.d.routes.x.jetstream.subject: a subject is required`,
			`8:104: tasks.d.routes.y.jetstream.stream: a stream is required`,
		},
		"parking: { stream: P, subject: p.*, storage: tape, replicas: 6 }\n" +
			"tasks: { t: { source: { jetstream: { stream: S, subjects: [s], ack_wait: 1ms, max_bytes: -1 } } } }": {
			`1:32: parking.subject: "p.*" has a wildcard: what is sent has one subject`,
			`1:46: parking.storage: "tape" is not known here: write file, memory`,
			`1:62: parking.replicas: 6 is not between 0 and 5`,
			`2:74: tasks.t.source.jetstream.ack_wait: 1ms is below 100ms: a lease has to outlast a few round trips to be kept`,
			`2:90: tasks.t.source.jetstream.max_bytes: -1 is below 0`,
		},
		"parking: { stream: S, subject: s }\ntasks: { t: { source: { jetstream: { stream: S, subjects: [x] } } } }": {
			`2:46: tasks.t.source.jetstream.stream: stream "S" is where transactions wait for their next attempt (parking.stream): take another`,
		},
		"tasks: { " + strings.Repeat("a", 65) + ": { source: { jetstream: { stream: S, subjects: [s] } } } }": {
			`1:10: tasks.` + strings.Repeat("a", 65) + `: "` + strings.Repeat("a", 60) + `…" is not the name of a task: it is 1 to 64 small letters, digits, dashes and underscores`,
		},
	} {
		require.Equal(t, want, faults(t, text), "%s", text)
	}
}

// What a file cannot say, because a duration in it is never negative.
func TestValidateNegativeDurations(t *testing.T) {
	c := config.Default()
	c.Streams = map[string]bus.Stream{"S": {Name: "S", Subjects: []string{"s"}, MaxAge: -1, Duplicates: -time.Second}}
	c.DeadLetters.MaxAge = -2
	c.Bus.ConnectTimeout = -3
	require.EqualError(t, c.Validate(), strings.Join([]string{
		`bus.connect_timeout: -3ns is below 0`,
		`streams.S.max_age: -1ns is below 0`,
		`streams.S.duplicates: -1s is below 0`,
		`dead_letters.max_age: -2ns is below 0`,
	}, "\n"))
}
