package bus

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// taker takes a slot in a goroutine, and sends it, or sends the error.
type taker struct {
	slot chan uint32
	err  chan error
}

func takes(ctx context.Context, r *room) taker {
	k := taker{make(chan uint32, 1), make(chan error, 1)}
	go func() {
		i, err := r.take(ctx)
		if err != nil {
			k.err <- err
			return
		}
		k.slot <- i
	}()
	synctest.Wait()
	return k
}

// full returns a room of which everything is taken.
func full(t *testing.T, size int) *room {
	r := newRoom(new(slots), size)
	for range size {
		_, err := r.take(t.Context())
		require.NoError(t, err)
	}
	return r
}

func TestRoomServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := full(t, 3)
		first, second, third := takes(t.Context(), r), takes(t.Context(), r), takes(t.Context(), r)
		r.put(2)
		synctest.Wait()
		require.EqualValues(t, 3, <-first.slot, "what has been free longest")
		require.Empty(t, second.slot)
		r.put(0)
		r.put(1)
		synctest.Wait()
		require.ElementsMatch(t, []uint32{4, 5}, []uint32{<-second.slot, <-third.slot}, "one is woken by the other")
		require.Equal(t, 3, r.used())
	})
}

// Who has waited gets a slot, also while others come and find one free.
func TestRoomWakesOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := full(t, 4)
		first, second := takes(t.Context(), r), takes(t.Context(), r)
		r.slots.mu.Lock() // nobody runs in between
		for i := range uint32(4) {
			r.back(i)
		}
		taken := r.taken
		r.slots.mu.Unlock()
		require.Equal(t, 1, taken, "the first has one, and wakes the second when it runs")
		synctest.Wait()
		require.EqualValues(t, 4, <-first.slot)
		require.EqualValues(t, 5, <-second.slot)
		require.Equal(t, 2, r.used())
	})
}

func TestRoomIsLeftByWhoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := full(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		before, gone, after := takes(t.Context(), r), takes(ctx, r), takes(t.Context(), r)
		cancel()
		synctest.Wait()
		require.ErrorIs(t, <-gone.err, context.Canceled)
		r.put(0)
		synctest.Wait()
		r.put(<-before.slot)
		synctest.Wait()
		r.put(<-after.slot)
		require.Zero(t, r.used())
	})
}

// A slot that is given in the moment in which its taker's context ends is taken, and
// not lost.
func TestRoomLosesNoSlot(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			r := full(t, 1)
			ctx, cancel := context.WithCancel(t.Context())
			k := takes(ctx, r)
			go cancel()
			go r.put(0)
			synctest.Wait()
			select {
			case i := <-k.slot:
				r.put(i)
			case <-k.err:
			}
			require.Zero(t, r.used())
			_, err := r.take(t.Context())
			require.NoError(t, err)
		})
	}
}

// A flush waits for what was taken before it, and for an earlier flush's, and for
// nothing that came later.
func TestRoomFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(new(slots), 3)
		over := func(c <-chan struct{}) bool {
			select {
			case <-c:
				return true
			default:
				return false
			}
		}
		require.True(t, over(r.flush()), "nothing is taken")
		take := func() uint32 {
			i, err := r.take(t.Context())
			require.NoError(t, err)
			return i
		}
		old := take()
		first := r.flush()
		next := take()
		second := r.flush()
		latest := take()
		require.False(t, over(first))
		r.put(next)
		require.False(t, over(second), "the older one is not confirmed")
		r.put(old)
		require.True(t, over(first))
		require.True(t, over(second))
		third := r.flush()
		require.False(t, over(third))
		r.put(latest)
		require.True(t, over(third))
	})
}

func TestRoomClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := full(t, 2)
		waiting := takes(t.Context(), r)
		r.close()
		synctest.Wait()
		require.ErrorIs(t, <-waiting.err, ErrClosed)
		_, err := r.take(t.Context())
		require.ErrorIs(t, err, ErrClosed)
		over := r.flush()
		r.put(0)
		r.put(1)
		<-over
	})
}

// Memory is touched by what is needed at a time, not by how many there were, nor by how many
// rooms there are.
func TestSlotsAreMadeWhileNoneIsFree(t *testing.T) {
	var all slots
	rooms := make([]*room, 100)
	for i := range rooms {
		rooms[i] = newRoom(&all, 1000)
	}
	made := func(together int) (slots int) {
		most := uint32(0)
		for k := range 400 {
			taken := map[uint32]*room{}
			for n := range together {
				r := rooms[(k+n)%len(rooms)]
				i, err := r.take(t.Context())
				require.NoError(t, err)
				require.Nil(t, taken[i], "number %d was given twice", i)
				taken[i], most = r, max(most, i)
			}
			require.Equal(t, together, all.used())
			for i, r := range taken {
				r.put(i)
			}
		}
		require.Zero(t, all.used())
		slots = len(all.all()) * slotChunk
		require.EqualValues(t, slots-1, most, "what was made is used in turn")
		return slots
	}
	require.Equal(t, slotChunk, made(3))
	require.Equal(t, slotChunk, made(slotChunk))
	require.Equal(t, 2*slotChunk, made(slotChunk+1))
	require.Equal(t, 16*slotChunk, made(1000))
	require.Equal(t, 16*slotChunk, made(3), "what was made is used again")
}

// One that is full holds up nobody but itself, and what it gives back wakes its own.
func TestRoomsShareSlotsAndNoPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all slots
		mine, other := newRoom(&all, 1), newRoom(&all, 2)
		i, err := mine.take(t.Context())
		require.NoError(t, err)
		waiting := takes(t.Context(), mine)
		for range 2 {
			_, err := other.take(t.Context())
			require.NoError(t, err)
		}
		others := takes(t.Context(), other)
		over := other.flush()
		mine.put(i)
		synctest.Wait()
		require.Len(t, waiting.slot, 1)
		require.Empty(t, others.slot)
		require.Equal(t, 1, mine.used())
		require.Equal(t, 2, other.used())
		mine.close()
		mine.put(<-waiting.slot)
		select {
		case <-over:
			t.Fatal("a flush waits for its own room")
		default:
		}
		other.close()
		synctest.Wait()
		require.ErrorIs(t, <-others.err, ErrClosed)
	})
}
