package ergontest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/engine"
)

func TestWatchSaysThatNothingHappens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		var events Recorder
		stop := watch(&said, "busy", &events)
		for range 5 {
			time.Sleep(patience - time.Second)
			events.Observe(engine.Fetched{})
		}
		stop()
		require.Empty(t, said.String())

		stop = watch(&said, "price", &events)
		time.Sleep(2*patience + time.Second)
		stop()
		require.Contains(t, said.String(), `task "price": nothing has happened for 10s.`)
	})
}
