package memory

import (
	"time"

	"github.com/ergon-framework/ergon"
)

// Answer is returned by a hook in place of a plain error to say more than that a
// call failed: that it was done and its answer got lost, or how the answer
// comes. A plain error is Answer{Err: err}, and nil is Answer{}.
type Answer struct {
	// Err is what the caller is told; nil for success.
	Err error
	// Done says that the call was carried out although Err is set or Never is: the
	// bus has it, and its confirmation got lost. A call that is answered with nil
	// is carried out always.
	Done bool
	// Never means that no answer comes, ever.
	Never bool
	// Twice means that the same answer comes a second time.
	Twice bool
	// After is how long the answer takes to come. It comes then whatever became of
	// the caller's context meanwhile.
	After time.Duration
}

// Error makes an Answer an error, so that a hook can return it.
func (a Answer) Error() string {
	switch {
	case a.Never:
		return "no answer"
	case a.Err == nil:
		return "success"
	}
	return a.Err.Error()
}

// answerOf reads what a hook returned.
func answerOf(err error) Answer {
	if a, ok := err.(Answer); ok {
		return a
	}
	return Answer{Err: err}
}

// ask calls a hook that may be missing. It is called without any lock held, so a
// hook may use the queue or the sink.
func ask[A any](hook func(A) error, about A) Answer {
	if hook == nil {
		return Answer{}
	}
	return answerOf(hook(about))
}

// carriedOut reports whether the call has its effect.
func (a Answer) carriedOut() bool { return a.Done || a.Err == nil && !a.Never }

// give calls done as the answer says. failed is what carrying it out came to.
func (a Answer) give(done func(error), failed error) {
	err := a.Err
	if err == nil {
		err = failed
	}
	switch {
	case a.Never:
	case a.After > 0:
		a.giveLater(done, err)
	default:
		done(err)
		if a.Twice {
			done(err)
		}
	}
}

func (a Answer) giveLater(done func(error), err error) {
	time.AfterFunc(a.After, func() {
		done(err)
		if a.Twice {
			done(err)
		}
	})
}

// key is what makes a transaction this one.
type key struct{ source, id string }

func keyOf(tx ergon.Raw) key { return key{tx.Source(), tx.ID()} }
