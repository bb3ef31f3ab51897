package config

import (
	"time"

	"github.com/ergon-framework/ergon/bus"
)

// minAckWait is the shortest lease that a sweep every third of it can keep up.
const minAckWait = 100 * time.Millisecond

func (v *validator) task(p path, name string, t Task, inherited DeadLetters) {
	if !taskName.MatchString(name) {
		v.fail(p, "%s is not the name of a task: it is 1 to 64 small letters, digits, dashes and underscores", quote(name))
	}
	v.use(p, t)
	if s := t.Source.JetStream; s != nil {
		v.source(p.key("source").key("jetstream"), *s)
	}
	switch {
	case t.Source.HTTP != nil:
		v.httpSource(p.key("source").key("http"), t.Source)
	case t.Source.JetStream == nil:
		v.need(p.key("source"), "a source is required: write source: { jetstream: { stream: … } }")
	}
	v.word(p.key("source").key("trace"), t.Source.Trace, TraceParent, TraceLink)
	for _, route := range t.RouteNames() {
		v.route(p.key("routes").key(route), route, t.Routes[route])
	}
	v.deadLetters(p.key("dead_letters"), t.DeadLetters, inherited)
	v.policy(p.key("consumer"), t.Consumer.Validate())
	v.policy(p.key("producer"), t.Producer.Validate())
}

func (v *validator) source(p path, s JetStreamSource) {
	v.name(p.key("stream"), "stream", s.Stream)
	v.name(p.key("durable"), "durable", s.Durable)
	v.subjects(p.key("subjects"), s.Subjects)
	for i, a := range s.Subjects {
		for _, b := range s.Subjects[:i] {
			// The server takes two filters that overlap in part, but none that is
			// a part of another.
			if checkSubject(a, true) == nil && checkSubject(b, true) == nil && (covers(a, b) || covers(b, a)) {
				v.fail(p.key("subjects").item(i), "%s and %s name the same messages: keep the wider one", quote(b), quote(a))
				break
			}
		}
	}
	v.word(p.key("deliver_policy"), s.DeliverPolicy, bus.DeliverAll, bus.DeliverNew, bus.DeliverLast, bus.DeliverLastPerSubject)
	v.duration(p.key("ack_wait"), s.AckWait)
	if s.AckWait > 0 && s.AckWait < minAckWait {
		v.fail(p.key("ack_wait"), "%s is below %s: a lease has to outlast a few round trips to be kept", s.AckWait, minAckWait)
	}
	v.count(p.key("max_ack_pending"), int64(s.MaxAckPending))
	v.count(p.key("max_bytes"), int64(s.MaxBytes))
}

func (v *validator) route(p path, name string, r Route) {
	if !routeName.MatchString(name) {
		v.fail(p, "%s is not the name of a route: it is 1 to 128 letters, digits, and . _ - / :", quote(name))
	}
	switch {
	case r.JetStream == nil && r.HTTP == nil:
		v.need(p, "a route needs somewhere to go: write %s: { jetstream: { stream: …, subject: … } }, or { http: { url: … } }", name)
		return
	case r.JetStream != nil && r.HTTP != nil:
		v.fail(p, "a route goes to one place: keep jetstream or http")
		return
	case r.HTTP != nil:
		v.httpSink(p.key("http"), *r.HTTP)
		return
	}
	at := p.key("jetstream")
	v.name(at.key("stream"), "stream", r.JetStream.Stream)
	if r.JetStream.Subject == "" {
		v.need(at.key("subject"), "a subject is required")
		return
	}
	v.check(at.key("subject"), checkSubject(r.JetStream.Subject, false))
}

func (v *validator) name(p path, what, name string) {
	if name == "" {
		v.need(p, "a %s is required", what)
		return
	}
	v.check(p, checkName(what, name))
}
