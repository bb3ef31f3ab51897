package kv_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/kv"
	"github.com/ergon-framework/ergon/services/spec"
)

func cached(c *spec.KV) { c.Cache = true }

// other is whoever else writes to the bucket.
func other(t testing.TB, nc *nats.Conn) *kv.Store[region] {
	return started[region](t, services.Setup[spec.KV]{Name: "other", Config: spec.KV{Bucket: "REGIONS"}}, kv.Conn(nc))
}

// sees waits until a get returns the value, or with none that there is none.
func sees(t testing.TB, s kv.Getter[region], key string, want region) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is %v", key, want), func() bool {
		v, err := s.Get(context.Background(), key)
		if want == (region{}) {
			return errors.Is(err, kv.ErrNotFound)
		}
		return err == nil && v == want
	})
}

func healthy(t testing.TB, s interface{ Health() error }) {
	t.Helper()
	eventually(t, "healthy", func() bool { return s.Health() == nil })
}

// requests counts what went to the server.
func requests(nc *nats.Conn) uint64 { return nc.Stats().OutMsgs }

func TestCacheAsksNobodyAndFollows(t *testing.T) {
	srv := startServer(t)
	nc, theirs := srv.connect(), srv.connect()
	first := started[region](t, setup(nil), kv.Conn(theirs))
	for i := range 1000 {
		_, err := first.Put(t.Context(), strconv.Itoa(i), region{Name: strconv.Itoa(i)})
		require.NoError(t, err)
	}
	_, err := first.Put(t.Context(), "0", de)
	require.NoError(t, err)
	require.NoError(t, first.Delete(t.Context(), "1"))

	s := started[region](t, setup(cached), kv.Conn(nc))
	require.NoError(t, s.Health(), "Start waits until it is filled")
	before := requests(nc)
	for i := 2; i < 1000; i++ {
		v, err := s.Get(t.Context(), strconv.Itoa(i))
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(i), v.Name)
	}
	v, err := s.Get(t.Context(), "0")
	require.NoError(t, err)
	require.Equal(t, de, v)
	_, err = s.Get(t.Context(), "1")
	business(t, err, kv.ErrNotFound)
	n := 0
	for _, err := range s.All(t.Context()) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 999, n)
	require.Equal(t, before, requests(nc), "none of this asked the server")

	_, err = first.Put(t.Context(), "1", fr)
	require.NoError(t, err)
	sees(t, s, "1", fr)
	require.NoError(t, first.Delete(t.Context(), "0"))
	sees(t, s, "0", region{})
	require.Equal(t, before, requests(nc), "nor did following")
}

// TestCacheAfterRestart: what is written while the watch is away is seen, and nothing is
// returned meanwhile that the bucket would not say.
func TestCacheAfterRestart(t *testing.T) {
	srv := startServer(t)
	nc := srv.connect()
	s := started[region](t, setup(cached), kv.Conn(nc))
	for _, key := range []string{"a", "b", "c"} {
		_, err := s.Put(t.Context(), key, de)
		require.NoError(t, err)
	}
	srv.stop()
	eventually(t, "its health says so", func() bool { return s.Health() != nil })
	_, err := s.Get(short(t), "a")
	require.Error(t, err, "a cache that nobody keeps is not used")
	t.Log(s.Health())

	srv.start()
	o := other(t, srv.connect())
	_, err = o.Put(t.Context(), "a", fr)
	require.NoError(t, err)
	require.NoError(t, o.Delete(t.Context(), "b"))
	sees(t, s, "a", fr)
	sees(t, s, "b", region{})
	sees(t, s, "c", de)
	healthy(t, s)
	before := requests(nc)
	v, err := s.Get(t.Context(), "c")
	require.NoError(t, err)
	require.Equal(t, de, v)
	require.Equal(t, before, requests(nc), "the cache is in use again")
	_, err = o.Put(t.Context(), "c", fr)
	require.NoError(t, err)
	sees(t, s, "c", fr)
}

// TestCacheOfBucketMadeAnew: its revisions begin at 1 again, below all that the cache knew.
func TestCacheOfBucketMadeAnew(t *testing.T) {
	srv := startServer(t)
	nc := srv.connect()
	s := started[region](t, setup(cached), kv.Conn(nc))
	for i := range 10 {
		_, err := s.Put(t.Context(), "a", region{Tax: float64(i)})
		require.NoError(t, err)
		_, err = s.Put(t.Context(), "gone", de)
		require.NoError(t, err)
	}
	manager := js(t, srv.connect())
	require.NoError(t, manager.DeleteKeyValue(t.Context(), "REGIONS"))
	eventually(t, "its health names it", func() bool {
		err := s.Health()
		return err != nil && errors.Is(err, jetstream.ErrStreamNotFound)
	})
	require.ErrorContains(t, s.Health(), "nats kv add REGIONS")
	_, err := s.Get(short(t), "a")
	require.ErrorContains(t, err, "nobody answers for it")

	_, err = manager.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "REGIONS"})
	require.NoError(t, err)
	_, err = other(t, srv.connect()).Put(t.Context(), "a", fr)
	require.NoError(t, err)
	healthy(t, s) // also if nobody asks for anything
	sees(t, s, "a", fr)
	sees(t, s, "gone", region{})

	// At once: no moment at which it was missing could be noticed.
	require.NoError(t, manager.DeleteKeyValue(t.Context(), "REGIONS"))
	_, err = manager.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "REGIONS"})
	require.NoError(t, err)
	sees(t, s, "a", region{})
	healthy(t, s)
	_, err = s.Put(t.Context(), "a", de)
	require.NoError(t, err)
	sees(t, s, "a", de)
}

// TestCacheAfterLostUpdate: what comes shows that more was sent than came.
func TestCacheAfterLostUpdate(t *testing.T) {
	nc := startServer(t).connect()
	s := started[region](t, setup(cached), kv.Conn(nc))
	_, err := s.Put(t.Context(), "a", de)
	require.NoError(t, err)
	for name, lost := range map[string]*nats.Msg{
		"heartbeat": {Header: nats.Header{"Status": {"100"}, "Nats-Last-Consumer": {"7"}}},
		"end":       {Header: nats.Header{"Status": {"409"}, "Description": {"Consumer Deleted"}}},
	} {
		was := lastWatch(t, js(t, nc))
		lost.Subject = was
		require.NoError(t, nc.PublishMsg(lost))
		eventually(t, "another watch after "+name, func() bool { return lastWatch(t, js(t, nc)) != was && s.Health() == nil })
		sees(t, s, "a", de)
	}
}

// lastWatch is where the watch is delivered that was made last.
func lastWatch(t testing.TB, manager jetstream.JetStream) (subject string) {
	stream, err := manager.Stream(t.Context(), "KV_REGIONS")
	require.NoError(t, err)
	var latest time.Time
	for c := range stream.ListConsumers(t.Context()).Info() {
		if c.Created.After(latest) {
			latest, subject = c.Created, c.Config.DeliverSubject
		}
	}
	return subject
}

// TestListingThatIsDisturbed: a page that failed is asked for again, and nothing comes twice.
func TestListingThatIsDisturbed(t *testing.T) {
	srv := startServer(t)
	nc := srv.connect()
	s := started[string](t, setup(nil), kv.Conn(nc))
	manager := js(t, nc)
	const n = 2000 // so large that the server waits to be told that they arrive
	value := strings.Repeat("x", 4096)
	for i := range n {
		_, err := manager.PublishAsync("$KV.REGIONS."+strconv.Itoa(i), []byte(value), jetstream.WithStallWait(20*time.Second))
		require.NoError(t, err)
	}
	<-manager.PublishAsyncComplete()
	seen := map[string]int{}
	for e, err := range s.All(t.Context()) {
		require.NoError(t, err)
		if seen[e.Key]++; len(seen) == 100 {
			m := nats.NewMsg(lastWatch(t, manager))
			m.Header.Set("Status", "100")
			m.Header.Set("Nats-Last-Consumer", "99999")
			require.NoError(t, nc.PublishMsg(m))
		}
	}
	require.Len(t, seen, n)
	for key, times := range seen {
		require.Equal(t, 1, times, key)
	}
	for _, op := range s.Seam().Metrics().Operations {
		if op.Name == "regions.all" {
			require.EqualValues(t, 1, op.Retries)
		}
	}
}

func TestCacheOverItsBounds(t *testing.T) {
	srv := startServer(t)
	nc := srv.connect()
	writer := started[region](t, setup(nil), kv.Conn(nc))
	small := func(c *spec.KV) { c.Cache, c.CacheBytes = true, 100 }
	s := started[region](t, setup(small), kv.Conn(nc))
	require.NoError(t, s.Health())
	for i := range 10 {
		_, err := writer.Put(t.Context(), strconv.Itoa(i), de)
		require.NoError(t, err)
	}
	eventually(t, "it is over", func() bool { return s.Health() != nil })
	require.ErrorContains(t, s.Health(), "over cache_bytes")
	v, err := s.Get(t.Context(), "9")
	require.NoError(t, err, "gets go to the bucket")
	require.Equal(t, de, v)

	late := started[region](t, setup(small), kv.Conn(nc))
	eventually(t, "it says so", func() bool {
		err := late.Health()
		return err != nil && errors.Is(err, kv.ErrOver)
	})
	_, err = late.Get(t.Context(), "9")
	require.NoError(t, err)
}

// TestCacheOfValuesInTime: a bucket that tells nobody when a value's time is over.
func TestCacheOfValuesInTime(t *testing.T) {
	srv := startServer(t)
	nc := srv.connect()
	_, err := js(t, nc).CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "REGIONS", TTL: time.Second})
	require.NoError(t, err)
	s := started[region](t, setup(cached), kv.Conn(nc))
	_, err = other(t, srv.connect()).Put(t.Context(), "a", de)
	require.NoError(t, err)
	sees(t, s, "a", de)
	sees(t, s, "a", region{})
	for range s.All(t.Context()) {
		require.Fail(t, "there is none")
	}
	_, err = s.PutTTL(t.Context(), "a", de, time.Second)
	require.ErrorContains(t, err, "no time to single keys")
	require.ErrorContains(t, err, "--marker-ttl")
}

// TestManySmallValues: more than a client's library keeps of messages that wait.
func TestManySmallValues(t *testing.T) {
	nc := startServer(t).connect()
	manager := js(t, nc)
	_, err := manager.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "REGIONS", Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	const n = 70_000
	for i := range n {
		_, err := manager.PublishAsync("$KV.REGIONS."+strconv.Itoa(i), []byte("{}"), jetstream.WithStallWait(20*time.Second))
		require.NoError(t, err)
	}
	<-manager.PublishAsyncComplete()
	for name, s := range map[string]*kv.Store[region]{
		"cache": started[region](t, setup(cached), kv.Conn(nc)), "bucket": started[region](t, setup(nil), kv.Conn(nc)),
	} {
		keys := make(map[string]bool, n)
		for key, err := range s.Keys(t.Context()) {
			require.NoError(t, err, name)
			keys[key] = true
		}
		require.Len(t, keys, n, name)
		require.NoError(t, s.Health())
	}
}

// TestWhatIsReturnedIsTheCallers: who changes a value changes nobody else's.
func TestWhatIsReturnedIsTheCallers(t *testing.T) {
	nc := startServer(t).connect()
	lists := started[[]int](t, setup(cached), kv.Conn(nc))
	_, err := lists.Put(t.Context(), "a", []int{1, 2})
	require.NoError(t, err)
	v, err := lists.Get(t.Context(), "a")
	require.NoError(t, err)
	v[0] = 7
	v, err = lists.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, v)

	raw := started[[]byte](t, setup(cached), kv.Conn(nc))
	mine := []byte("hello")
	_, err = raw.Put(t.Context(), "b", mine)
	require.NoError(t, err)
	mine[0] = 'X'
	b, err := raw.Get(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, "hello", string(b), "what was written is not the writer's any more")
	b[0] = 'Y'
	b, err = raw.Get(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))
	text := started[string](t, setup(nil), kv.Conn(nc))
	word, err := text.Get(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, "hello", word)
}

func short(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
