package kv_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services/kv"
	"github.com/ergon-framework/ergon/services/kv/kvtest"
	"github.com/ergon-framework/ergon/services/spec"
)

// store is what the suite goes through: all that a Store does.
type store interface {
	kv.Getter[region]
	kv.Putter[region]
	kv.Swapper[region]
	kv.Lister[region]
	Delete(ctx context.Context, key string) error
	PutTTL(ctx context.Context, key string, value region, ttl time.Duration) (uint64, error)
	CreateTTL(ctx context.Context, key string, value region, ttl time.Duration) (uint64, error)
}

// TestBehaviour: the bucket, the bucket with a cache, and the fake are the same to whoever
// uses them.
func TestBehaviour(t *testing.T) {
	srv := startServer(t)
	nc := srv.connect()
	buckets := 0
	kinds := map[string]func(t *testing.T) store{
		"bucket": func(t *testing.T) store {
			buckets++
			return started[region](t, setup(func(c *spec.KV) { c.Bucket = "B" + strconv.Itoa(buckets) }), kv.Conn(nc))
		},
		"history": func(t *testing.T) store {
			buckets++
			return started[region](t, setup(func(c *spec.KV) { c.Bucket, c.History = "B"+strconv.Itoa(buckets), 5 }), kv.Conn(nc))
		},
		"cache": func(t *testing.T) store {
			buckets++
			return started[region](t, setup(func(c *spec.KV) { c.Bucket, c.Cache = "B"+strconv.Itoa(buckets), true }), kv.Conn(nc))
		},
		"fake": func(t *testing.T) store { return kvtest.New[region](t, setup(nil)) },
	}
	for kind, make := range kinds {
		for name, test := range behaviours {
			t.Run(kind+"/"+name, func(t *testing.T) { test(t, make(t)) })
		}
	}
}

var (
	de = region{"Germany", 19}
	fr = region{"France", 20}
)

var behaviours = map[string]func(t *testing.T, s store){
	"get": func(t *testing.T, s store) {
		_, err := s.Get(t.Context(), "de")
		business(t, err, kv.ErrNotFound)
		revision, err := s.Put(t.Context(), "de", de)
		require.NoError(t, err)
		v, err := s.Get(t.Context(), "de")
		require.NoError(t, err)
		require.Equal(t, de, v)
		e, err := s.Entry(t.Context(), "de")
		require.NoError(t, err)
		require.Equal(t, revision, e.Revision)
		require.Equal(t, "de", e.Key)
		require.WithinDuration(t, time.Now(), e.Created, time.Minute)
	},
	"put goes over what was there": func(t *testing.T, s store) {
		first, err := s.Put(t.Context(), "x", de)
		require.NoError(t, err)
		second, err := s.Put(t.Context(), "x", fr)
		require.NoError(t, err)
		require.Greater(t, second, first)
		v, err := s.Get(t.Context(), "x")
		require.NoError(t, err)
		require.Equal(t, fr, v)
	},
	"create": func(t *testing.T, s store) {
		_, err := s.Create(t.Context(), "de", de)
		require.NoError(t, err)
		_, err = s.Create(t.Context(), "de", fr)
		business(t, err, kv.ErrExists)
		v, err := s.Get(t.Context(), "de")
		require.NoError(t, err)
		require.Equal(t, de, v)
		require.NoError(t, s.Delete(t.Context(), "de"))
		_, err = s.Create(t.Context(), "de", fr)
		require.NoError(t, err, "a deleted key has no value")
		v, err = s.Get(t.Context(), "de")
		require.NoError(t, err)
		require.Equal(t, fr, v)
	},
	"update": func(t *testing.T, s store) {
		_, err := s.Update(t.Context(), "de", de, 0)
		business(t, err, kv.ErrConflict)
		_, err = s.Update(t.Context(), "de", de, 7)
		business(t, err, kv.ErrConflict)
		first, err := s.Put(t.Context(), "de", de)
		require.NoError(t, err)
		second, err := s.Update(t.Context(), "de", fr, first)
		require.NoError(t, err)
		require.Greater(t, second, first)
		_, err = s.Update(t.Context(), "de", de, first)
		business(t, err, kv.ErrConflict)
		v, err := s.Get(t.Context(), "de")
		require.NoError(t, err)
		require.Equal(t, fr, v)
		require.NoError(t, s.Delete(t.Context(), "de"))
		_, err = s.Update(t.Context(), "de", de, second)
		business(t, err, kv.ErrConflict)
	},
	"delete": func(t *testing.T, s store) {
		require.NoError(t, s.Delete(t.Context(), "de"), "that there is none is no error")
		revision, err := s.Put(t.Context(), "de", de)
		require.NoError(t, err)
		business(t, s.DeleteAt(t.Context(), "de", revision+1), kv.ErrConflict)
		business(t, s.DeleteAt(t.Context(), "de", 0), kv.ErrConflict)
		require.NoError(t, s.DeleteAt(t.Context(), "de", revision))
		_, err = s.Get(t.Context(), "de")
		business(t, err, kv.ErrNotFound)
		business(t, s.DeleteAt(t.Context(), "de", revision), kv.ErrConflict)
	},
	"keys that are none": func(t *testing.T, s store) {
		for _, key := range []string{"", ".a", "a.", "a..b", "a b", "a*", "ä", ">", "a\r\nb", strings.Repeat("k", 1025)} {
			_, err := s.Get(t.Context(), key)
			business(t, err, kv.ErrKey)
			_, err = s.Put(t.Context(), key, de)
			business(t, err, kv.ErrKey)
			business(t, s.Delete(t.Context(), key), kv.ErrKey)
		}
		key := strings.Repeat("k", 1024)
		_, err := s.Put(t.Context(), key, de)
		require.NoError(t, err)
		_, err = s.Get(t.Context(), key)
		require.NoError(t, err)
		any := kv.Key("", "a b", "ä=.", "x\r\n>*")
		_, err = s.Put(t.Context(), any, fr)
		require.NoError(t, err)
		v, err := s.Get(t.Context(), any)
		require.NoError(t, err)
		require.Equal(t, fr, v)
	},
	"a key's own time": func(t *testing.T, s store) {
		_, err := s.PutTTL(t.Context(), "de", de, 0)
		business(t, err, kv.ErrTTL)
		_, err = s.CreateTTL(t.Context(), "de", de, -time.Second)
		business(t, err, kv.ErrTTL)
		first, err := s.CreateTTL(t.Context(), "de", de, time.Millisecond)
		require.NoError(t, err)
		_, err = s.PutTTL(t.Context(), "fr", fr, time.Second)
		require.NoError(t, err)
		_, err = s.PutTTL(t.Context(), "stays", fr, time.Hour)
		require.NoError(t, err)
		v, err := s.Get(t.Context(), "de")
		require.NoError(t, err, "it has a second: times are rounded up")
		require.Equal(t, de, v)
		for _, key := range []string{"de", "fr"} {
			eventually(t, key+" is gone", func() bool {
				_, err := s.Get(t.Context(), key)
				return errors.Is(err, kv.ErrNotFound)
			})
		}
		_, err = s.Get(t.Context(), "stays")
		require.NoError(t, err)
		eventually(t, "its revision is none", func() bool {
			_, err = s.Update(t.Context(), "de", fr, first)
			return errors.Is(err, kv.ErrConflict)
		})
		_, err = s.CreateTTL(t.Context(), "de", fr, time.Hour)
		require.NoError(t, err, "a value whose time is over is none")
	},
	"all": func(t *testing.T, s store) {
		for range s.Keys(t.Context()) {
			require.Fail(t, "there is none")
		}
		want := map[string]region{}
		for i := range 600 { // more than two pages
			key := "k." + strconv.Itoa(i)
			want[key] = region{Name: key, Tax: float64(i)}
			_, err := s.Put(t.Context(), key, want[key])
			require.NoError(t, err)
		}
		require.NoError(t, s.Delete(t.Context(), "k.7"))
		delete(want, "k.7")
		got := map[string]region{}
		for e, err := range s.All(t.Context()) {
			require.NoError(t, err)
			require.NotZero(t, e.Revision)
			got[e.Key] = e.Value
		}
		require.Equal(t, want, got)
		var keys []string
		for key, err := range s.Keys(t.Context()) {
			require.NoError(t, err)
			keys = append(keys, key)
		}
		slices.Sort(keys)
		require.Equal(t, slices.Sorted(maps.Keys(want)), keys)
		for range s.Keys(t.Context()) {
			break // what is left early is closed: goleak looks
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, err := range s.All(ctx) {
			require.ErrorIs(t, err, context.Canceled)
		}
	},
}

// business says that err is the service's answer.
func business(t testing.TB, err, is error) {
	t.Helper()
	require.ErrorIs(t, err, is)
	require.ErrorIs(t, err, ergon.CategoryBusiness)
}
