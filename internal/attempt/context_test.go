package attempt_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/attempt"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errLate = errors.New("late")

func TestDeadlineIsVisibleAndReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(time.Second)
		c := attempt.New(t.Context(), at, errLate, nil)
		defer c.Cancel(nil)
		got, ok := c.Deadline()
		require.True(t, ok)
		require.Equal(t, at, got)
		require.NoError(t, c.Err())
		<-c.Done()
		require.Equal(t, at, time.Now())
		require.ErrorIs(t, c.Err(), context.DeadlineExceeded)
		require.ErrorIs(t, context.Cause(c), errLate)
	})
}

func TestErrIsTrueWithoutDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := attempt.New(t.Context(), time.Now().Add(time.Second), errLate, nil)
		defer c.Cancel(nil)
		time.Sleep(time.Second) // virtual time
		require.ErrorIs(t, c.Err(), context.DeadlineExceeded)
		require.ErrorIs(t, context.Cause(c), errLate)
	})
}

func TestCancelEndsChildrenMadeBeforeAndAfter(t *testing.T) {
	c := attempt.New(t.Context(), time.Time{}, nil, nil)
	before, stop := context.WithCancel(c)
	defer stop()
	c.Cancel(errLate)
	<-before.Done()
	after, stop2 := context.WithCancel(c)
	defer stop2()
	<-after.Done()
	require.ErrorIs(t, context.Cause(after), errLate)
	require.ErrorIs(t, c.Err(), context.Canceled)
}

func TestCancelBeforeAnybodyAsked(t *testing.T) {
	c := attempt.New(t.Context(), time.Now().Add(time.Hour), errLate, nil)
	c.Cancel(errLate)
	require.ErrorIs(t, c.Err(), context.Canceled)
	require.ErrorIs(t, context.Cause(c), errLate)
	<-c.Done()
}

func TestParentEndsIt(t *testing.T) {
	parent, cancel := context.WithCancelCause(t.Context())
	c := attempt.New(parent, time.Time{}, nil, nil)
	cancel(errLate)
	require.ErrorIs(t, c.Err(), context.Canceled)
	require.ErrorIs(t, context.Cause(c), errLate)
}

func TestEarlierDeadlineOfParentRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithTimeoutCause(t.Context(), time.Second, errLate)
		defer cancel()
		c := attempt.New(parent, time.Now().Add(time.Hour), errors.New("own"), nil)
		defer c.Cancel(nil)
		<-c.Done()
		require.ErrorIs(t, context.Cause(c), errLate)
	})
}

func TestExecutionIsTheAttempts(t *testing.T) {
	outer := ergon.WithExecution(t.Context(), &ergon.Execution{TransactionID: "outer"})
	c := attempt.New(outer, time.Time{}, nil, facts{&ergon.Execution{TransactionID: "inner"}})
	require.Equal(t, "inner", ergon.ExecutionOf(c).TransactionID)
	child := context.WithValue(c, ctxKey{}, "v")
	require.Equal(t, "inner", ergon.ExecutionOf(child).TransactionID)
	require.Equal(t, "outer", ergon.ExecutionOf(attempt.New(outer, time.Time{}, nil, nil)).TransactionID)
}

// What was handed out is ended by Finish, what was not costs nothing.
func TestFinishEndsWhatWasHandedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := attempt.New(t.Context(), time.Now().Add(time.Hour), errLate, nil)
		c.Finish()
		require.NoError(t, c.Err(), "nobody asked")
		child, stop := context.WithCancel(c)
		defer stop()
		c.Finish()
		<-child.Done()
		require.ErrorIs(t, c.Err(), context.Canceled)
		require.False(t, c.Expired(time.Now()))
		require.True(t, c.Expired(time.Now().Add(time.Hour)))
	})
}

// A context may be asked by many and cancelled by others at once.
func TestContextConcurrentSafe(t *testing.T) {
	for range 50 {
		c := attempt.New(t.Context(), time.Now().Add(time.Minute), errors.New("own"), facts{&ergon.Execution{TransactionID: "a"}})
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				switch i {
				case 0:
					c.Cancel(errLate)
				case 1:
					child, stop := context.WithTimeout(c, time.Hour)
					defer stop()
					<-child.Done()
				default:
					_ = c.Err()
					_ = c.Value(ctxKey{})
					<-c.Done()
				}
			})
		}
		wg.Wait()
		require.ErrorIs(t, context.Cause(c), errLate)
		require.Equal(t, "a", ergon.ExecutionOf(c).TransactionID)
	}
}

type ctxKey struct{}

func BenchmarkContext(b *testing.B) {
	parent, cancel := context.WithCancel(b.Context())
	defer cancel()
	exec := &ergon.Execution{}
	b.Run("lazy", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c := attempt.New(parent, time.Now().Add(time.Minute), errLate, facts{exec})
			_ = ergon.ExecutionOf(c)
			c.Finish()
		}
	})
	b.Run("standard", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, cancel := context.WithTimeoutCause(ergon.WithExecution(parent, exec), time.Minute, errLate)
			_ = ergon.ExecutionOf(c)
			cancel()
		}
	})
}

type facts struct{ exec *ergon.Execution }

func (f facts) Value(key any) any {
	if _, ok := key.(ergon.ExecutionKey); ok {
		return f.exec
	}
	return nil
}
