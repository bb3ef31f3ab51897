package memory_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/stretchr/testify/require"
)

func raw(id string) ergon.Raw {
	return ergon.New([]byte("1"), ergon.WithID(id), ergon.WithSource("test"))
}

func fetch(t *testing.T, s ergon.Source, max int) []ergon.Delivery {
	t.Helper()
	deliveries, err := s.Fetch(t.Context(), max)
	require.NoError(t, err)
	return deliveries
}

func settle(d ergon.Delivery, s ergon.Settlement) (err error) {
	err = errors.New("not answered")
	d.Settle(s, func(e error) { err = e })
	return err
}

var ack = ergon.Settlement{Kind: ergon.Ack}

func TestFetchTakesTheFirstInTheirOrder(t *testing.T) {
	q := memory.NewQueue(memory.QueueOptions{})
	q.Push(raw("a"), raw("b"), raw("c"))
	s := q.Source()
	got := fetch(t, s, 2)
	require.Len(t, got, 2)
	require.Equal(t, "a", got[0].Transaction().ID())
	require.Equal(t, memory.Counts{Ready: 1, Leased: 2}, q.Counts())
	for _, d := range append(got, fetch(t, s, 9)...) {
		require.NoError(t, settle(d, ack))
	}
	require.Len(t, q.Acked(), 3)
	require.Zero(t, q.Counts().Len())
	_, err := s.Fetch(t.Context(), 1)
	require.ErrorIs(t, err, ergon.ErrDrained)
}

func TestFetchWaitsForWhatIsLeasedToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := memory.NewQueue(memory.QueueOptions{Lease: time.Second})
		q.Push(raw("a"))
		began := time.Now()
		old := fetch(t, q.Source(), 1)[0]
		again := fetch(t, q.Source(), 1)[0]
		require.Equal(t, time.Second, time.Since(began))
		require.Equal(t, 2, again.Info().Deliveries)
		require.Equal(t, 1, again.Info().Attempt, "a delivery is no attempt")
		require.Equal(t, old.Info().Stored, again.Info().Stored)
		require.Equal(t, old.Info().FirstSeen, again.Info().FirstSeen)
		require.ErrorIs(t, old.Extend(t.Context()), ergon.ErrLeaseLost)
		require.ErrorIs(t, settle(old, ack), ergon.ErrLeaseLost)
		require.NoError(t, settle(again, ack))
		require.ErrorIs(t, again.Extend(t.Context()), ergon.ErrLeaseLost)
	})
}

func TestFetchEndsWithItsContextAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := memory.NewQueue(memory.QueueOptions{})
		q.Push(raw("a"))
		held := fetch(t, q.Source(), 1)[0]
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := q.Source().Fetch(ctx, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, settle(held, ergon.Settlement{Kind: ergon.Release}))
		require.Len(t, fetch(t, q.Source(), 1), 1)
	})
}

func TestExtendKeepsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := memory.NewQueue(memory.QueueOptions{Lease: time.Second})
		q.Push(raw("a"), raw("b"))
		both := fetch(t, q.Source(), 2)
		for range 5 {
			time.Sleep(900 * time.Millisecond)
			require.NoError(t, both[0].Extend(t.Context()))
		}
		require.Equal(t, memory.Counts{Ready: 1, Leased: 1}, q.Counts(), "the other one ran out")
		q.Expire()
		require.ErrorIs(t, both[0].Extend(t.Context()), ergon.ErrLeaseLost)
	})
}

func TestReleaseComesBackAfterItsDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := memory.NewQueue(memory.QueueOptions{})
		q.Push(raw("a"))
		s := q.Source()
		require.NoError(t, settle(fetch(t, s, 1)[0], ergon.Settlement{Kind: ergon.Release, After: time.Minute}))
		require.Equal(t, memory.Counts{Later: 1}, q.Counts())
		began := time.Now()
		again := fetch(t, s, 1)[0]
		require.Equal(t, time.Minute, time.Since(began))
		require.Equal(t, 2, again.Info().Deliveries)
	})
}

func TestRetryParksWithTheNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := memory.NewQueue(memory.QueueOptions{CanDefer: true})
		q.Push(raw("a"))
		s := q.Source()
		first := fetch(t, s, 1)[0]
		require.True(t, first.Info().CanDefer)
		require.NoError(t, settle(first, ergon.Settlement{Kind: ergon.Retry, After: time.Hour, NextAttempt: 4}))
		parked := fetch(t, s, 1)[0]
		require.Equal(t, 4, parked.Info().Attempt)
		require.Equal(t, first.Info().FirstSeen, parked.Info().FirstSeen)
		require.NotEqual(t, first.Info().Stored, parked.Info().Stored, "it is another stored message")
		require.Equal(t, first.Transaction().ID(), parked.Transaction().ID())

		plain := memory.NewQueue(memory.QueueOptions{})
		plain.Push(raw("a"))
		d := fetch(t, plain.Source(), 1)[0]
		require.Error(t, settle(d, ergon.Settlement{Kind: ergon.Retry}))
		require.Error(t, settle(d, ergon.Settlement{}))
		require.NoError(t, settle(d, ack), "an error settled nothing")
	})
}

func TestDeadLettersKeepTheFacts(t *testing.T) {
	q := memory.NewQueue(memory.QueueOptions{})
	q.Push(raw("a"))
	s := ergon.Settlement{
		Kind: ergon.Dead, Err: &ergon.Error{Category: ergon.CategoryBusiness, Err: errors.New("no")},
		Dead: ergon.DeadFacts{Outputs: 3, Confirmed: 1, Unknown: 2},
	}
	require.NoError(t, settle(fetch(t, q.Source(), 1)[0], s))
	dead := q.DeadLetters()
	require.Len(t, dead, 1)
	require.Equal(t, s, dead[0].Settlement)
	require.Equal(t, "a", dead[0].Transaction.ID())
	require.Empty(t, q.Acked())
}

func TestOneIDTwiceIsTwoMessagesAndNoIDGetsOne(t *testing.T) {
	q := memory.NewQueue(memory.QueueOptions{})
	q.Push(raw("a"), raw("a"), ergon.Raw{})
	got := fetch(t, q.Source(), 3)
	require.NotEqual(t, got[0].Info().Stored, got[1].Info().Stored)
	require.Equal(t, "3", got[2].Transaction().ID())
}

func TestReadySaysThatThereIsSomething(t *testing.T) {
	q := memory.NewQueue(memory.QueueOptions{})
	s := q.Source()
	select {
	case <-s.Ready():
		t.Fatal("nothing is there")
	default:
	}
	q.Push(raw("a"))
	<-s.Ready()
	<-q.Source().Ready()
	q.Push(raw("b"))
	fetch(t, s, 9)
	select {
	case <-s.Ready():
		t.Fatal("it was all fetched")
	default:
	}
}

func TestHooksFailSingleCalls(t *testing.T) {
	bad := errors.New("bad")
	var err error
	q := memory.NewQueue(memory.QueueOptions{
		OnFetch:  func(int) error { return err },
		OnExtend: func(ergon.Raw) error { return err },
		OnSettle: func(memory.Settled) error { return err },
	})
	q.Push(raw("a"), raw("b"))
	s := q.Source()
	both := fetch(t, s, 2)
	err = bad
	_, got := s.Fetch(t.Context(), 1)
	require.Equal(t, bad, got)
	require.Equal(t, bad, both[0].Extend(t.Context()))
	require.Equal(t, bad, settle(both[0], ack))
	require.Equal(t, 2, q.Counts().Leased)
	err = memory.Answer{Err: bad, Done: true}
	require.Equal(t, bad, settle(both[0], ack))
	require.Len(t, q.Acked(), 1, "it was settled and the answer got lost")
	err = memory.Answer{Never: true}
	require.EqualError(t, settle(both[1], ack), "not answered")
	require.Len(t, q.Acked(), 1)
}

func TestCloseEndsAFetchThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := memory.NewQueue(memory.QueueOptions{})
		q.Push(raw("a"))
		other := fetch(t, q.Source(), 1)[0]
		s := q.Source()
		go func() {
			time.Sleep(time.Second)
			_ = s.Close(t.Context())
			_ = s.Close(t.Context())
		}()
		_, err := s.Fetch(t.Context(), 1)
		require.ErrorIs(t, err, ergon.ErrClosed)
		require.NoError(t, settle(other, ack), "the queue is open")
	})
}

func TestManyConsumersConcurrentSafe(t *testing.T) {
	q := memory.NewQueue(memory.QueueOptions{Lease: time.Hour, CanDefer: true})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				q.Push(ergon.New([]byte("1")))
			}
		})
	}
	wg.Wait()
	for range 4 {
		wg.Go(func() {
			s := q.Source()
			for i := 0; ; i++ {
				got, err := s.Fetch(t.Context(), 7)
				if err != nil {
					return
				}
				for _, d := range got {
					kind := ergon.Ack
					if i%3 == 0 && d.Info().Deliveries < 3 {
						kind = ergon.Release
					}
					_ = d.Extend(t.Context())
					d.Settle(ergon.Settlement{Kind: kind}, func(error) {})
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, q.Acked(), 400)
}
