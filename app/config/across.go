package config

// loops checks that no task is fed by its own outputs.
func (v *validator) loops(c *Config) {
	for _, name := range c.TaskNames() {
		t := c.Tasks[name]
		s := t.Source.JetStream
		if s == nil {
			continue
		}
		for _, route := range t.RouteNames() {
			r := t.Routes[route].JetStream
			if r == nil || r.Stream != s.Stream {
				continue // another stream stores other subjects
			}
			at := path{"tasks", name, "routes", route, "jetstream", "subject"}
			if len(s.Subjects) == 0 {
				v.fail(at, "route %q would feed its own task: the source takes all of stream %q: name its subjects, or send elsewhere", route, s.Stream)
			} else if by, found := coveredBy(s.Subjects, r.Subject); found {
				v.fail(at, "route %q would feed its own task: %q is taken by the source's subject %q", route, r.Subject, by)
			}
		}
	}
}

// durables checks that no two tasks share a consumer: each would get a part of the
// messages.
func (v *validator) durables(c *Config) {
	seen := map[[2]string]string{}
	for _, name := range c.TaskNames() {
		s := c.Tasks[name].Source.JetStream
		if s == nil {
			continue
		}
		key := [2]string{s.Stream, s.Durable}
		if other, twice := seen[key]; twice {
			v.fail(path{"tasks", name, "source", "jetstream", "durable"},
				"tasks %q and %q both use durable %q of stream %q: each would get a part of the messages", other, name, s.Durable, s.Stream)
			continue
		}
		seen[key] = name
	}
}

// deadStreams checks that a stream of dead letters stores them, and that all who
// use it want the same stream.
func (v *validator) deadStreams(c *Config) {
	first := map[string]DeadLetters{c.DeadLetters.Stream: c.DeadLetters}
	check := func(p path, d DeadLetters) {
		if s, declared := c.Streams[d.Stream]; declared {
			if _, ok := coveredBy(s.Subjects, d.Subject+".>"); !ok {
				v.fail(p.key("subject"), "stream %q does not store %q: it is declared with %q", d.Stream, d.Subject+".>", s.Subjects)
			}
		}
		other, known := first[d.Stream]
		if !known {
			first[d.Stream] = d
			return
		}
		other.Subject = d.Subject
		if other != d {
			v.fail(p.key("stream"), "stream %q is described in two ways: give its storage, max_age, max_bytes and replicas once, under streams", d.Stream)
		}
	}
	check(path{"dead_letters"}, c.DeadLetters)
	for _, name := range c.TaskNames() {
		if d := c.Tasks[name].DeadLetters; d != c.DeadLetters {
			check(path{"tasks", name, "dead_letters"}, d)
		}
	}
}
