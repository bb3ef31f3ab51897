package app

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

type echo struct{}

func (echo) Process(_ context.Context, tx ergon.Transaction[[]byte]) ([]byte, error) {
	return tx.Payload(), nil
}

// A task that is started again answers on the routes that it had, also a request that
// came while no engine ran.
func TestRequestsOutliveAnEngine(t *testing.T) {
	source := http.NewSource(http.SourceConfig{})
	server, err := http.NewServer(http.ServerConfig{}, nil)
	require.NoError(t, err)
	require.NoError(t, server.Add(http.Route{Path: "/", Auth: http.Auth{Anonymous: true}}, source))
	handler, err := server.Handler()
	require.NoError(t, err)
	run := func() (stop func()) {
		e, err := engine.New(engine.Config{
			Task: engine.Consume[[]byte, []byte]("t", echo{}), Source: kept{source},
			Sinks: map[string]ergon.Sink{"reply": http.ReplySink()}, Policy: policy.DefaultConsumer(), App: "test",
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := e.Run(ctx)
			ended <- err
		}()
		return func() {
			cancel()
			require.NoError(t, <-ended)
		}
	}
	ask := func(body string) <-chan string {
		answer := make(chan string, 1)
		go func() {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), "POST", "/", strings.NewReader(body)))
			answer <- w.Body.String()
		}()
		return answer
	}
	stop := run()
	require.Equal(t, "a", <-ask("a"))
	stop()
	waits := ask("b")
	stop = run()
	require.Equal(t, "b", <-waits)
	require.Equal(t, "c", <-ask("c"))
	stop()
}
