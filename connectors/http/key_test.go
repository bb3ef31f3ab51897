package http_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/connectors/http"
)

const token = "0123456789abcdef-alice"

// A request that is sent again with its key is the same transaction, and stored once. The
// same key with another body, or another content type, is not.
func TestKeys(t *testing.T) {
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/in"})
	one := r.post("/in", "x", "Idempotency-Key", "k")
	require.Equal(t, 202, one.StatusCode)
	for _, key := range []string{"k", `"k"`} { // as most write it, and as its draft does
		again := r.post("/in", "x", "Idempotency-Key", key)
		require.Equal(t, 202, again.StatusCode, again.body)
		require.Equal(t, one.transaction(t), again.transaction(t))
	}
	require.Len(t, s.stored(), 1)
	r.post("/in", "y", "Idempotency-Key", "k").problem(t, 422, "used with another body")
	r.post("/in", "x", "Idempotency-Key", "k", "Content-Type", "text/plain").problem(t, 422, "used with another body")
	require.Len(t, s.stored(), 1)
	require.Equal(t, "x", string(s.stored()[0].Payload()))

	s.change(func(s *shelf) { s.gone = true })
	gone := r.post("/in", "x", "Idempotency-Key", "k")
	gone.problem(t, 409, "can't be compared any more")
	require.Equal(t, one.transaction(t), gone.transaction(t))

	for _, bad := range []string{"", `"`, `"a`, `"a"b"`, "a b", "a,b", "é", strings.Repeat("k", 256)} {
		r.post("/in", "x", "Idempotency-Key", bad).problem(t, 400, "idempotency-key")
	}
	r.post("/in", "x", "Idempotency-Key", "a", "Idempotency-Key", "b").problem(t, 400, "more than once")
	require.Len(t, s.stored(), 1)

	r.post("/in", "x")
	r.post("/in", "x")
	require.Len(t, s.stored(), 3, "without a key each is another one")
}

// The ID is a function of route, path, principal and key, and of nothing else. The values
// are frozen: with others, a retry after an upgrade would be stored again.
func TestIdentityOfKeys(t *testing.T) {
	s := &shelf{}
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s})
	require.NoError(t, err)
	r := serve(t, http.ServerConfig{}, func(server *http.Server) {
		auth := http.Auth{Bearer: []http.Bearer{
			{Principal: "alice", Token: token}, {Principal: "bob", Token: "0123456789abcdef-bob"},
			{Principal: "alice", Token: "0123456789abcdef-next"},
		}}
		require.NoError(t, server.Add(http.Route{Path: "/a/{x}", Auth: auth, Name: "a"}, receiver))
		require.NoError(t, server.Add(http.Route{Path: "/b/{x}", Auth: auth}, receiver))
		require.NoError(t, server.Add(http.Route{Path: "/c", Name: "c", Type: "t"}, receiver))
	})
	id := func(path string, headers ...string) string {
		resp := r.post(path, "x", headers...)
		require.Equal(t, 202, resp.StatusCode, resp.body)
		return resp.transaction(t)
	}
	alice, next, bob := "Bearer "+token, "Bearer 0123456789abcdef-next", "bearer 0123456789abcdef-bob"
	ids := []string{
		id("/a/1", "Authorization", alice, "Idempotency-Key", "k"),
		id("/a/2", "Authorization", alice, "Idempotency-Key", "k"),
		id("/a/1", "Authorization", bob, "Idempotency-Key", "k"),
		id("/a/1", "Authorization", alice, "Idempotency-Key", "l"),
		id("/b/1", "Authorization", alice, "Idempotency-Key", "k"),
		id("/a/1", "Authorization", alice, "ce-specversion", "1.0", "ce-id", "k", "ce-source", "/s", "ce-type", "t"),
		id("/c", "Idempotency-Key", "k"),
	}
	for i, one := range ids {
		for _, other := range ids[i+1:] {
			require.NotEqual(t, one, other)
		}
	}
	require.Equal(t, ids[0], id("/a/1", "Authorization", next, "Idempotency-Key", "k"), "a new token is the same principal")
	require.Equal(t, "h1-b16bc22200f2f638de06ede9b0fdb69e", ids[6])
}

// An event's own identity is a key too, and goes with it as metadata, for the ID is ours.
// A peer's is kept.
func TestIdentityOfEvents(t *testing.T) {
	s := &shelf{}
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s})
	require.NoError(t, err)
	r := serve(t, http.ServerConfig{}, func(server *http.Server) {
		require.NoError(t, server.Add(http.Route{Path: "/in"}, receiver))
		require.NoError(t, server.Add(http.Route{Path: "/peer", Peer: true}, receiver))
	})
	event := []string{"ce-specversion", "1.0", "ce-id", "e%20%E2%82%AC", "ce-source", "/s", "ce-type", "t"}
	one := r.post("/in", "x", event...)
	require.Equal(t, one.transaction(t), r.post("/in", "x", event...).transaction(t))
	r.post("/in", "y", event...).problem(t, 422, "used with another body")
	require.Len(t, s.stored(), 1)
	require.Equal(t, map[string]string{"ce-id": "e €", "ce-source": "/s"}, first(s.stored()[0].Metadata()))

	resp := r.post("/peer", "x", append(event, "Ergon-Meta-tenant", "acme%20ltd", "Idempotency-Key", "k")...)
	require.Equal(t, "e €", resp.transaction(t))
	tx := s.stored()[1]
	require.Equal(t, "/s", tx.Source())
	require.Equal(t, map[string]string{"tenant": "acme ltd"}, first(tx.Metadata()))
	r.post("/peer", "y", event...).problem(t, 422, "used with another body")
	r.post("/in", "x", "Ergon-Meta-tenant", "acme")
	require.Zero(t, s.stored()[2].Metadata().Len(), "a stranger's is not taken")
}
