package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

const source = "{ source: { jetstream: "

func TestTopology(t *testing.T) {
	require.Empty(t, parse(t, "").Topology())
	c := parse(t, `
streams:
  RETAIL: { subjects: [retail.>], max_age: 24h }
  UNUSED: { subjects: [unused] }
tasks:
  a:
    source: { jetstream: { stream: RETAIL, subjects: [retail.lines, 'retail.x.*'] } }
    routes:
      b: { jetstream: { stream: OUT, subject: out.z } }
      c: { jetstream: { stream: OUT, subject: out.a } }
      d: { jetstream: { stream: OUT, subject: out.b.c } }
  b:
    source: { jetstream: { stream: OUT, subjects: [out.b.>, out.a] } }
  c:
    source: { jetstream: { stream: OUT } }
    dead_letters: { subject: dead.c }
  d:
    source: { jetstream: { stream: ERGON_DLQ, subjects: [dead.c.c] } }
    dead_letters: { stream: LAST, subject: last, storage: memory }
`)
	require.Equal(t, []bus.Stream{
		{Name: "OUT", Subjects: []string{"out.a", "out.b.>", "out.z"}},
		{Name: "RETAIL", Subjects: []string{"retail.>"}, MaxAge: 24 * time.Hour},
		{Name: "UNUSED", Subjects: []string{"unused"}},
	}, c.Topology())
	require.Equal(t, []bus.Stream{
		{Name: "ERGON_DLQ", Subjects: []string{"dead.c.>", "ergon.dlq.>"}, Retention: "limits"},
		{Name: "LAST", Subjects: []string{"last.>"}, Retention: "limits", Storage: "memory"},
	}, c.DeadLetterStreams())
	require.Empty(t, c.Warnings())

	c = parse(t, "streams: { ERGON_DLQ: { subjects: [ergon.dlq.>], max_age: 1h } }")
	require.Empty(t, c.Topology())
	require.Equal(t, []bus.Stream{{Name: "ERGON_DLQ", Subjects: []string{"ergon.dlq.>"}, MaxAge: time.Hour}}, c.DeadLetterStreams())
}

// What only shows when the parts are held against each other.
func TestAcross(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"not stored": {
			"streams: { S: { subjects: [s.*] } }\ntasks:\n  t: " + source + "{ stream: S, subjects: [s.a, s.a.b] } }, routes: { r: { jetstream: { stream: S, subject: t.a } } } }",
			[]string{
				`3:58: tasks.t.source.jetstream.subjects[1]: stream "S" does not store "s.a.b": it is declared with ["s.*"]`,
				`3:118: tasks.t.routes.r.jetstream.subject: stream "S" does not store "t.a": it is declared with ["s.*"]`,
			},
		},
		"unknown stream": {
			"tasks:\n  t: " + source + "{ stream: S } } }",
			[]string{`2:18: tasks.t.source.jetstream: nothing says which subjects stream "S" stores: name subjects here, or declare the stream under streams`},
		},
		"declared overlap": {
			"streams:\n  A: { subjects: [x, a.*] }\n  B: { subjects: [b, '*.b'] }",
			[]string{`3:22: streams.B.subjects[1]: streams "A" and "B" overlap, with "a.*" and "*.b": a subject belongs to one stream`},
		},
		"named overlap": {
			"tasks:\n  t: " + source + "{ stream: A, subjects: [x] } }, routes: { r: { jetstream: { stream: B, subject: x } } } }",
			[]string{`2:109: tasks.t.routes.r.jetstream.subject: streams "A" and "B" both store "x": a subject belongs to one stream`},
		},
		"mixed overlap": {
			"streams: { Z: { subjects: [x.>] } }\ntasks:\n  t: " + source + "{ stream: A, subjects: [x.y] } } }",
			[]string{`1:28: streams.Z.subjects[0]: streams "A" and "Z" overlap, with "x.y" and "x.>": a subject belongs to one stream`},
		},
		"overlap with itself": {
			"tasks:\n  t: " + source + "{ stream: A, subjects: ['*.b', a.*] } } }",
			[]string{`2:60: tasks.t.source.jetstream.subjects[1]: "*.b" and "a.*" overlap, and stream "A" stores nothing twice: declare it under streams, with a subject that covers both`},
		},
		"loop": {
			"tasks:\n  t: " + source + "{ stream: S, subjects: [a, s.*] } }, routes: { r: { jetstream: { stream: S, subject: s.r } }, ok: { jetstream: { stream: S, subject: b } } } }",
			[]string{`2:114: tasks.t.routes.r.jetstream.subject: route "r" would feed its own task: "s.r" is taken by the source's subject "s.*"`},
		},
		"loop through all": {
			"tasks:\n  t: " + source + "{ stream: S } }, routes: { r: { jetstream: { stream: S, subject: s.r } } } }",
			[]string{`2:94: tasks.t.routes.r.jetstream.subject: route "r" would feed its own task: the source takes all of stream "S": name its subjects, or send elsewhere`},
		},
		"durable": {
			"tasks:\n  a: " + source + "{ stream: S, subjects: [a] } } }\n  b: " + source + "{ stream: S, subjects: [b], durable: a } } }\n  c: " + source + "{ stream: T, subjects: [c], durable: a } } }",
			[]string{`3:66: tasks.b.source.jetstream.durable: tasks "a" and "b" both use durable "a" of stream "S": each would get a part of the messages`},
		},
		"dead letters elsewhere": {
			"streams: { ERGON_DLQ: { subjects: [dead.>] } }\ndead_letters: { subject: lost }",
			[]string{`2:26: dead_letters.subject: stream "ERGON_DLQ" does not store "lost.>": it is declared with ["dead.>"]`},
		},
		"dead letters twice": {
			"dead_letters: { max_age: 1h }\ntasks:\n  t: { dead_letters: { max_age: 2h }, source: { jetstream: { stream: S, subjects: [s] } } }",
			[]string{`3:8: tasks.t.dead_letters.stream: stream "ERGON_DLQ" is described in two ways: give its storage, max_age, max_bytes and replicas once, under streams`},
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, faults(t, test.text)) })
	}
}

func TestWarnings(t *testing.T) {
	c := parse(t, `
bus: { url: nats://h, store: x }
streams: { ALL: { subjects: [all.>, ergon.>] }, MINE: { subjects: [m.>] } }
tasks:
  a: { source: { jetstream: { stream: ALL, subjects: [all.a] } } }
  b: { source: { jetstream: { stream: MINE } }, dead_letters: { stream: MINE, subject: m.dead } }
  c: { source: { jetstream: { stream: MINE, subjects: ["m.*.c"] } }, dead_letters: { stream: MINE, subject: m.dead } }
  d: { source: { jetstream: { stream: MINE, subjects: [m.d] } }, dead_letters: { stream: MINE, subject: m.dead } }
`)
	require.Equal(t, []string{
		`bus.store: only the embedded server has a store, and bus.url is an address: it is ignored`,
		`tasks.a: dead letters go to "ergon.dlq.a", which its source's stream "ALL" stores as well, as "ergon.>": the server refuses a second stream for them`,
		`tasks.b: the task takes its own dead letters: they go to "m.dead.b" in stream "MINE", its source`,
		`tasks.c: the task takes its own dead letters: they go to "m.dead.c" in stream "MINE", its source`,
	}, c.Warnings())
}
