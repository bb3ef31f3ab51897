package http_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// recording is a server whose requests are recorded, and what tells of their outcomes.
func recording(t *testing.T, s *shelf, records http.Records) (*rig, *http.Outcomes) {
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s, Records: records})
	require.NoError(t, err)
	r := serve(t, http.ServerConfig{}, func(server *http.Server) {
		auth := http.Auth{Bearer: []http.Bearer{{Principal: "alice", Token: token}, {Principal: "bob", Token: "0123456789abcdef-bob"}}}
		require.NoError(t, server.Add(http.Route{Path: "/orders/{tenant}", Auth: auth}, receiver))
		require.NoError(t, server.Add(http.Route{Path: "/open"}, receiver))
	})
	outcomes := http.NewOutcomes(http.OutcomesConfig{Records: records, Sources: []string{http.Route{Path: "/orders/{tenant}"}.Source(), http.Route{Path: "/open"}.Source()}})
	t.Cleanup(func() { require.NoError(t, outcomes.Close(context.Background())) })
	return r, outcomes
}

// status asks until the state is that one.
func (r *rig) status(path, state string, headers ...string) (reason string) {
	r.t.Helper()
	eventually(r.t, func() bool {
		resp := r.do(r.request("GET", path, "", headers...))
		require.Equal(r.t, 200, resp.StatusCode, resp.body)
		var told struct{ State, Reason string }
		require.NoError(r.t, json.Unmarshal([]byte(resp.body), &told))
		reason = told.Reason
		return told.State == state
	})
	return reason
}

// Whoever sent a transaction can ask what became of it, and nobody else.
func TestStatus(t *testing.T) {
	s := &shelf{}
	r, outcomes := recording(t, s, http.NewMemoryRecords(time.Hour, 100))
	alice, bob := "Bearer "+token, "Bearer 0123456789abcdef-bob"
	resp := r.post("/orders/acme%2Fltd", "1", "Authorization", alice)
	require.Equal(t, 202, resp.StatusCode, resp.body)
	at := resp.Header.Get("Location")
	require.Equal(t, "/orders/acme%2Fltd/status/"+resp.transaction(t), at)
	require.Contains(t, resp.body, at)

	r.status(at, "pending", "Authorization", alice)
	r.do(r.request("GET", at, "", "Authorization", bob)).problem(t, 404, "no such transaction")
	r.do(r.request("GET", at, "")).problem(t, 401, "")
	outcomes.Tell(s.stored()[0], nil)
	r.status(at, "succeeded", "Authorization", alice)
	outcomes.Tell(s.stored()[0], &ergon.Error{Category: ergon.CategorySystem, Err: errDown}) // a second outcome
	r.do(r.request("GET", "/orders/x/status/none", "", "Authorization", alice)).problem(t, 404, "no longer remembered")

	at = r.post("/orders/acme", "2", "Authorization", alice).Header.Get("Location")
	outcomes.Tell(s.stored()[1], &ergon.Error{Category: ergon.CategorySystem, Err: errDown})
	require.Equal(t, "SYSTEM: the bus is down", r.status(at, "dead", "Authorization", alice))
	for i, failed := range []*ergon.Error{
		{Category: ergon.CategorySystem, Err: errDown}, {Category: ergon.CategoryBusiness, Err: fmt.Errorf("no quantity")},
		{Category: ergon.CategoryBusiness, Phase: ergon.PhaseProcess, Err: fmt.Errorf("no quantity")},
		{Category: ergon.CategoryBusiness, Phase: ergon.PhaseProduce, Err: fmt.Errorf("POST http://db7.internal: 400")},
	} {
		at := r.post("/open", "3").Header.Get("Location")
		outcomes.Tell(s.stored()[2+i], failed)
		require.Equal(t, []string{"SYSTEM", "BUSINESS: no quantity", "BUSINESS in process: no quantity", "BUSINESS"}[i], r.status(at, "dead"))
	}
	require.Equal(t, "", r.status(resp.Header.Get("Location"), "succeeded", "Authorization", alice), "the first outcome stands")
}

// With records a key is known for as long as they live, whatever the sink remembers.
func TestRecordsTellRetries(t *testing.T) {
	s := &shelf{fail: errDown}
	r, _ := recording(t, s, http.NewMemoryRecords(time.Hour, 2))
	r.post("/open", "x", "Idempotency-Key", "k").problem(t, 503, "can't be stored now")
	s.change(func(s *shelf) { s.fail = nil })
	require.Equal(t, 202, r.post("/open", "x", "Idempotency-Key", "k").StatusCode, "what was not stored is stored by the retry")
	require.Len(t, s.stored(), 1)
	s.change(func(s *shelf) { s.all = nil }) // as after its window
	require.Equal(t, 202, r.post("/open", "x", "Idempotency-Key", "k").StatusCode)
	require.Empty(t, s.stored(), "it was stored before")
	r.post("/open", "y", "Idempotency-Key", "k").problem(t, 422, "used with another body")

	require.Equal(t, 202, r.post("/open", "z").StatusCode)
	r.post("/open", "z").problem(t, 503, "can't be recorded now") // there are two, which is the most
	require.Len(t, s.stored(), 1)
}

// Of many requests with one key and as many bodies, at once, one is stored and the others
// are told.
func TestOneKeyAtOnce(t *testing.T) {
	for name, records := range map[string]http.Records{"records": http.NewMemoryRecords(time.Hour, 100), "none": nil} {
		t.Run(name, func(t *testing.T) {
			s := &shelf{}
			receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s, Records: records})
			require.NoError(t, err)
			r := serve(t, http.ServerConfig{}, func(server *http.Server) { require.NoError(t, server.Add(http.Route{Path: "/in"}, receiver)) })
			var all []<-chan response
			for i := range 20 {
				all = append(all, r.later("/in", fmt.Sprint(i%10), "Idempotency-Key", "k"))
			}
			statuses := map[int]int{}
			for _, c := range all {
				statuses[receive(t, c).StatusCode]++
			}
			require.Equal(t, map[int]int{202: 2, 422: 18}, statuses)
			require.Len(t, s.stored(), 1)
		})
	}
}

func TestMemoryRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := http.NewMemoryRecords(time.Minute, 2)
		begin := func(id string) (http.Record, bool, error) {
			return m.Begin(t.Context(), http.Record{ID: id, State: http.StateReceived})
		}
		state := func(id string) http.State {
			r, _, err := m.Get(t.Context(), id)
			require.NoError(t, err)
			return r.State
		}
		_, had, err := begin("a")
		require.False(t, had)
		require.NoError(t, err)
		require.NoError(t, m.Finish(t.Context(), "a", http.StateDead, "why"))
		for _, back := range []http.State{http.StateReceived, http.StateStored, http.StateSucceeded, "nonsense"} {
			require.NoError(t, m.Finish(t.Context(), "a", back, ""))
			require.Equal(t, http.StateDead, state("a"))
		}
		r, had, err := begin("a")
		require.True(t, had)
		require.NoError(t, err)
		require.Equal(t, "why", r.Reason)
		require.NoError(t, m.Finish(t.Context(), "nobody's", http.StateDead, ""))
		require.Empty(t, state("nobody's"))

		time.Sleep(30 * time.Second)
		_, _, err = begin("b")
		require.NoError(t, err)
		_, _, err = begin("c")
		require.ErrorContains(t, err, "there are 2")
		time.Sleep(30 * time.Second)
		require.Empty(t, state("a"), "its time is over")
		require.Equal(t, http.StateReceived, state("b"))
		_, _, err = begin("c")
		require.NoError(t, err)
	})
}

// slowRecords hold Finish until they are let go, or its context ends.
type slowRecords struct {
	http.Records
	begun, let chan struct{}
}

func (s slowRecords) Finish(ctx context.Context, id string, state http.State, reason string) error {
	s.begun <- struct{}{}
	select {
	case <-s.let:
		return s.Records.Finish(ctx, id, state, reason)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Tell never waits: what finds no room is dropped and counted. Close records what waits,
// or gives it up with its context.
func TestOutcomesAreBounded(t *testing.T) {
	slow := slowRecords{http.NewMemoryRecords(time.Hour, 10), make(chan struct{}, 10), make(chan struct{})}
	var mu sync.Mutex
	var failed []error
	o := http.NewOutcomes(http.OutcomesConfig{Records: slow, Concurrency: 1, Queue: 1, OnError: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failed = append(failed, err)
	}})
	tx := ergon.New([]byte("x"), ergon.WithID("tx"))
	o.Tell(tx, nil)
	receive(t, slow.begun)
	o.Tell(tx, nil)
	o.Tell(tx, nil)
	o.Tell(tx, nil)
	require.EqualValues(t, 2, o.Dropped())
	require.Len(t, failed, 1, "dropping is told once a minute")
	require.ErrorContains(t, failed[0], "1 were dropped so far")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, o.Close(ended), context.Canceled)
	require.NoError(t, o.Close(t.Context()))
	require.Len(t, failed, 2)
	require.ErrorContains(t, failed[1], `record that transaction "tx" is succeeded`)
	require.EqualValues(t, 3, o.Dropped(), "one waited when the context ended")
	o.Tell(tx, nil)
	require.EqualValues(t, 4, o.Dropped())
}
