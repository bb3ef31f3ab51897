package kv_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/kv"
	"github.com/ergon-framework/ergon/services/spec"
)

func TestConfigFaults(t *testing.T) {
	bad := setup(func(c *spec.KV) {
		*c = spec.KV{Bucket: "a b", TTL: policy.Duration(time.Millisecond), History: 65, Replicas: 6, CacheBytes: -1}
	})
	_, err := kv.New[int](bad, kv.Conn(nil))
	for _, fault := range []string{`service "regions"`, `bucket "a b"`, "ttl is 1ms", "history is 65", "replicas is 6", "cache_bytes is -1"} {
		require.ErrorContains(t, err, fault)
	}
	_, err = kv.New[int](setup(nil), nil)
	require.ErrorContains(t, err, "kv.Conn")
	s := setup(nil)
	s.Name = "No Name"
	_, err = kv.New[int](s, kv.Conn(nil))
	require.ErrorContains(t, err, "No Name")
}

func TestStart(t *testing.T) {
	srv := startServer(t)
	nc := srv.connect()
	manager := js(t, nc)
	ctx := t.Context()

	s, err := kv.New[region](services.Setup[spec.KV]{Name: "regions", Config: spec.KV{Bucket: "REGIONS"}}, kv.Conn(nc))
	require.NoError(t, err)
	require.ErrorIs(t, s.Health(), kv.ErrNotStarted)
	_, err = s.Get(ctx, "a")
	require.ErrorIs(t, err, kv.ErrNotStarted)
	_, err = s.Put(ctx, "a", de)
	require.ErrorIs(t, err, kv.ErrNotStarted)
	require.ErrorIs(t, err, ergon.CategorySystem)
	require.NoError(t, s.Stop(ctx))
	err = s.Start(ctx)
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	require.ErrorContains(t, err, "nats kv add REGIONS")
	require.ErrorContains(t, err, "create: true")

	// What is made is as the configuration says.
	full := setup(func(c *spec.KV) { c.TTL, c.History, c.Cache = policy.Duration(time.Hour), 3, true })
	made := started[region](t, full, kv.Conn(nc))
	require.ErrorContains(t, made.Start(ctx), "started already")
	stream, err := manager.Stream(ctx, "KV_REGIONS")
	require.NoError(t, err)
	cfg := stream.CachedInfo().Config
	require.Equal(t, time.Hour, cfg.MaxAge)
	require.EqualValues(t, 3, cfg.MaxMsgsPerSubject)
	require.True(t, cfg.AllowMsgTTL)
	require.NoError(t, s.Start(ctx))

	// It may be stopped and started, and works between.
	require.NoError(t, made.Stop(ctx))
	require.NoError(t, made.Stop(ctx))
	require.ErrorContains(t, made.Health(), "stopped")
	_, err = made.Put(ctx, "a", de)
	require.NoError(t, err)
	sees(t, made, "a", de)
	require.NoError(t, made.Start(ctx))
	require.NoError(t, made.Health())
	sees(t, made, "a", de)

	// What is there and differs is said and used.
	var lines bytes.Buffer
	differs := setup(nil)
	differs.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	started[region](t, differs, kv.Conn(nc))
	require.Contains(t, lines.String(), "ttl is 1h0m0s, and not 0s; history is 3, and not 1")
	require.Contains(t, lines.String(), "service=regions")
	lines.Reset()
	differs.Config.Create = false
	started[region](t, differs, kv.Conn(nc))
	require.Empty(t, lines.String(), "where nothing is asked for nothing differs")

	// What is no bucket, or not its own.
	_, err = manager.CreateStream(ctx, jetstream.StreamConfig{Name: "KV_PLAIN", Subjects: []string{"plain"}})
	require.NoError(t, err)
	_, err = manager.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "MIRROR", Mirror: &jetstream.StreamSource{Name: "REGIONS"}})
	require.NoError(t, err)
	for bucket, why := range map[string]string{"PLAIN": "no bucket", "MIRROR": "mirrors REGIONS"} {
		s, err := kv.New[region](setup(func(c *spec.KV) { c.Bucket = bucket }), kv.Conn(nc))
		require.NoError(t, err)
		require.ErrorContains(t, s.Start(ctx), why)
	}
}

func TestValuesThatDoNotFit(t *testing.T) {
	nc := startServer(t).connect()
	text := started[string](t, setup(nil), kv.Conn(nc))
	_, err := text.Put(t.Context(), "a", `{"Tax":"secret"}`)
	require.NoError(t, err)
	s := started[region](t, setup(cached), kv.Conn(nc))
	_, err = s.Get(t.Context(), "a")
	require.ErrorIs(t, err, kv.ErrDecode)
	require.ErrorIs(t, err, ergon.CategorySystem)
	for _, part := range []string{`"a"`, `"REGIONS"`, "kv_test.region", "Tax"} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), "secret")
	require.NoError(t, s.Health(), "the bucket is well")
	n := 0
	for _, err := range s.All(t.Context()) {
		require.ErrorIs(t, err, kv.ErrDecode)
		n++
	}
	require.Equal(t, 1, n)
	_, err = s.Put(t.Context(), "a", region{Tax: math.NaN()})
	business(t, err, kv.ErrValue)
	_, err = text.Put(t.Context(), "a", strings.Repeat("x", 2<<20))
	business(t, err, kv.ErrValue)
	_, err = s.Put(t.Context(), "a", de)
	require.NoError(t, err)
	sees(t, s, "a", de)
}

type upper struct{ ergon.Codec }

func (upper) Marshal(v any) ([]byte, error) { return []byte(strings.ToUpper(v.(region).Name)), nil }
func (upper) Unmarshal(data []byte, v any) error {
	v.(*region).Name = string(data)
	return nil
}

func TestCodec(t *testing.T) {
	s := started[region](t, setup(nil), kv.Conn(startServer(t).connect()), kv.Codec(upper{}))
	_, err := s.Put(t.Context(), "a", region{Name: "x"})
	require.NoError(t, err)
	v, err := s.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "X", v.Name)
}

// lossy is a bus on which answers to publishes get lost.
type lossy struct {
	jetstream.JetStream
	lose func()
	left int
}

func (l *lossy) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := l.JetStream.PublishMsg(ctx, m, opts...)
	if err == nil && l.left > 0 {
		l.left--
		if l.lose != nil {
			l.lose()
		}
		return nil, nats.ErrTimeout
	}
	return ack, err
}

type busOf struct{ l *lossy }

func (b busOf) JetStream(context.Context) (jetstream.JetStream, error) { return b.l, nil }

// TestLostAnswers: a write whose answer is lost is made once, and the call says what it did.
func TestLostAnswers(t *testing.T) {
	nc := startServer(t).connect()
	l := &lossy{JetStream: js(t, nc)}
	lostAnswers(t, started[region](t, setup(func(c *spec.KV) { c.History = 10 }), busOf{l}), l)
}

func lostAnswers(t *testing.T, s *kv.Store[region], l *lossy) {
	ctx := t.Context()

	l.left = 2
	first, err := s.Create(ctx, "a", de)
	require.NoError(t, err)
	e, err := s.Entry(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, first, e.Revision)

	l.left = 1
	second, err := s.Update(ctx, "a", fr, first)
	require.NoError(t, err)
	require.Equal(t, first+1, second, "it was written once")

	l.left = 1
	third, err := s.Put(ctx, "a", de)
	require.NoError(t, err)
	require.Equal(t, second+1, third)

	l.left = 1
	require.NoError(t, s.DeleteAt(ctx, "a", third))

	l.left = 2 // over a mark of deletion it takes two publishes
	fifth, err := s.Create(ctx, "a", de)
	require.NoError(t, err)
	require.Equal(t, third+2, fifth)

	// A put that was made is not made again over what another wrote since.
	l.left, l.lose = 1, func() {
		_, err := l.Publish(ctx, "$KV.REGIONS.a", []byte(`{"Name":"other"}`))
		require.NoError(t, err)
	}
	_, err = s.Put(ctx, "a", fr)
	require.NoError(t, err)
	v, err := s.Get(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "other", v.Name)

	// What was created and is another's by now was created all the same.
	l.left, l.lose = 1, func() {
		_, err := l.Publish(ctx, "$KV.REGIONS.b", []byte(`{"Name":"other"}`))
		require.NoError(t, err)
	}
	_, err = s.Create(ctx, "b", fr)
	require.NoError(t, err)

	l.lose = nil
	_, err = s.Create(ctx, "b", fr)
	business(t, err, kv.ErrExists)
}

// TestCompareAndSet: of many who count in one value none is lost.
func TestCompareAndSet(t *testing.T) {
	nc := startServer(t).connect()
	ctx := t.Context()
	stores := []*kv.Store[int]{
		started[int](t, setup(nil), kv.Conn(nc)), started[int](t, setup(cached), kv.Conn(nc)),
	}
	_, err := stores[0].Create(ctx, "n", 0)
	require.NoError(t, err)
	sees := func() bool { _, err := stores[1].Get(ctx, "n"); return err == nil }
	eventually(t, "the cache has it", sees)
	const workers, times = 8, 20
	var all sync.WaitGroup
	for w := range workers {
		s := stores[w%len(stores)]
		all.Go(func() {
			for done := 0; done < times; {
				e, err := s.Entry(ctx, "n")
				if err != nil {
					t.Error(err)
					return
				}
				switch _, err = s.Update(ctx, "n", e.Value+1, e.Revision); {
				case err == nil:
					done++
				case !errors.Is(err, kv.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	n, err := stores[0].Get(ctx, "n")
	require.NoError(t, err)
	require.Equal(t, workers*times, n)
}

// observer answers for one key, and notes what it sees.
type observer struct{ seen []any }

func (o *observer) Before(_ context.Context, op string, request any) (any, bool, error) {
	o.seen = append(o.seen, op, request)
	if request == "answered" {
		return kv.Entry[region]{Value: fr}, true, nil
	}
	return nil, false, nil
}

func (o *observer) After(_ context.Context, _ string, _, response any, _ error) {
	o.seen = append(o.seen, response)
}

// TestObserver: cached reads are seen too, and can be answered.
func TestObserver(t *testing.T) {
	s := started[region](t, setup(cached), kv.Conn(startServer(t).connect()))
	o := &observer{}
	ctx := ergon.WithCallObserver(t.Context(), o)
	revision, err := s.PutTTL(ctx, "a", de, time.Hour)
	require.NoError(t, err)
	v, err := s.Get(ctx, "answered")
	require.NoError(t, err)
	require.Equal(t, fr, v)
	e, err := s.Entry(ctx, "a")
	require.NoError(t, err)
	require.NoError(t, s.DeleteAt(ctx, "a", revision))
	for _, err := range s.Keys(ctx) {
		require.NoError(t, err)
	}
	require.Equal(t, []any{
		"regions.put", kv.Write[region]{Key: "a", Value: de, TTL: time.Hour}, revision,
		"regions.get", "answered",
		"regions.get", "a", e,
		"regions.delete", kv.Write[region]{Key: "a", Revision: revision}, revision + 1,
		"regions.keys", 1, []string{},
	}, o.seen)
}

// TestHealthOfBucket: without a cache it goes by the latest call.
func TestHealthOfBucket(t *testing.T) {
	srv := startServer(t)
	s := started[region](t, setup(nil), kv.Conn(srv.connect()))
	_, err := s.Put(t.Context(), "a", de)
	require.NoError(t, err)
	srv.stop()
	require.NoError(t, s.Health(), "it asks nobody")
	_, err = s.Get(short(t), "a")
	require.ErrorIs(t, err, ergon.CategoryTimeout)
	require.ErrorContains(t, s.Health(), "did not answer its latest call")
	srv.start()
	sees(t, s, "a", de)
	require.NoError(t, s.Health())
}

func BenchmarkGetCached(b *testing.B) { benchmarkGet(b, cached) }
func BenchmarkGet(b *testing.B)       { benchmarkGet(b, nil) }

func benchmarkGet(b *testing.B, change func(*spec.KV)) {
	s := setup(change)
	s.Config.Create = true
	store := started[region](b, s, kv.Conn(startServer(b).connect()))
	ctx := b.Context()
	if _, err := store.Put(ctx, "de", de); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := store.Get(ctx, "de"); err != nil {
			b.Fatal(err)
		}
	}
}
