package config

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/policy"
)

// Warning is something that is allowed and probably not meant.
type Warning struct {
	// Path is the keys that lead to what it is about: tasks.score.consumer.shutdown.grace.
	Path string
	// Message says what will happen.
	Message string
	// Advice says what to do. It may be part of the message, and is empty then.
	Advice string
	// Origin is where the value comes from, or what is nearest above it. Only Resolved
	// knows it.
	Origin Origin
}

// MarshalJSON writes the path, the message, the advice and the place.
func (w Warning) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Path    string `json:"path"`
		Message string `json:"message"`
		Advice  string `json:"advice,omitempty"`
		Origin  Origin `json:"origin"`
	}{w.Path, w.Message, w.Advice, w.Origin})
}

// String is all of it in one line, but for the origin.
func (w Warning) String() string {
	s := w.Path + ": " + w.Message
	if w.Advice != "" {
		s += ": " + w.Advice
	}
	return s
}

// Warnings says what is allowed and probably not meant, each in one line. Call it
// on a valid Config.
func (c *Config) Warnings() []string {
	var out []string
	for _, w := range c.Advice() {
		out = append(out, w.String())
	}
	return out
}

// Advice is Warnings in parts. Call it on a valid Config.
func (c *Config) Advice() []Warning {
	a := &adviser{c: c}
	a.unused()
	for _, name := range c.TaskNames() {
		t := c.Tasks[name]
		if t.Source.JetStream == nil {
			continue
		}
		at := path{"tasks", name}
		a.ownLetters(name, t)
		a.discards(at, t)
		a.pending(at, t)
		a.consumerTimes(at, t)
		a.producerTimes(at, t)
		a.window(at, t)
		a.parkedFor(at, t)
	}
	return a.out
}

// Warnings is Advice of the configuration, with the place of each in the file.
func (r *Resolved) Warnings() []Warning {
	out := r.Config.Advice()
	for i, w := range out {
		out[i].Origin = r.Near(w.Path)
	}
	return out
}

// Near is where the value of a key comes from or, where nobody gave it, what is nearest
// above it, at last the file's first line.
func (r *Resolved) Near(key string) Origin {
	p := splitPath(key)
	o := r.origin(p)
	for o.IsDefault() && len(p) > 0 {
		p = p[:len(p)-1]
		if at := r.root.locate(p, place{}); at != (place{}) {
			o = r.from(at)
		}
	}
	if o.IsDefault() && r.file != "" {
		o = r.from(place{line: 1, column: 1})
	}
	return o
}

type adviser struct {
	c   *Config
	out []Warning
}

func (a *adviser) warn(p path, advice, format string, args ...any) {
	a.out = append(a.out, Warning{Path: p.String(), Message: safe(fmt.Sprintf(format, args...)), Advice: safe(advice)})
}

func (a *adviser) unused() {
	if b := a.c.Bus; !b.IsEmbedded() && b.Store != "" {
		a.warn(path{"bus", "store"}, "", "only the embedded server has a store, and bus.url is an address: it is ignored")
	}
}

// ownLetters looks for dead letters that come back to the task, or that its source's
// stream stores as well.
func (a *adviser) ownLetters(name string, t Task) {
	s, letters := t.Source.JetStream, t.DeadLetters.Subject+"."+name
	if t.DeadLetters.Stream == s.Stream {
		if _, taken := coveredBy(s.Subjects, letters); taken || len(s.Subjects) == 0 {
			a.warn(path{"tasks", name}, "", "the task takes its own dead letters: they go to %q in stream %q, its source", letters, s.Stream)
		}
		return
	}
	streams := a.c.streams()
	i := slices.IndexFunc(streams, func(x bus.Stream) bool { return x.Name == s.Stream })
	if i < 0 {
		return
	}
	if by, stored := coveredBy(streams[i].Subjects, letters); stored {
		a.warn(path{"tasks", name}, "", "dead letters go to %q, which its source's stream %q stores as well, as %q: the server refuses a second stream for them", letters, s.Stream, by)
	}
}

// discards looks for a source that drops what its durable has not had. A max_age is
// left alone where it leaves the time that a transaction may take: it says how long
// messages are of use.
func (a *adviser) discards(at path, t Task) {
	s, declared := a.c.Streams[t.Source.JetStream.Stream]
	if !declared {
		return
	}
	p := path{"streams", s.Name}
	var limits []string
	if s.MaxMsgs > 0 {
		limits = append(limits, fmt.Sprintf("max_msgs %d", s.MaxMsgs))
	}
	if s.MaxBytes > 0 {
		limits = append(limits, fmt.Sprintf("max_bytes %d", s.MaxBytes))
	}
	if s.Discard != bus.DiscardNew && len(limits) > 0 {
		a.warn(p.key("discard"), "set discard: new, so that who publishes is told instead, or use a limit that a backlog does not reach",
			"at %s the stream drops its oldest messages, also those that task %q has not done", strings.Join(limits, " and "), at[1])
	}
	if life := t.Consumer.Transaction.Timeout.D(); s.MaxAge > 0 && s.MaxAge < life {
		a.warn(p.key("max_age"), "set it to "+human(life)+" or more: a backlog waits longer still",
			"after %s the stream drops a message, also while task %q works on it, which may take %s (transaction.timeout)", human(s.MaxAge), at[1], human(life))
	}
}

// pending looks for a server that stops before the workers are busy.
func (a *adviser) pending(at path, t Task) {
	most := t.Source.JetStream.MaxAckPending
	loop := t.Consumer.Loop
	need, what := loop.Concurrency, "concurrency"
	if loop.Prefetch > 0 {
		need, what = need+loop.Prefetch, "concurrency and prefetch"
	}
	if most > 0 && most < need {
		a.warn(append(at, "source", "jetstream", "max_ack_pending"), fmt.Sprintf("raise it to %d or more for each instance, or lower %s", need, what),
			"the server has no more than %d deliveries unacknowledged, over all instances, and %s of one ask for %d: workers stand idle", most, what, need)
	}
}

// human is a duration as a file has it, rounded up to what is of use to a reader.
func human(d time.Duration) string {
	if d > time.Minute && d < math.MaxInt64-time.Second {
		d = (d + time.Second - 1).Truncate(time.Second)
	}
	return policy.Duration(d).String()
}
