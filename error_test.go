package ergon_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
)

// R021, R062, R063, R100: the classification.
func TestCategoryOf(t *testing.T) {
	plain := errors.New("plain")
	for _, c := range []struct {
		err  error
		want ergon.Category
	}{
		{nil, ""},
		{ergon.Business("x"), ergon.CategoryBusiness},
		{ergon.System("x"), ergon.CategorySystem},
		{ergon.Timeout("x"), ergon.CategoryTimeout},
		{plain, ergon.CategorySystem},
		{context.DeadlineExceeded, ergon.CategoryTimeout},
		{os.ErrDeadlineExceeded, ergon.CategoryTimeout},
		{context.Canceled, ergon.CategorySystem},
		{fmt.Errorf("wrapped: %w", ergon.Business("x")), ergon.CategoryBusiness},
		{errors.Join(plain, ergon.Timeout("x")), ergon.CategoryTimeout},
		{fmt.Errorf("%w", ergon.CategoryBusiness), ergon.CategoryBusiness},
		{ergon.System("outermost wins: %w", ergon.Business("x")), ergon.CategorySystem},
		{ergon.RetryAfter(time.Second, plain), ergon.CategorySystem},
		{ergon.RetryAfter(time.Second, ergon.Business("x")), ergon.CategoryBusiness},
		{&ergon.Error{Err: context.DeadlineExceeded}, ergon.CategoryTimeout},
	} {
		require.Equal(t, c.want, ergon.CategoryOf(c.err), "%v", c.err)
		if c.want != "" && c.err != plain && !errors.Is(c.err, context.Canceled) {
			require.Equal(t, c.want != ergon.CategoryBusiness, c.want.Retryable())
		}
	}
	require.ErrorIs(t, ergon.Business("x"), ergon.CategoryBusiness)
	require.NotErrorIs(t, ergon.System("x"), ergon.CategoryBusiness)
}

func TestErrorText(t *testing.T) {
	cause := errors.New("disk full")
	err := &ergon.Error{Category: ergon.CategorySystem, Phase: ergon.PhaseProduce, Err: cause}
	require.Equal(t, "SYSTEM in produce: disk full", err.Error())
	require.ErrorIs(t, err, cause)
	require.Equal(t, "BUSINESS: quantity 0", ergon.Business("quantity %d", 0).Error())
	// An empty text hides what went wrong: the type stands in for it.
	require.Equal(t, "SYSTEM: ergon_test.silent", (&ergon.Error{Category: ergon.CategorySystem, Err: silent{}}).Error())
	require.Contains(t, (&ergon.Error{Category: ergon.CategorySystem}).Error(), "no cause given")
}

type silent struct{}

func (silent) Error() string { return "" }

func TestRetryAfter(t *testing.T) {
	cause := errors.New("busy")
	err := fmt.Errorf("call: %w", ergon.RetryAfter(3*time.Second, cause))
	d, ok := ergon.RetryAfterOf(err)
	require.True(t, ok)
	require.Equal(t, 3*time.Second, d)
	require.ErrorIs(t, err, cause)
	require.EqualError(t, errors.Unwrap(ergon.RetryAfter(time.Second, nil)), "retry after 1s")
	require.Equal(t, ergon.CategorySystem, ergon.CategoryOf(ergon.RetryAfter(time.Second, nil)))
	d, ok = ergon.RetryAfterOf(ergon.RetryAfter(-1, cause))
	require.True(t, ok)
	require.Zero(t, d)
	_, ok = ergon.RetryAfterOf(cause)
	require.False(t, ok)
}

func TestRecover(t *testing.T) {
	cause := errors.New("inner")
	call := func(v any) (err error) {
		defer ergon.Recover(&err)
		if v != nil {
			panic(v)
		}
		return nil
	}
	require.NoError(t, call(nil))
	err := call(cause)
	require.ErrorIs(t, err, cause)
	var p *ergon.PanicError
	require.ErrorAs(t, err, &p)
	require.Contains(t, string(p.Stack), "TestRecover")
	require.Equal(t, ergon.CategorySystem, ergon.CategoryOf(err))
	require.ErrorContains(t, call("text"), "panic: text")
}
