package httpapitest_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/httpapi"
	"github.com/ergon-framework/ergon/services/httpapi/httpapitest"
)

// The server answers as it is scripted, and the client under test is the real one.
func TestServer(t *testing.T) {
	api := httpapitest.New(t)
	setup := api.Setup("prices")
	setup.Policy = policy.DefaultService()
	setup.Policy.Retry.Backoff, setup.Policy.Retry.BackoffCap = 0, policy.Duration(time.Millisecond)
	c, err := httpapi.New(setup)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Stop(context.Background())) }()
	get := c.Operation("get", services.Idempotent)

	_, err = httpapi.Get[int](t.Context(), get, "none")
	var status *httpapi.StatusError
	require.ErrorAs(t, err, &status, "what has no answer is not found")
	require.Equal(t, http.StatusNotFound, status.Status)

	api.Handle("POST /prices/{of}", httpapitest.InTurn(
		httpapitest.Reset(),
		httpapitest.RetryAfter(http.StatusTooManyRequests, time.Minute),
		api.After(time.Millisecond, httpapitest.JSON(42)),
	))
	price, err := httpapi.Post[int](t.Context(), get, "prices/tea", "now", httpapi.Query("in", "EUR"))
	require.NoError(t, err)
	require.Equal(t, 42, price)
	price, err = httpapi.Post[int](t.Context(), get, "prices/tea", nil)
	require.NoError(t, err, "the last answer stays")
	require.Equal(t, 42, price)

	asked := api.Requests()
	require.Len(t, asked, 5)
	require.Equal(t, "/prices/tea", asked[1].Path)
	require.Equal(t, `"now"`, string(asked[1].Body))
	require.Equal(t, "EUR", asked[1].Query.Get("in"))

	// A test that ends does not wait for an answer that never comes.
	api.Handle("GET /stall", api.Stall())
	api.Handle("GET /late", api.After(time.Hour, httpapitest.JSON(1)))
	for _, path := range []string{"stall", "late"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err = httpapi.Get[int](ctx, get, path)
		cancel()
		require.ErrorIs(t, err, ergon.CategoryTimeout)
	}
	require.Panics(t, func() { httpapitest.JSON(func() {}) })
	require.Panics(t, func() { httpapitest.InTurn() })
}
