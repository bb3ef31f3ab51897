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

// asking bounds a request, or several, that begin with one of the subjects. The
// server does not answer what the user may not do: it says so on the connection,
// and the request would wait for its time to end. So ctx ends then, and told, which
// has to be called with what the request came to, puts the reason in its place.
func (b *Bus) asking(ctx context.Context, subjects ...string) (_ context.Context, told func(error) error) {
	bounded, stop := context.WithTimeout(ctx, adminTimeout)
	denied, cancel := context.WithCancelCause(bounded)
	w := &asking{subjects: subjects, cancel: cancel}
	b.consume.watch(w)
	return denied, func(err error) error {
		b.consume.unwatch(w)
		cause := context.Cause(denied)
		cancel(nil)
		stop()
		if err != nil && errors.Is(cause, ErrDenied) {
			return cause
		}
		return err
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

// asking hears what is said of a connection while a request is under way.
type asking struct {
	subjects []string
	cancel   context.CancelCauseFunc
}

func (*asking) connLost()   {}
func (*asking) connBack()   {}
func (*asking) connClosed() {}

func (a *asking) connError(err error) {
	if subject, ok := deniedSubject(err); ok {
		for _, s := range a.subjects {
			if subject == s || strings.HasPrefix(subject, s+".") {
				a.cancel(mayNotPublish(subject, err))
			}
		}
		return
	}
	// The inbox of all requests is subscribed to with the first of them.
	if subject, ok := deniedInbox(err); ok {
		a.cancel(fmt.Errorf("%w: this user may not subscribe to %q, where answers come: allow it _INBOX.>, or name the prefix that it may use in bus.inbox_prefix: %w",
			ErrDenied, subject, err))
	}
}

// mayNotPublish says what to do about a denied subject.
func mayNotPublish(subject string, err error) error {
	return fmt.Errorf("%w: this user may not publish on %q: allow it at the server: %w", ErrDenied, subject, err)
}

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
