package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/policy"
)

// What becomes of a request over HTTP.
const (
	ModeStored = "stored" // it is stored, and answered with 202
	ModeResult = "result" // its caller waits for the task's output
)

// ReplyRoute is the route of a task that has only one, and whose callers get what it sends
// there: it is not bound.
const ReplyRoute = "reply"

// Outputs lists the routes that a task of expressions may send to: RouteNames, or
// ReplyRoute where there are none and callers wait for the output.
func (t Task) Outputs() []string {
	if len(t.Routes) == 0 && t.Source.Answers() {
		return []string{ReplyRoute}
	}
	return t.RouteNames()
}

// DefaultRecordsTTL is how long it is known what became of a request.
const DefaultRecordsTTL = 24 * time.Hour

// HTTPSource takes requests, at the one server of the process; see the file's http.
type HTTPSource struct {
	// stored: a request is stored in the stream of the jetstream source beside it, from
	// which the task takes it, and answered with 202. result: its caller waits for the
	// task's output; nothing is stored, and there is no jetstream beside it. Outputs whose
	// routes are not bound are the answer alone. Default stored.
	Mode string `yaml:"mode"`
	// The subject that requests are stored under, one that the task reads. Only for
	// stored. Default: that of the jetstream source, if it has one without wildcards.
	Subject string `yaml:"subject"`
	// What is taken: methods, paths, and what is demanded there. Required.
	Routes []http.Route `yaml:"routes"`
	// What is remembered of requests, for their status and for their keys. Only for
	// stored. Default: nothing but what the stream holds.
	Records *Records `yaml:"records"`
	// Only for result.
	http.SourceConfig `yaml:",inline"`
}

// Records is a bucket in which it stands what became of requests.
type Records struct {
	// The bucket. It is made when it is missing. Required.
	Bucket string `yaml:"bucket"`
	// How long a record is kept; for as long a request that is sent again is known, and
	// its status told. Of a bucket that is there already it is the bucket's. Default 24h.
	TTL policy.Duration `yaml:"ttl"`
	// How many servers of a cluster keep a copy, up to 5. Default 0, which is one.
	Replicas int `yaml:"replicas"`
}

// Stores says whether requests over HTTP are stored in the stream of JetStream.
func (s Source) Stores() bool { return s.HTTP != nil && s.HTTP.Mode != ModeResult }

// Answers says whether callers wait for the task's output.
func (s Source) Answers() bool { return s.HTTP != nil && s.HTTP.Mode == ModeResult }

// complete fills in the subject.
func (s Source) complete() {
	if s.Stores() && s.HTTP.Subject == "" && s.JetStream != nil && len(s.JetStream.Subjects) == 1 {
		if only := s.JetStream.Subjects[0]; checkSubject(only, false) == nil {
			s.HTTP.Subject = only
		}
	}
}

func (v *validator) server(p path, c http.ServerConfig) {
	if c.Address != "" {
		v.listen(p.key("address"), c.Address)
	}
	if err := c.Validate(); err != nil {
		v.fail(p, "%s", strings.TrimPrefix(err.Error(), "http server: "))
	}
}

func (v *validator) httpSource(p path, s Source) {
	h := s.HTTP
	v.word(p.key("mode"), h.Mode, ModeStored, ModeResult)
	if len(h.Routes) == 0 {
		v.need(p.key("routes"), "a route is required: write routes: [{ path: /… }]")
	}
	for i, r := range h.Routes {
		at := p.key("routes").item(i)
		v.httpRoute(at, r)
		switch {
		case r.Reply != "" && !s.Answers():
			v.fail(at.key("reply"), "nobody waits for an answer: remove it, or write mode: %s", ModeResult)
		case r.Status != "" && h.Records == nil:
			v.fail(at.key("status"), "there is no status without records: remove it, or write records: { bucket: … } with mode: %s", ModeStored)
		}
	}
	if s.Answers() {
		if s.JetStream != nil {
			v.fail(p.key("mode"), "%s stores nothing, and there is a jetstream source beside it: remove that, or write mode: %s", ModeResult, ModeStored)
		}
		if h.Subject != "" || h.Records != nil {
			v.fail(p.key("mode"), "%s stores nothing: remove subject and records, or write mode: %s", ModeResult, ModeStored)
		}
		v.count(p.key("queue"), int64(h.Queue))
		return
	}
	if h.Queue != 0 {
		v.fail(p.key("queue"), "only mode: %s has a queue: what is stored waits in its stream", ModeResult)
	}
	if h.Records != nil {
		at := p.key("records")
		v.name(at.key("bucket"), "bucket", h.Records.Bucket)
		if h.Records.TTL <= 0 {
			v.fail(at.key("ttl"), "%s is not above 0", h.Records.TTL)
		}
		v.replicas(at.key("replicas"), h.Records.Replicas)
	}
	js := s.JetStream
	if js == nil {
		v.need(p, "requests are stored, and nothing says where: write jetstream: { stream: … } beside http, or mode: %s for callers that wait for the task", ModeResult)
		return
	}
	if h.Subject == "" {
		v.need(p.key("subject"), "a subject is required, for the jetstream source does not have exactly one without wildcards")
		return
	}
	if err := checkSubject(h.Subject, false); err != nil {
		v.check(p.key("subject"), err)
	} else if _, ok := coveredBy(js.Subjects, h.Subject); !ok && len(js.Subjects) > 0 {
		v.fail(p.key("subject"), "%s is none of what the task reads: add it to jetstream.subjects", quote(h.Subject))
	}
}

func (v *validator) httpRoute(p path, r http.Route) {
	if r.Path == "" {
		v.need(p.key("path"), "a path is required")
		return
	}
	if err := r.Validate(); err != nil {
		text := strings.TrimPrefix(err.Error(), fmt.Sprintf("http route %q: ", r.Path))
		if rest, ok := strings.CutPrefix(text, "auth: "); ok {
			v.need(p.key("auth"), "%s", rest)
			return
		}
		v.fail(p, "%s", text)
	}
}

func (v *validator) httpSink(p path, o http.SinkOptions) {
	err := o.Validate()
	if err == nil {
		return
	}
	keys := fieldsOf(reflect.TypeFor[http.SinkOptions]())
	for _, err := range parts(err) {
		key, rest, ok := strings.Cut(err.Error(), ": ")
		at := slices.IndexFunc(keys, func(f field) bool { return f.key == key })
		if !ok || at < 0 {
			v.fail(p, "%s", err.Error())
			continue
		}
		v.fail(p.key(key), "%s", rest)
		v.found[len(v.found)-1].follows = key == "url" && o.URL == ""
	}
}

// parts are the errors that were joined, all the way down.
func parts(err error) (out []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, e := range joined.Unwrap() {
		out = append(out, parts(e)...)
	}
	return out
}

// listening holds the routes of all tasks against each other, and against the one server
// that they are of.
func (v *validator) listening(c *Config) {
	server, err := http.NewServer(c.HTTP, nil)
	if err != nil {
		return // told already
	}
	everybody := c.HTTP.Address != "" && !loopback(c.HTTP.Address)
	for _, name := range c.TaskNames() {
		h := c.Tasks[name].Source.HTTP
		if h == nil {
			continue
		}
		to, err := target(h)
		if err != nil {
			v.fail(path{"tasks", name, "source", "http"}, "%v", err)
			continue
		}
		for i, r := range h.Routes {
			at := path{"tasks", name, "source", "http", "routes"}.item(i)
			if err := server.Add(r, to); err != nil {
				v.fail(at, "%v", err)
			}
			a := r.Auth
			if everybody && !a.Anonymous && len(a.Bearer) == 0 && a.Signature == nil && a.Certificate == nil {
				v.fail(at, "it has no auth, and other machines may reach %s: write auth, or auth: { anonymous: true } where everybody may use it", c.HTTP.Address)
			}
			if a.Certificate != nil && c.HTTP.ClientCA == "" {
				v.fail(at.key("auth").key("certificate"), "http.client_ca does not say whose client certificates are believed: write it")
			}
		}
	}
}

// target is one that routes can be added to, to see whether they can.
func target(h *HTTPSource) (http.Target, error) {
	if h.Records == nil { // and so without a path for the status
		return http.NewSource(http.SourceConfig{}), nil
	}
	return http.NewReceiver(http.ReceiverConfig{Sink: http.ReplySink(), Records: http.NewMemoryRecords(1, 1)})
}
