package services

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/resilience"
	"github.com/ergon-framework/ergon/policy"
)

// ErrOpen is matched by the error of a call that was not made because the service's
// circuit breaker is open. It is SYSTEM, and asks to be tried again when the breaker lets
// the next call through (ergon.RetryAfterOf).
var ErrOpen = errors.New("the circuit breaker is open")

// Seam is what every call of one service goes through. It is safe for concurrent use, and
// starts nothing that would have to be stopped.
type Seam struct {
	name     string
	policy   policy.Phase
	phase    *resilience.Phase
	classify func(error) ergon.Category
	since    time.Time

	opened atomic.Int64          // how often the breaker opened
	last   atomic.Pointer[error] // the latest failure that the breaker was told of

	mu         sync.Mutex
	operations []*Operation
}

// Option is a choice of New.
type Option func(*Seam)

// Classify has f say what kind of failure an error is, for all that a client library's
// errors say by types of its own. An empty category leaves it to [ergon.CategoryOf]. An
// error that is an *ergon.Error already is not shown to f. f must be safe for concurrent
// use.
func Classify(f func(error) ergon.Category) Option { return func(s *Seam) { s.classify = f } }

// names are those of services and operations: they become names of spans and values of
// attributes, so they are few and fixed.
var names = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,62}$`)

// New returns the seam of a service. p bounds its calls: Retry.Timeout each attempt,
// Retry the attempts of idempotent operations, Bulkhead, RateLimit and Breaker all
// operations together. [policy.DefaultService] is a start. The error names every fault.
func New(name string, p policy.Phase, opts ...Option) (*Seam, error) {
	if !names.MatchString(name) {
		return nil, fmt.Errorf("service %q: a service's name has lower-case letters, digits, '_', '.' and '-', begins with a letter, and is no longer than 63", name)
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("service %q: policy: %w", name, err)
	}
	s := &Seam{name: name, policy: p, since: time.Now()}
	for _, o := range opts {
		o(s)
	}
	s.phase = resilience.Compile(p, func(open bool) {
		if open {
			s.opened.Add(1)
		}
	})
	return s, nil
}

// Name returns the service's name.
func (s *Seam) Name() string { return s.name }

// Kind says whether an operation may be made twice.
type Kind int

// The kinds of operations.
const (
	// Once is never tried again by the seam. The engine tries the whole attempt again all
	// the same, as its policy says: an operation that must not happen twice needs a key by
	// which whoever is called sees that it is the same, such as ergon.NewID(ctx).
	Once Kind = iota
	// Idempotent is tried again as the policy says.
	Idempotent
)

// Operation is one thing that a service does.
type Operation struct {
	seam *Seam
	name string // SERVICE.NAME
	kind Kind
	late error // the cause of an attempt whose time is over
	stats
}

// Operation names an operation: "get" of service "regions" is "regions.get" in spans,
// metrics and errors. It is called once per operation, where the service is made; a name
// that is not one, or was given before, is a slip of the author, and panics.
func (s *Seam) Operation(name string, kind Kind) *Operation {
	full := s.name + "." + name
	s.mu.Lock()
	defer s.mu.Unlock()
	if !names.MatchString(name) || slices.ContainsFunc(s.operations, func(o *Operation) bool { return o.name == full }) {
		panic(fmt.Sprintf("services: %q can't name an operation of %q: its form is wrong, or it was taken", name, s.name))
	}
	o := &Operation{seam: s, name: full, kind: kind}
	o.late = &ergon.Error{Category: ergon.CategoryTimeout, Err: fmt.Errorf("%s took longer than %v", full, s.policy.Retry.Timeout.D())}
	s.operations = append(s.operations, o)
	return o
}

// Name is SERVICE.OPERATION.
func (o *Operation) Name() string { return o.name }

// Health is nil unless the circuit breaker is open: then it says why. It asks nobody.
func (s *Seam) Health() error {
	open := s.phase.Open()
	if open <= 0 {
		return nil
	}
	err := fmt.Errorf("service %q: %w: the next call is let through in %v", s.name, ErrOpen, open.Round(time.Millisecond))
	if last := s.last.Load(); last != nil {
		err = fmt.Errorf("%w; the latest failure: %w", err, *last)
	}
	return err
}
