package kv

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/services/spec"
)

// Bus is whoever has the connection. Package app's is the one that tasks run on.
type Bus interface {
	// JetStream returns the connection's JetStream, and may wait for the connection as long
	// as ctx allows. It is asked at Start, and again whenever the cache is filled.
	JetStream(ctx context.Context) (jetstream.JetStream, error)
}

// Conn makes a Bus of a connection, which stays the caller's to close.
func Conn(nc *nats.Conn) Bus { return conn{nc} }

type conn struct{ nc *nats.Conn }

func (c conn) JetStream(context.Context) (jetstream.JetStream, error) { return jetstream.New(c.nc) }

const (
	defaultCacheBytes = 64 << 20
	// markerTTL is how long a bucket that is made here keeps the mark of a value whose time
	// is over. With it, watches are told, and keys may have times of their own.
	markerTTL = time.Second
	maxBucket = 200 // a stream's name has 255 bytes at most, and is part of a path
)

var buckets = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// complete fills in the defaults and looks for faults.
func complete(c spec.KV) (spec.KV, error) {
	if c.History == 0 {
		c.History = 1
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = defaultCacheBytes
	}
	var faults []error
	fault := func(bad bool, format string, a ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, a...))
		}
	}
	fault(!buckets.MatchString(c.Bucket) || len(c.Bucket) > maxBucket, "bucket %q: a bucket's name has letters, digits, '_' and '-', and is no longer than %d", c.Bucket, maxBucket)
	fault(c.TTL.D() < 0, "ttl is %v: 0s is for ever", c.TTL.D())
	fault(c.TTL.D() > 0 && c.TTL.D() < time.Second, "ttl is %v: the least is 1s", c.TTL.D())
	fault(c.History < 1 || c.History > jetstream.KeyValueMaxHistory, "history is %d: it is from 1 to %d", c.History, jetstream.KeyValueMaxHistory)
	fault(c.Replicas < 1 || c.Replicas > 5, "replicas is %d: it is from 1 to 5", c.Replicas)
	fault(c.CacheBytes < 0, "cache_bytes is %d: it is above 0", c.CacheBytes)
	return c, errors.Join(faults...)
}

// opened is a bucket as it was found.
type opened struct {
	js     jetstream.JetStream
	stream jetstream.Stream
	name   string        // of the stream
	reads  string        // what subjects begin with
	writes string        // likewise, through another domain if there is one
	maxAge time.Duration // 0: for ever
	ahead  time.Duration // the server's clock before ours
}

// open looks the bucket up.
func open(ctx context.Context, bus Bus, bucket string) (*opened, error) {
	js, err := bus.JetStream(ctx)
	if err != nil {
		return nil, err
	}
	o := &opened{js: js, name: "KV_" + bucket, reads: "$KV." + bucket + "."}
	if o.stream, err = js.Stream(ctx, o.name); err != nil {
		return nil, err
	}
	info := o.stream.CachedInfo()
	if info.Config.MaxMsgsPerSubject < 1 {
		return nil, fmt.Errorf("stream %s is no bucket: it keeps any number of messages of a subject", o.name)
	}
	if info.Config.Mirror != nil {
		return nil, fmt.Errorf("it mirrors %s: name the bucket itself", strings.TrimPrefix(info.Config.Mirror.Name, "KV_"))
	}
	o.writes, o.maxAge = through(js.Options())+o.reads, info.Config.MaxAge
	if !info.TimeStamp.IsZero() {
		o.ahead = time.Until(info.TimeStamp)
	}
	return o, nil
}

// through is what stands before subjects that go to JetStream of another domain.
func through(o jetstream.JetStreamOptions) string {
	switch {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return ""
}

// create makes the bucket. Another process may be faster: then it is there all the same.
func create(ctx context.Context, bus Bus, c spec.KV) error {
	js, err := bus.JetStream(ctx)
	if err != nil {
		return err
	}
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: c.Bucket, History: uint8(c.History), TTL: c.TTL.D(), Replicas: c.Replicas, LimitMarkerTTL: markerTTL,
	})
	if errors.Is(err, jetstream.ErrBucketExists) {
		return nil
	}
	return err
}

// differs says what of a bucket is not as c says. Where c makes no buckets, its defaults
// ask for nothing.
func (o *opened) differs(c spec.KV) (all []string) {
	is := o.stream.CachedInfo().Config
	differ := func(what string, is, want, unset any) {
		if is != want && (c.Create || want != unset) {
			all = append(all, fmt.Sprintf("%s is %v, and not %v", what, is, want))
		}
	}
	differ("ttl", is.MaxAge, c.TTL.D(), time.Duration(0))
	differ("history", is.MaxMsgsPerSubject, int64(c.History), int64(1))
	differ("replicas", is.Replicas, c.Replicas, 1)
	return all
}
