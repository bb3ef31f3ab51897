package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ergon-framework/ergon/bus"
)

// Topology is the streams that have to exist before tasks run, in alphabetical
// order: those that are declared, as they are declared, and those that are only
// named by sources and routes, with the subjects that these name. The streams of
// dead letters are not among them: see DeadLetterStreams. Call it on a valid Config.
func (c *Config) Topology() []bus.Stream {
	dead := c.deadSubjects()
	var out []bus.Stream
	for _, s := range c.streams() {
		if _, is := dead[s.Name]; !is {
			out = append(out, s)
		}
	}
	return out
}

// DeadLetterStreams is the streams that dead letters go to, in alphabetical order:
// as they are declared under streams, or else with the subjects of all that are
// stored in them.
func (c *Config) DeadLetterStreams() []bus.Stream {
	dead := c.deadSubjects()
	out := make([]bus.Stream, 0, len(dead))
	for _, name := range slices.Sorted(maps.Keys(dead)) {
		s, declared := c.Streams[name]
		if !declared {
			d := c.deadLettersOf(name)
			s = bus.Stream{
				Name: name, Subjects: union(dead[name]), Retention: bus.RetentionLimits,
				Storage: d.Storage, MaxAge: d.MaxAge.D(), MaxBytes: d.MaxBytes, Replicas: d.Replicas,
			}
		}
		out = append(out, s)
	}
	return out
}

// deadSubjects is what is stored in each stream of dead letters.
func (c *Config) deadSubjects() map[string][]string {
	out := map[string][]string{c.DeadLetters.Stream: {c.DeadLetters.Subject + ".>"}}
	for _, t := range c.Tasks {
		out[t.DeadLetters.Stream] = append(out[t.DeadLetters.Stream], t.DeadLetters.Subject+".>")
	}
	return out
}

// deadLettersOf is the first that name a stream.
func (c *Config) deadLettersOf(stream string) DeadLetters {
	if c.DeadLetters.Stream != stream {
		for _, name := range c.TaskNames() {
			if d := c.Tasks[name].DeadLetters; d.Stream == stream {
				return d
			}
		}
	}
	return c.DeadLetters
}

// streams is every stream that is declared or named by a source or a route.
func (c *Config) streams() []bus.Stream {
	subjects := map[string][]string{}
	for name := range c.Streams {
		subjects[name] = nil
	}
	for _, u := range c.uses() {
		subjects[u.stream] = append(subjects[u.stream], u.subjects...)
	}
	out := make([]bus.Stream, 0, len(subjects))
	for _, name := range slices.Sorted(maps.Keys(subjects)) {
		s, declared := c.Streams[name]
		if !declared {
			s = bus.Stream{Name: name, Subjects: union(subjects[name])}
		}
		out = append(out, s)
	}
	return out
}

// use is one place that names a stream.
type use struct {
	stream   string
	subjects []string
	at       path
	place    func(i int) path // of a subject
	source   bool
}

// uses is all of them, by task, the source first.
func (c *Config) uses() []use {
	var out []use
	for _, name := range c.TaskNames() {
		t, at := c.Tasks[name], path{"tasks", name}
		if s := t.Source.JetStream; s != nil {
			p := at.key("source").key("jetstream")
			out = append(out, use{s.Stream, s.Subjects, p, p.key("subjects").item, true})
			if t.Source.Stores() && t.Source.HTTP.Subject != "" {
				h := at.key("source").key("http")
				out = append(out, use{s.Stream, []string{t.Source.HTTP.Subject}, h, func(int) path { return h.key("subject") }, false})
			}
		}
		for _, route := range t.RouteNames() {
			if r := t.Routes[route].JetStream; r != nil {
				p := at.key("routes").key(route).key("jetstream")
				out = append(out, use{r.Stream, []string{r.Subject}, p, func(int) path { return p.key("subject") }, false})
			}
		}
	}
	return out
}

// placeOf is where a stream that has a subject was given it.
func (c *Config) placeOf(stream, subject string) path {
	if s, declared := c.Streams[stream]; declared {
		return path{"streams", stream, "subjects"}.item(slices.Index(s.Subjects, subject))
	}
	for _, u := range c.uses() {
		if i := slices.Index(u.subjects, subject); i >= 0 && u.stream == stream {
			return u.place(i)
		}
	}
	return path{"tasks"}
}

// across holds the parts against each other.
func (v *validator) across(c *Config) {
	v.stored(c)
	v.disjoint(c)
	v.loops(c)
	v.durables(c)
	v.deadStreams(c)
	v.parkedStream(c)
	v.listening(c)
}

// stored checks that each subject is stored by its stream.
func (v *validator) stored(c *Config) {
	dead := c.deadSubjects()
	known := map[string]bool{}
	for _, u := range c.uses() {
		known[u.stream] = known[u.stream] || len(u.subjects) > 0
	}
	for _, u := range c.uses() {
		s, declared := c.Streams[u.stream]
		if !declared && dead[u.stream] != nil {
			s, declared = bus.Stream{Name: u.stream, Subjects: union(dead[u.stream])}, true
		}
		switch {
		case !declared && !known[u.stream]:
			v.fail(u.at, "nothing says which subjects stream %q stores: name subjects here, or declare the stream under streams", u.stream)
		case declared:
			for i, subject := range u.subjects {
				if _, ok := coveredBy(s.Subjects, subject); !ok {
					v.fail(u.place(i), "stream %q does not store %q: it is declared with %q", u.stream, subject, s.Subjects)
				}
			}
		}
	}
}

// disjoint checks that no subject is stored by two streams, or twice by one, which
// the server refuses.
func (v *validator) disjoint(c *Config) {
	streams := c.streams()
	for i, s := range streams {
		for _, other := range streams[:i] {
			if a, b, found := overlapping(other.Subjects, s.Subjects); found {
				v.fail(c.placeOf(s.Name, b), "streams %q and %q %s: a subject belongs to one stream", other.Name, s.Name, both(a, b))
			}
		}
		if _, declared := c.Streams[s.Name]; declared {
			continue
		}
		for j, b := range s.Subjects {
			for _, a := range s.Subjects[:j] {
				if overlap(a, b) {
					v.fail(c.placeOf(s.Name, b), "%q and %q overlap, and stream %q stores nothing twice: declare it under streams, with a subject that covers both", a, b, s.Name)
				}
			}
		}
	}
}

// both says how the subjects of two streams meet.
func both(a, b string) string {
	if a == b {
		return fmt.Sprintf("both store %q", a)
	}
	return fmt.Sprintf("overlap, with %q and %q", a, b)
}
