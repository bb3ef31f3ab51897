package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/stretchr/testify/require"
)

// answers collects what done was called with.
type answers []error

func (a *answers) done(err error) { *a = append(*a, err) }

func TestSinkStoresAnIdentityOnce(t *testing.T) {
	s := memory.NewSink(memory.SinkOptions{})
	var got answers
	s.Send(t.Context(), raw("a"), got.done)
	s.Send(t.Context(), raw("b"), got.done)
	s.Send(t.Context(), raw("a"), got.done)
	require.Equal(t, answers{nil, nil, nil}, got)
	require.Len(t, s.All(), 2)
	require.Equal(t, 1, s.Duplicates())
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, s.Close(t.Context()))
	s.Send(t.Context(), raw("c"), got.done)
	require.ErrorIs(t, got[3], ergon.ErrClosed)
	require.Len(t, s.All(), 2)
}

func TestSinkDelaysAndKeepsTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.NewSink(memory.SinkOptions{Delay: time.Second})
		began := time.Now()
		done := make(chan error)
		s.Send(t.Context(), raw("a"), func(err error) { done <- err })
		require.NoError(t, <-done)
		require.Equal(t, time.Second, time.Since(began))

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		s.Send(ctx, raw("b"), func(err error) { done <- err })
		require.ErrorIs(t, <-done, context.DeadlineExceeded)
		require.Len(t, s.All(), 2, "only the confirmation was late")
	})
}

func TestSinkCloseWaitsForWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.NewSink(memory.SinkOptions{Delay: time.Second})
		answered := false
		s.Send(t.Context(), raw("a"), func(error) { answered = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, s.Close(ctx), context.DeadlineExceeded)
		require.NoError(t, s.Close(t.Context()))
		synctest.Wait()
		require.True(t, answered)
	})
}

func TestSinkHook(t *testing.T) {
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		hook   error
		want   answers
		stored int
	}{
		"fails":             {bad, answers{bad}, 0},
		"stored and failed": {memory.Answer{Err: bad, Done: true}, answers{bad}, 1},
		"lost on the way":   {memory.Answer{Never: true}, nil, 0},
		"lost confirmation": {memory.Answer{Never: true, Done: true}, nil, 1},
		"twice":             {memory.Answer{Twice: true}, answers{nil, nil}, 1},
		"late":              {memory.Answer{After: time.Second}, answers{nil}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memory.NewSink(memory.SinkOptions{OnSend: func(ergon.Raw) error { return c.hook }})
				var got answers
				s.Send(t.Context(), raw("a"), got.done)
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Equal(t, c.want, got)
				require.Len(t, s.All(), c.stored)
			})
		})
	}
}
