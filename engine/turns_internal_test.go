package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// inLine takes a turn in a goroutine, and sends it.
func inLine(ctx context.Context, turns *Turns) <-chan *turn {
	c := make(chan *turn, 1)
	go func() {
		got, _ := turns.take(ctx, &holder{})
		c <- got
	}()
	synctest.Wait()
	return c
}

func nextTurn(t *testing.T, turns *Turns) *turn {
	t.Helper()
	got, waited := turns.take(t.Context(), &holder{})
	require.False(t, waited)
	return got
}

func TestTurnsAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := &Turns{most: 2}
		a, b := nextTurn(t, turns), nextTurn(t, turns)
		first, second := inLine(t.Context(), turns), inLine(t.Context(), turns)
		require.Empty(t, first)
		b.done()
		got := <-first
		synctest.Wait()
		require.Empty(t, second)
		a.done()
		(<-second).done()
		got.done()
		nextTurn(t, turns).done()
	})
}

func TestATurnEndsWithTheLastOfItsFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := &Turns{most: 1}
		a := nextTurn(t, turns)
		a.add()
		a.add()
		waits := inLine(t.Context(), turns)
		for range 2 {
			a.done()
			synctest.Wait()
			require.Empty(t, waits)
		}
		a.done()
		(<-waits).done()
	})
}

// What is not confirmed keeps nobody waiting, and when it ends after all its place is not
// given away a second time.
func TestATurnThatLastsCountsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, began := &Turns{most: 2}, time.Now()
		a := nextTurn(t, turns)
		time.Sleep(turnMost / 2)
		b := nextTurn(t, turns)
		first, second, third := inLine(t.Context(), turns), inLine(t.Context(), turns), inLine(t.Context(), turns)
		c := <-first
		require.Equal(t, turnMost, time.Since(began))
		d := <-second
		require.Equal(t, turnMost+turnMost/2, time.Since(began))
		a.done()
		b.done()
		synctest.Wait()
		require.Empty(t, third, "both places are taken")
		d.done()
		(<-third).done()
		c.done()
	})
}

// Whose context ends leaves the line, or gives back what it was given at that moment.
func TestWhoGivesUpLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 200 {
			turns := &Turns{most: 1}
			a := nextTurn(t, turns)
			ctx, cancel := context.WithCancel(t.Context())
			gone, stays := inLine(ctx, turns), inLine(t.Context(), turns)
			go cancel()
			a.done()
			if got := <-gone; got != nil {
				got.done()
			}
			(<-stays).done()
			nextTurn(t, turns).done()
		}
	})
}

// One that has all turns has as many more, until another one wants some.
func TestNobodyWaitsForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, one := &Turns{most: 2}, &holder{}
		var all []*turn
		for range 5 {
			got, waited := turns.take(t.Context(), one)
			require.False(t, waited)
			all = append(all, got)
		}
		other, second := inLine(t.Context(), turns), make(chan *turn, 1)
		require.Empty(t, other)
		go func() {
			got, _ := turns.take(t.Context(), one)
			second <- got
		}()
		synctest.Wait()
		require.Empty(t, second, "it stands in line like everybody")
		for _, n := range all[:3] {
			n.done()
			synctest.Wait()
			require.Empty(t, other)
		}
		all[3].done()
		(<-other).done()
		(<-second).done()
		all[4].done()
	})
}

func TestWhoNeedsNoTurnHasNone(t *testing.T) {
	var none *turn
	none.add()
	none.done()
}
