// Command counts prints what the streams of the retail pipeline hold, as one line of
// numbers: those published, scored, cancelled, dead, and those of the outputs and dead
// letters whose ID is there more than once. It waits, for a minute, until as many have an
// end as were published, and fails if they don't.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: counts URL")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "counts:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string) error {
	nc, err := nats.Connect(url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for {
		c, err := count(ctx, js)
		if err == nil && c.scored+c.cancelled+c.dead-c.twice == c.published {
			fmt.Println(c.published, c.scored, c.cancelled, c.dead, c.twice)
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(err, fmt.Errorf("not all have an end: %+v", c))
		}
	}
}

// counts are messages.
type counts struct{ published, scored, cancelled, dead, twice int }

func count(ctx context.Context, js jetstream.JetStream) (c counts, err error) {
	in, err := js.Stream(ctx, "RETAIL")
	if err != nil {
		return c, err
	}
	info, err := in.Info(ctx)
	if err != nil {
		return c, err
	}
	c.published = int(info.State.Msgs)
	ids := map[string]bool{}
	for stream, of := range map[string]func(subject string) *int{
		"RETAIL_OUT": func(subject string) *int {
			if subject == "retail.cancelled" {
				return &c.cancelled
			}
			return &c.scored
		},
		"ERGON_DLQ": func(string) *int { return &c.dead },
	} {
		consumer, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{HeadersOnly: true})
		if err != nil {
			return c, err
		}
		left := consumer.CachedInfo().NumPending
		for left > 0 {
			batch, err := consumer.Fetch(int(min(left, 1000)), jetstream.FetchMaxWait(5*time.Second))
			if err != nil {
				return c, err
			}
			got := uint64(0)
			for m := range batch.Messages() {
				got++
				*of(m.Subject())++
				id := m.Headers().Get(nats.MsgIdHdr)
				if ids[id] {
					c.twice++
				}
				ids[id] = true
			}
			if got == 0 {
				return c, fmt.Errorf("stream %s: %d messages did not come: %w", stream, left, batch.Error())
			}
			left -= got
		}
	}
	return c, nil
}
