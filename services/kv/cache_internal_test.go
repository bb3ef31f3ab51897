package kv

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

func at(revision uint64, value string) *Record {
	return &Record{Key: "a", Value: []byte(value), Revision: revision, deleted: value == ""}
}

func (c *cache) is() string {
	if r, _ := c.get("a"); r != nil {
		return string(r.Value)
	}
	return ""
}

// TestCacheOfOwnWrites: what was written here stands before the watch brings it, and what
// the watch brings late does not undo it.
func TestCacheOfOwnWrites(t *testing.T) {
	c := newCache()
	c.wrote(at(2, "mine"))
	c.apply(at(1, "earlier"))
	require.Equal(t, "mine", c.is())
	c.apply(at(2, "mine"))
	c.apply(at(3, "theirs"))
	require.Equal(t, "theirs", c.is())
	c.wrote(at(2, "mine"))
	require.Equal(t, "theirs", c.is(), "its answer came late")

	c.wrote(at(5, ""))
	require.Equal(t, "", c.is())
	c.apply(at(4, "before the deletion"))
	require.Equal(t, "", c.is(), "an earlier value does not come back")
	c.apply(at(5, ""))
	require.Empty(t, c.records, "the mark is not kept once the watch has it")
	c.wrote(at(5, ""))
	require.Empty(t, c.records, "nor when the watch was faster")
	c.apply(at(6, "again"))
	require.Equal(t, "again", c.is())
	require.EqualValues(t, len("a")+len("again"), c.bytes)
	c.apply(at(7, ""))
	require.Zero(t, c.bytes)
	require.Empty(t, c.all())
}

// TestSilence: a cache is not believed once the server was not heard, also where nobody
// had the time to notice.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(services.Setup[spec.KV]{Config: spec.KV{Bucket: "B", Cache: true}}, nil)
		c := newCache()
		c.apply(at(1, "x"))
		b.cache.Store(c)
		time.Sleep(silence - time.Millisecond)
		_, err := b.Get(context.Background(), "a")
		require.NoError(t, err)
		time.Sleep(time.Millisecond)
		_, err = b.Get(context.Background(), "a")
		require.ErrorIs(t, err, ErrNotStarted, "it asks the bucket, and there is none here")
		b.opened.Store(&opened{})
		require.ErrorIs(t, b.Health(), errSilent)
		c.hear()
		_, err = b.Get(context.Background(), "a")
		require.NoError(t, err)
		require.NoError(t, b.Health())
	})
}

// TestExpires: by our clock, whatever the server's.
func TestExpires(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		age  time.Duration
		ttl  string
		want time.Duration // 0: never
	}{
		{0, "", 0}, {time.Hour, "", time.Hour}, {time.Hour, "90", 90 * time.Second}, {0, "1m30s", 90 * time.Second},
		{time.Minute, "1h", time.Minute}, {time.Hour, "never", 0}, {time.Hour, "?", time.Hour},
	} {
		o := &opened{maxAge: c.age, ahead: 5 * time.Second}
		want := time.Time{}
		if c.want > 0 {
			want = now.Add(c.want)
		}
		require.Equal(t, want, o.expires(now.Add(o.ahead), c.ttl), c)
	}
}

func TestSweep(t *testing.T) {
	c, o := newCache(), &opened{maxAge: time.Minute}
	for key, age := range map[string]time.Duration{"old": time.Hour, "young": time.Second} {
		r := &Record{Key: key, Revision: 1, Created: time.Now().Add(-age)}
		r.expires = o.expires(r.Created, "")
		c.apply(r)
	}
	c.apply(&Record{Key: "never", Revision: 1})
	c.sweep(o)
	require.Len(t, c.records, 2)
	require.NotContains(t, c.records, "old")
}

// TestGap: the consumer counts what it sends.
func TestGap(t *testing.T) {
	message := func(number int) *nats.Msg {
		return &nats.Msg{
			Sub: &nats.Subscription{}, Subject: "$KV.B.a", Data: []byte("x"),
			Reply: fmt.Sprintf("$JS.ACK.KV_B.c.1.40.%d.1700000000000000000.5", number),
		}
	}
	w := &watch{opened: &opened{reads: "$KV.B."}, first: 7}
	r, err := w.message(message(1))
	require.NoError(t, err)
	require.Equal(t, "a", r.Key)
	require.EqualValues(t, 40, r.Revision)
	require.False(t, w.filled, "five are to come")
	_, err = w.message(message(3))
	require.ErrorIs(t, err, errLost)
}
