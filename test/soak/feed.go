package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon/bus"
)

const (
	// backlog is how much may be published before all of it is done.
	backlog = 50_000
	// patience is how long nothing may end before the run is given up.
	patience  = time.Minute
	lookEvery = 10 * time.Millisecond
)

// feed publishes everything. It says with what it ends.
func (p *pipeline) feed(ctx context.Context, sample func(published int) error) error {
	for i, published := 0, 0; i < samples; i++ {
		for until := (i + 1) * p.n / samples; published < until; {
			to := min(until, published+backlog)
			if err := p.generate(ctx, published, to); err != nil {
				return fmt.Errorf("publish: %w", err)
			}
			published = to
			if err := p.rest(ctx); err != nil {
				return err
			}
		}
		if err := sample(published); err != nil {
			return err
		}
	}
	return errDone
}

// generate returns when all is confirmed.
func (p *pipeline) generate(ctx context.Context, from, to int) error {
	text := strings.Repeat("two hundred bytes ", 11)
	var unconfirmed sync.WaitGroup
	var failed atomic.Pointer[error]
	for n := from; n < to && failed.Load() == nil; n++ {
		m := &nats.Msg{
			Subject: "in", Data: fmt.Appendf(nil, `{"n":%d,"text":%q}`, n, text),
			Header: nats.Header{"Nats-Msg-Id": {strconv.Itoa(n)}},
		}
		unconfirmed.Add(1)
		p.generator.Publish(ctx, m, func(_ bus.PubAck, err error) {
			if err != nil {
				failed.Store(&err)
			}
			unconfirmed.Done()
		})
	}
	unconfirmed.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// rest waits until everything that was published is settled.
func (p *pipeline) rest(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	last, since := int64(-1), time.Now()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-look.C:
		}
		info, err := p.bus.ConsumerInfo(ctx, "IN", "soak")
		if err != nil {
			return err
		}
		if info.Pending == 0 && info.AckPending == 0 {
			return nil
		}
		if done := p.done.Load(); done != last {
			last, since = done, time.Now()
		} else if time.Since(since) > patience {
			return fmt.Errorf("nothing ended for %v, with %d of %d done", patience, done, p.n)
		}
	}
}
