package kv

import (
	"context"
	"errors"
	"time"
)

const (
	// leastWait and mostWait bound the wait until the cache is filled again.
	leastWait = 100 * time.Millisecond
	mostWait  = 5 * time.Second
	// overWait is that of a cache which was too large: each try brings all of it.
	overWait = time.Minute
)

var errStopped = errors.New("it was stopped")

// fillCache makes a watch, and a cache of all that it brings until it is filled. From then
// on gets use it.
func (b *bucket) fillCache(ctx context.Context) (*watch, error) {
	o, err := open(ctx, b.bus, b.cfg.Bucket) // anew each time: its clock, or all of it, may have changed
	if err != nil {
		return nil, err
	}
	b.opened.Store(o)
	w, err := o.watch(ctx, "the cache of service "+b.service, true)
	if err != nil {
		return nil, err
	}
	c := newCache()
	for !w.filled {
		if err := b.take(ctx, w, c); err != nil {
			w.close()
			return nil, err
		}
	}
	c.hear()
	b.cache.Store(c)
	b.away.Store(nil)
	b.failed.Store(nil) // it answered, and gets that would tell so ask it no more
	return w, nil
}

// take takes what comes next into the cache.
func (b *bucket) take(ctx context.Context, w *watch, c *cache) error {
	r, err := w.next(ctx)
	if err != nil {
		return err
	}
	c.hear()
	if r != nil && c.apply(r) > b.cfg.CacheBytes {
		return ErrOver
	}
	return nil
}

// follow keeps the cache as the bucket is. Whatever disturbs the watch ends in the same
// way: the cache is left, gets ask the bucket, and all is filled from the beginning.
func (b *bucket) follow(ctx context.Context, w *watch, err error, ended chan<- struct{}) {
	defer close(ended)
	defer b.cache.Store(nil)
	wait := leastWait
	for {
		if w != nil {
			began := time.Now()
			err = b.followUntil(ctx, w)
			w.close()
			if time.Since(began) > mostWait { // else what fails again and again would fetch all each time
				wait = leastWait
			}
		}
		b.leave(ctx, err)
		if errors.Is(err, ErrOver) {
			wait = overWait
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, mostWait)
		w, err = b.fillCache(ctx)
		if w != nil {
			b.log.Info("the cache is filled again", "bucket", b.cfg.Bucket)
		}
	}
}

// followUntil follows until something is wrong.
func (b *bucket) followUntil(ctx context.Context, w *watch) error {
	c, swept := b.cache.Load(), time.Now()
	for {
		if err := b.take(ctx, w, c); err != nil {
			return err
		}
		if time.Since(swept) > sweepEvery {
			c.sweep(w.opened)
			swept = time.Now()
		}
	}
}

// leave has gets ask the bucket, and says why, once.
func (b *bucket) leave(ctx context.Context, err error) {
	b.cache.Store(nil)
	if ctx.Err() != nil {
		err = errStopped
	}
	err = b.explain(err)
	if known := b.away.Swap(&err); known == nil && ctx.Err() == nil {
		b.log.Warn("the cache is not in use, and gets ask the bucket until it is filled again", "bucket", b.cfg.Bucket, "error", err)
	}
}
