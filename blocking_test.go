package ergon_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBlockingSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		fail := errors.New("refused")
		sink := ergon.BlockingSink(func(ctx context.Context, tx ergon.Raw) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return ctx.Err()
			}
			switch tx.ID() {
			case "bad":
				return fail
			case "panic":
				panic("boom")
			}
			return nil
		}, 2)
		send := func(ctx context.Context, id string) <-chan error {
			answer := make(chan error, 2)
			go sink.Send(ctx, ergon.Make(ergon.Envelope{ID: id}, []byte(nil)), func(err error) { answer <- err })
			return answer
		}
		a, b, c, d := send(t.Context(), "a"), send(t.Context(), "bad"), send(t.Context(), "panic"), send(t.Context(), "d")
		require.NoError(t, <-a)
		require.ErrorIs(t, <-b, fail)
		require.ErrorContains(t, <-c, "boom")
		require.NoError(t, <-d)
		require.EqualValues(t, 2, most.Load(), "at most n run at once")

		// A full sink lets go of the sender when its time is over.
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		e, f := send(t.Context(), "e"), send(t.Context(), "f")
		synctest.Wait()
		require.ErrorIs(t, <-send(ctx, "g"), context.DeadlineExceeded)

		// Close waits for what runs; a call after it is refused.
		closed := make(chan error, 1)
		go func() { closed <- sink.Close(t.Context()) }()
		require.NoError(t, <-e)
		require.NoError(t, <-f)
		require.NoError(t, <-closed)
		require.NoError(t, sink.Close(t.Context()))
		require.ErrorIs(t, <-send(t.Context(), "h"), ergon.ErrClosed)
	})
}

func TestBlockingSinkCloseGivesUp(t *testing.T) {
	release := make(chan struct{})
	sink := ergon.BlockingSink(func(context.Context, ergon.Raw) error { <-release; return nil }, 0)
	answer := make(chan error, 1)
	sink.Send(t.Context(), ergon.Make(ergon.Envelope{ID: "a"}, []byte(nil)), func(err error) { answer <- err })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, sink.Close(ctx), context.Canceled)
	close(release)
	require.NoError(t, <-answer)
	require.NoError(t, sink.Close(t.Context()))
}
