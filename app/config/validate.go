package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/policy"
)

var (
	appName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	taskName  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	routeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:-]{0,127}$`)
)

// Validate reports every fault of a configuration at once, as *Error, or nil. What
// Parse returns is valid; this is for one that a program made or changed.
func (c *Config) Validate() error {
	var v validator
	v.local(c)
	if len(v.found) == 0 {
		v.across(c)
	}
	if len(v.found) == 0 {
		return nil
	}
	faults := make([]Fault, len(v.found))
	for i, f := range v.found {
		faults[i] = Fault{Path: f.path.String(), Message: f.message}
	}
	return &Error{Faults: faults}
}

// finding is a fault that has no place yet.
type finding struct {
	path    path
	message string
	// It may be no more than what follows from another fault, below its path or
	// beside it: what is required is not there because its key is misspelt.
	follows bool
	// Where in the text at path, if it is an expression.
	inside place
}

type validator struct{ found []finding }

func (v *validator) fail(p path, format string, args ...any) {
	v.found = append(v.found, finding{path: p, message: safe(fmt.Sprintf(format, args...))})
}

// need reports something that is required and isn't there.
func (v *validator) need(p path, format string, args ...any) {
	v.fail(p, format, args...)
	v.found[len(v.found)-1].follows = true
}

func (v *validator) check(p path, err error) {
	if err != nil {
		v.fail(p, "%v", err)
	}
}

// local looks at each part by itself.
func (v *validator) local(c *Config) {
	if !appName.MatchString(c.App) {
		v.fail(path{"app"}, "%s is not the name of an application: it is 1 to 64 letters, digits, dots, dashes and underscores", quote(c.App))
	}
	v.bus(c.Bus)
	for _, name := range slices.Sorted(maps.Keys(c.Streams)) {
		v.stream(path{"streams", name}, c.Streams[name])
	}
	v.deadLetters(path{"dead_letters"}, c.DeadLetters, DeadLetters{})
	v.parking(path{"parking"}, c.Parking)
	v.admin(path{"admin"}, c.Admin)
	v.server(path{"http"}, c.HTTP)
	v.runner(path{"runner"}, c.Runner)
	v.telemetry(c.Telemetry)
	for _, name := range c.ServiceNames() {
		v.service(path{"services", name}, name, c.Services[name])
	}
	for _, name := range c.TaskNames() {
		v.task(path{"tasks", name}, name, c.Tasks[name], c.DeadLetters)
	}
}

func (v *validator) bus(b Bus) {
	at := path{"bus"}
	cfg := b.Config
	if b.IsEmbedded() {
		cfg.URL = "" // package bus knows addresses only
		if cfg.Context != "" {
			v.fail(at.key("context"), "a context is for servers elsewhere, and url is %s: keep one", Embedded)
		}
	} else if strings.TrimSpace(cfg.URL) == "" && cfg.Context == "" {
		v.fail(at.key("url"), "an address is required: nats://host:4222, or %s", Embedded)
	}
	if err := cfg.Validate(); err != nil {
		errs := []error{err}
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			errs = joined.Unwrap()
		}
		for _, err := range errs {
			v.busFault(at, err.Error())
		}
	}
	v.listen(at.key("listen"), b.Listen)
}

// listen checks an address to listen on, and reports whether it is one.
func (v *validator) listen(p path, listen string) bool {
	if listen == ListenOff {
		return false
	}
	host, port, err := net.SplitHostPort(listen)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || strings.ContainsAny(host, " /@") {
		v.fail(p, "%s is not an address: write host:port, or %s for none", quote(listen), ListenOff)
		return false
	}
	return true
}

// busFault takes the key from the front of a message, where package bus puts it.
func (v *validator) busFault(at path, message string) {
	keys := fieldsOf(reflect.TypeFor[bus.Config]())
	if key, rest, ok := strings.Cut(message, ": "); ok && slices.ContainsFunc(keys, func(f field) bool { return f.key == key }) {
		v.fail(at.key(key), "%s", rest)
		return
	}
	v.need(at, "%s", message) // one key without another
}

func (v *validator) stream(p path, s bus.Stream) {
	v.check(p, checkName("stream", s.Name))
	if len(s.Subjects) == 0 {
		v.need(p.key("subjects"), "a stream that is declared needs its subjects")
	}
	v.subjects(p.key("subjects"), s.Subjects)
	for i, a := range s.Subjects {
		for _, b := range s.Subjects[:i] {
			if overlap(a, b) && checkSubject(a, true) == nil && checkSubject(b, true) == nil {
				v.fail(p.key("subjects").item(i), "%s and %s overlap: a stream stores nothing twice", quote(b), quote(a))
				break
			}
		}
	}
	v.word(p.key("storage"), s.Storage, bus.StorageFile, bus.StorageMemory)
	v.word(p.key("retention"), s.Retention, bus.RetentionLimits, bus.RetentionInterest, bus.RetentionWorkQueue)
	v.word(p.key("discard"), s.Discard, bus.DiscardOld, bus.DiscardNew)
	v.duration(p.key("max_age"), s.MaxAge)
	v.count(p.key("max_bytes"), s.MaxBytes)
	v.count(p.key("max_msgs"), s.MaxMsgs)
	v.duration(p.key("duplicates"), s.Duplicates)
	v.replicas(p.key("replicas"), s.Replicas)
}

func (v *validator) subjects(p path, subjects []string) {
	for i, s := range subjects {
		v.check(p.item(i), checkSubject(s, true))
	}
}

// word checks one of a few words; none is the default.
func (v *validator) word(p path, word string, known ...string) {
	if word != "" && !slices.Contains(known, word) {
		v.fail(p, "%s is not known here: write %s", quote(word), strings.Join(known, ", "))
	}
}

// count checks a number that is zero or more.
func (v *validator) count(p path, n int64) {
	if n < 0 {
		v.fail(p, "%d is below 0", n)
	}
}

func (v *validator) duration(p path, d time.Duration) {
	if d < 0 {
		v.fail(p, "%s is below 0", d)
	}
}

func (v *validator) replicas(p path, n int) {
	if n < 0 || n > 5 {
		v.fail(p, "%d is not between 0 and 5", n)
	}
}

// deadLetters checks what differs from what is checked already.
func (v *validator) deadLetters(p path, d, checked DeadLetters) {
	if d.Stream != checked.Stream || d.Stream == "" {
		v.check(p.key("stream"), checkName("stream", d.Stream))
	}
	if d.Subject != checked.Subject || d.Subject == "" {
		v.check(p.key("subject"), checkSubject(d.Subject, false))
	}
	if d.Storage != checked.Storage {
		v.word(p.key("storage"), d.Storage, bus.StorageFile, bus.StorageMemory)
	}
	if d.MaxAge != checked.MaxAge {
		v.duration(p.key("max_age"), d.MaxAge.D())
	}
	if d.MaxBytes != checked.MaxBytes {
		v.count(p.key("max_bytes"), d.MaxBytes)
	}
	if d.Replicas != checked.Replicas {
		v.replicas(p.key("replicas"), d.Replicas)
	}
}

func (v *validator) policy(p path, err error) {
	faults, _ := errors.AsType[policy.Faults](err)
	for _, f := range faults {
		v.fail(slices.Concat(p, strings.Split(f.Path, ".")), "%s", f.Message)
	}
}
