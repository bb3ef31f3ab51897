package peers

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

func httpSink(t *testing.T, o http.SinkOptions) *http.Sink {
	t.Helper()
	s, err := http.NewSink(o)
	require.NoError(t, err)
	cleanly(t, s.Close)
	return s
}

// deliver sends one transaction and waits for what became of it.
func deliver(t *testing.T, s ergon.Sink, tx ergon.Raw) error {
	t.Helper()
	done := make(chan error, 1)
	s.Send(t.Context(), tx, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		require.FailNow(t, "nobody says what became of it")
		return nil
	}
}
