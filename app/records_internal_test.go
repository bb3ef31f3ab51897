package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/policy"
)

// Records in a bucket do what package http asks of them: of two that begin one is first,
// and no state is followed by one before it, however many tell at once.
func TestRecordsInABucket(t *testing.T) {
	conn, err := Open(t.Context(), config.Bus{Config: config.Default().Bus.Config, Store: t.TempDir(), Listen: config.ListenOff}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	c := config.Records{Bucket: "R", TTL: policy.Duration(time.Hour)}
	k, err := openRecords(t.Context(), conn.JetStream(), c, log)
	require.NoError(t, err)
	require.Empty(t, said.String())
	for _, id := range []string{"h1-ab_c", "order 7/ä", strings.Repeat("x", 500), "hash.1"} {
		_, ok, err := k.Get(t.Context(), id)
		require.NoError(t, err)
		require.False(t, ok)
		require.NoError(t, k.Finish(t.Context(), id, http.StateDead, "nobody's"), "there is no record")

		var wg sync.WaitGroup
		first := make(chan string, 8)
		for i := range 8 {
			wg.Go(func() {
				r := http.Record{ID: id, Body: fmt.Sprint(i), State: http.StateReceived, At: time.Now().UTC()}
				before, had, err := k.Begin(context.WithoutCancel(t.Context()), r)
				switch {
				case err != nil:
					t.Error(err)
				case !had:
					first <- r.Body
				case before.ID != id:
					t.Errorf("%q is the record of %q", before.ID, id)
				}
			})
		}
		wg.Wait()
		require.Len(t, first, 1)
		for i := range 8 {
			wg.Go(func() {
				state := []http.State{http.StateStored, http.StateSucceeded}[i%2]
				if err := k.Finish(context.WithoutCancel(t.Context()), id, state, ""); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.NoError(t, k.Finish(t.Context(), id, http.StateDead, "too late"))
		r, ok, err := k.Get(t.Context(), id)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, http.StateSucceeded, r.State)
		require.Equal(t, <-first, r.Body)
		require.Empty(t, r.Reason)
	}
	c.TTL *= 2
	_, err = openRecords(t.Context(), conn.JetStream(), c, log)
	require.NoError(t, err)
	require.Contains(t, said.String(), "the bucket keeps records for another time than is configured")
}
