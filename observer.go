package ergon

import "context"

// CallObserver sees the calls that services make for a transaction. The
// services' seam looks it up in the context; a recorder or a replayer puts it
// there. It must be safe for concurrent use.
type CallObserver interface {
	// Before is called with the operation's name and its request. When answered
	// is true the call is not made and response and err are its result.
	Before(ctx context.Context, operation string, request any) (response any, answered bool, err error)
	// After is called with what the call returned.
	After(ctx context.Context, operation string, request, response any, err error)
}

type callObserverKey struct{}

// WithCallObserver returns a context in which o sees the services' calls.
func WithCallObserver(ctx context.Context, o CallObserver) context.Context {
	return context.WithValue(ctx, callObserverKey{}, o)
}

// CallObserverOf returns the observer of ctx, or nil.
func CallObserverOf(ctx context.Context) CallObserver {
	o, _ := ctx.Value(callObserverKey{}).(CallObserver)
	return o
}
