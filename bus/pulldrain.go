package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// drainDoubt is for how long a consumer's counts must both be 0 where the stream
// cannot be asked.
const drainDoubt = 4 * time.Second

// doubt is the second question before a consumer is taken for drained. A server
// raises a consumer's pending count on another goroutine than the one that
// confirms a message as stored: just after that, with a busy server some time
// after that, both counts are 0 and messages wait. The stream knows of them
// before it confirms them, so it is asked for what follows the last delivery.
type doubt struct {
	since   time.Time // the counts are 0 since then
	looking bool      // the question that is open, or due, goes to the stream
	denied  bool      // we may not ask the stream
	from    uint64    // the first sequence that was not delivered
	filters []string  // of the consumer, not asked about yet
}

func (d *doubt) forget() {
	d.since, d.looking = time.Time{}, false
}

func (p *Puller) apiLook() string { return p.bus.api("STREAM.MSG.GET", p.cfg.Stream) }

// body asks for the next message of one filter.
func (d *doubt) body() []byte {
	b, err := json.Marshal(struct {
		Seq  uint64 `json:"seq"`
		Next string `json:"next_by_subj"`
	}{d.from, d.filters[0]})
	if err != nil {
		panic(err) // a number and a string
	}
	return b
}

// seemsDrained is called when both counts of the consumer are 0.
func (p *Puller) seemsDrained(info *jetstream.ConsumerInfo) error {
	d, now := &p.info.doubt, time.Now()
	if d.since.IsZero() {
		d.since = now
	}
	if now.Sub(d.since) >= drainDoubt {
		return p.drained()
	}
	if d.denied {
		p.postpone()
		return nil
	}
	d.looking, d.from, d.filters = true, info.Delivered.Stream+1, filters(info.Config)
	if len(d.filters) == 0 {
		d.filters = []string{">"}
	}
	p.info.due = now
	return nil
}

// judgeLook draws the conclusion from the stream's answer.
func (p *Puller) judgeLook(answer []byte) error {
	d := &p.info.doubt
	var got struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		got.Error = &jetstream.APIError{Description: fmt.Sprintf("not to be read: %v", err)}
	}
	switch {
	case got.Error == nil: // a message: it will be delivered
	case errors.Is(got.Error, jetstream.ErrMsgNotFound):
		if d.filters = d.filters[1:]; len(d.filters) == 0 {
			return p.drained()
		}
		p.info.due = time.Now()
		return nil
	case errors.Is(got.Error, jetstream.ErrStreamNotFound):
		return p.gone(got.Error)
	default:
		p.log.Debug("look for messages after the last delivery", "error", got.Error)
	}
	d.looking = false
	p.postpone()
	return nil
}

func (p *Puller) drained() error {
	p.idle = idleMin
	return ErrDrained
}
