package ergon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// Category says what kind of failure an error is, and with it whether the
// engine tries again (RFC-000 §8). It is an error itself, so that
// errors.Is(err, ergon.CategoryBusiness) asks for it.
type Category string

const (
	// CategoryBusiness is a domain rule that does not hold. Never retried.
	CategoryBusiness Category = "BUSINESS"
	// CategorySystem is infrastructure or a service that failed. Retried.
	CategorySystem Category = "SYSTEM"
	// CategoryTimeout is an operation that exceeded its time. Retried.
	CategoryTimeout Category = "TIMEOUT"
)

// Error returns the category's name.
func (c Category) Error() string { return string(c) }

// Retryable reports whether a failure of this category may be tried again.
func (c Category) Retryable() bool { return c != CategoryBusiness }

// Phase is a part of a transaction's life.
type Phase string

// The phases, in their order.
const (
	PhaseFetch     Phase = "fetch"
	PhaseDecode    Phase = "decode"
	PhaseProcess   Phase = "process"
	PhaseProduce   Phase = "produce"
	PhaseSuccess   Phase = "success"
	PhaseException Phase = "exception"
	PhaseSettle    Phase = "settle"
)

// Error is how a transaction fails: the RFCs' TransactionException. A task
// returns one by [Business], [System], [Timeout] or [RetryAfter]; the engine
// fills in the rest, so whatever reaches a handler, a dead letter or a log names
// its transaction.
type Error struct {
	Category      Category
	TransactionID string
	Task          string
	Phase         Phase
	Attempt       int // 1 for the first
	Err           error
}

// Error says what failed where: "BUSINESS in process: quantity 0 is not
// positive".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Category))
	if e.Phase != "" {
		b.WriteString(" in " + string(e.Phase))
	}
	b.WriteString(": " + e.Reason())
	return b.String()
}

// Reason is the cause's text alone. A cause without a text is named by its
// type, for an empty message hides what went wrong.
func (e *Error) Reason() string {
	if e.Err == nil {
		return "no cause given"
	}
	if text := e.Err.Error(); text != "" {
		return text
	}
	return fmt.Sprintf("%T", e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches the error's category.
func (e *Error) Is(target error) bool {
	c, ok := target.(Category)
	return ok && c == e.Category
}

// Business is the failure of a domain rule: the transaction can't be processed,
// now or later. It is never retried. The format takes %w.
func Business(format string, a ...any) error {
	return &Error{Category: CategoryBusiness, Err: fmt.Errorf(format, a...)}
}

// System is a failure of infrastructure or of a service. It is retried by the
// phase's policy, as is any error that says nothing about itself.
func System(format string, a ...any) error {
	return &Error{Category: CategorySystem, Err: fmt.Errorf(format, a...)}
}

// Timeout is an operation that took too long. It is retried as System is.
func Timeout(format string, a ...any) error {
	return &Error{Category: CategoryTimeout, Err: fmt.Errorf(format, a...)}
}

// RetryAfter asks for the next attempt after d, instead of the policy's own
// backoff: what a service says with a Retry-After header. The policy's cap and
// number of attempts still hold, and a Business err stays final. A negative d
// counts as 0; without an err the wait is the whole reason, and it is SYSTEM.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return &Error{Category: CategorySystem, Err: &retryAfter{after: max(d, 0)}}
	}
	return &Error{Category: CategoryOf(err), Err: &retryAfter{max(d, 0), err}}
}

type retryAfter struct {
	after time.Duration
	err   error
}

func (r *retryAfter) Error() string {
	if r.err == nil {
		return fmt.Sprintf("retry after %v", r.after)
	}
	return fmt.Sprintf("%v (retry after %v)", r.err, r.after)
}

func (r *retryAfter) Unwrap() error { return r.err }

// RetryAfterOf returns the delay that an error asks for, if it does.
func RetryAfterOf(err error) (time.Duration, bool) {
	var r *retryAfter
	if errors.As(err, &r) {
		return r.after, true
	}
	return 0, false
}

// CategoryOf classifies an error: the category it carries, TIMEOUT for a
// deadline that passed, SYSTEM for any other (RFC-000 §6.8). nil has none.
func CategoryOf(err error) Category {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Category != "" {
		return e.Category
	}
	if c, ok := errors.AsType[Category](err); ok {
		return c
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return CategoryTimeout
	}
	return CategorySystem
}

// PanicError is a panic that was caught at the border of user code or of a
// connector.
type PanicError struct {
	Value any
	Stack []byte
}

// Error names the panic's value; the stack is a field of its own.
func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Unwrap returns the value if it was an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// Recover, deferred, turns a panic into a *PanicError in *err. It is for
// whoever calls foreign code: engine, connectors, test kits.
func Recover(err *error) {
	if v := recover(); v != nil {
		*err = &Error{Category: CategorySystem, Err: &PanicError{v, debug.Stack()}}
	}
}
