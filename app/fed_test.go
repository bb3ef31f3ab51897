package app_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
)

// bare is a source without any of the optional parts.
type bare struct{}

func (bare) Fetch(context.Context, int) ([]ergon.Delivery, error) { return nil, ergon.ErrDrained }
func (bare) Close(context.Context) error                          { return nil }

// full has them all.
type full struct {
	bare
	ahead []int
	ready chan struct{}
}

var (
	errUnhealthy = errors.New("the consumer is gone")
	lag          = ergon.Lag{Pending: 3, InFlight: 2, Parked: 1, At: time.Unix(1, 0)}
)

func (f *full) Prefetch(n int)         { f.ahead = append(f.ahead, n) }
func (f *full) Backlog() bool          { return true }
func (f *full) Health() error          { return errUnhealthy }
func (f *full) Lag() ergon.Lag         { return lag }
func (f *full) Ready() <-chan struct{} { return f.ready }

// A source that is fed by other tasks is to the engine what it is by itself: it has
// the optional parts, and they reach the source, or do nothing where that has none.
func TestAFedSourcePassesEverythingOn(t *testing.T) {
	type all interface {
		ergon.Source
		ergon.Prefetcher
		ergon.Backlogger
		ergon.Readier
		ergon.HealthReporter
		ergon.LagReporter
	}
	source := &full{ready: make(chan struct{}, 1)}
	fed, ok := app.Fed(source).(all)
	require.True(t, ok)
	for _, n := range []int{768, 0} {
		fed.Prefetch(n)
	}
	require.Equal(t, []int{768, 0}, source.ahead)
	require.True(t, fed.Backlog())
	require.ErrorIs(t, fed.Health(), errUnhealthy)
	require.Equal(t, lag, fed.Lag())
	source.ready <- struct{}{}
	<-fed.Ready()

	fed, ok = app.Fed(bare{}).(all)
	require.True(t, ok)
	fed.Prefetch(768)
	require.False(t, fed.Backlog())
	require.NoError(t, fed.Health())
	require.Zero(t, fed.Lag())
	require.Nil(t, fed.Ready())
}
