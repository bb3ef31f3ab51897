package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// adminTimeout bounds one request. Whoever waits longer than that waits for
// an answer that was lost with a connection or a leader.
const adminTimeout = 5 * time.Second

// hearing watches over requests that begin with one of the subjects. The server does
// not answer what the user may not do: it says so on the connection, and the request
// would wait for its time to end. So ctx ends then, and told, which has to be called
// with what the requests came to, puts the reason in its place.
func (b *Bus) hearing(ctx context.Context, subjects ...string) (_ context.Context, told func(error) error) {
	ctx, cancel := context.WithCancelCause(ctx)
	h := &hearer{subjects: subjects, cancel: cancel}
	b.consume.watch(h)
	return ctx, func(err error) error {
		b.consume.unwatch(h)
		cause := context.Cause(ctx)
		cancel(nil)
		if err != nil && errors.Is(cause, ErrDenied) {
			return cause
		}
		return err
	}
}

// asking is hearing for requests that are bounded by adminTimeout together.
func (b *Bus) asking(ctx context.Context, subjects ...string) (_ context.Context, told func(error) error) {
	ctx, stop := context.WithTimeout(ctx, adminTimeout)
	ctx, heard := b.hearing(ctx, subjects...)
	return ctx, func(err error) error {
		defer stop()
		return heard(err)
	}
}

// api is a subject of JetStream's API.
func (b *Bus) api(tokens ...string) string { return b.apiPrefix + strings.Join(tokens, ".") }

// bounded makes one request within adminTimeout.
func bounded[T any](ctx context.Context, b *Bus, subject string, f func(context.Context) (T, error)) (T, error) {
	ctx, told := b.asking(ctx, subject)
	out, err := f(ctx)
	return out, told(err)
}

// hearer hears what is said of a connection while a request is under way.
type hearer struct {
	subjects []string
	cancel   context.CancelCauseFunc
}

func (*hearer) connLost()   {}
func (*hearer) connBack()   {}
func (*hearer) connClosed() {}

func (h *hearer) connError(err error) {
	if subject, ok := deniedSubject(err); ok {
		for _, s := range h.subjects {
			if subject == s || strings.HasPrefix(subject, s+".") {
				h.cancel(mayNotPublish(subject, err))
			}
		}
		return
	}
	// The inbox of all requests is subscribed to with the first of them.
	if subject, ok := deniedInbox(err); ok {
		h.cancel(&denied{fmt.Sprintf("%s: this user may not subscribe to %q, where answers come: allow it at the server, as _INBOX.>, or name the prefix that it may use in bus.inbox_prefix",
			ErrDenied, subject), err})
	}
}

// mayNotPublish says what to do about a denied subject.
func mayNotPublish(subject string, err error) error {
	return &denied{fmt.Sprintf("%s: this user may not publish on %q: allow it at the server", ErrDenied, subject), err}
}

// denied is ErrDenied, and the server's words, which say the same once more.
type denied struct {
	text string
	err  error
}

func (d *denied) Error() string   { return d.text }
func (d *denied) Unwrap() []error { return []error{ErrDenied, d.err} }

// deniedSubject finds the subject of a denied publish in the server's words.
func deniedSubject(err error) (string, bool) { return deniedAt(err, `Publish to "`) }

// deniedInbox finds that of a denied subscription.
func deniedInbox(err error) (string, bool) { return deniedAt(err, `Subscription to "`) }

func deniedAt(err error, before string) (string, bool) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return "", false
	}
	_, rest, ok := strings.Cut(err.Error(), before)
	if !ok {
		return "", false
	}
	subject, _, ok := strings.Cut(rest, `"`)
	return subject, ok
}
