package kv

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// heartbeat is how often the server says that nothing came.
	heartbeat = 500 * time.Millisecond
	// silence is how long nothing is heard of the server until the cache is not believed
	// any more. It bounds how old a cached read can be.
	silence = 3 * time.Second
	// sweepEvery is how often values whose time is over are removed, for buckets that tell
	// nobody of it.
	sweepEvery = time.Minute
)

var (
	errSilent = fmt.Errorf("nothing was heard of the server for %v", silence)
	errLost   = errors.New("an update was lost on the way")
)

// cache is what one watch filled. It is thrown away with it, so nothing of a bucket that
// was deleted outlives the watch.
type cache struct {
	base  time.Time
	heard atomic.Int64 // when the server was heard, after base

	mu      sync.RWMutex
	records map[string]*Record // with marks of deletion that the watch has not reached
	reached uint64             // the latest revision that the watch brought
	bytes   int64
}

func newCache() *cache {
	c := &cache{base: time.Now(), records: make(map[string]*Record)}
	return c
}

func (c *cache) hear() { c.heard.Store(int64(time.Since(c.base))) }

// fresh reports whether the server was heard lately. A reader asks for itself: the watch
// can't tell when this process stood still.
func (c *cache) fresh() bool { return time.Since(c.base)-time.Duration(c.heard.Load()) < silence }

// get returns a key's record, or nil where there is none. It does not know where the
// record's time is over by our clock: the bucket does.
func (c *cache) get(key string) (r *Record, known bool) {
	c.mu.RLock()
	r = c.records[key]
	c.mu.RUnlock()
	switch {
	case r == nil || r.deleted:
		return nil, true
	case !r.expires.IsZero() && !time.Now().Before(r.expires):
		return nil, false
	}
	return r, true
}

// apply takes what the watch brought, in the order of revisions, and returns the cache's
// size.
func (c *cache) apply(r *Record) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reached = max(c.reached, r.Revision)
	if old := c.records[r.Key]; old != nil && old.Revision > r.Revision {
		return c.bytes // we wrote since
	}
	c.replace(r)
	if r.deleted {
		c.remove(r.Key)
	}
	return c.bytes
}

// wrote takes what was written here, so that it is read here at once. A deletion is kept
// as a mark, or an earlier value which the watch is still to bring would be back for a
// moment. What the watch brought already is not taken again.
func (c *cache) wrote(r *Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.records[r.Key]; r.Revision > c.reached && (old == nil || old.Revision < r.Revision) {
		c.replace(r)
	}
}

func (c *cache) replace(r *Record) {
	c.remove(r.Key)
	c.records[r.Key] = r
	c.bytes += r.size()
}

func (c *cache) remove(key string) {
	if old := c.records[key]; old != nil {
		c.bytes -= old.size()
		delete(c.records, key)
	}
}

// sweep removes what has been in the bucket for longer than it keeps anything.
func (c *cache) sweep(o *opened) {
	if o.maxAge == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	end := time.Now().Add(o.ahead - o.maxAge)
	for key, r := range c.records {
		if !r.expires.IsZero() && r.Created.Before(end) {
			c.remove(key)
		}
	}
}

// all returns every record whose time is not over.
func (c *cache) all() []*Record {
	now := time.Now()
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]*Record, 0, len(c.records))
	for _, r := range c.records {
		if !r.deleted && (r.expires.IsZero() || now.Before(r.expires)) {
			all = append(all, r)
		}
	}
	return all
}

func (r *Record) size() int64 { return int64(len(r.Key) + len(r.Value)) }
