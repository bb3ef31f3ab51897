package bus

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// renew begins a round: a new inbox, and nothing asked. Requests of an older
// round may still be open at the server, or be sent again by a reconnect; their
// replies go to the old inbox. So neither a late refusal nor a late delivery is
// taken for one of this round, and when the old subscription is gone the server
// drops what was asked there. Messages that arrive on it until then are kept.
func (p *Puller) renew() error {
	inbox := p.bus.consume.nc.NewInbox()
	p.mu.Lock()
	p.round++
	round := p.round
	old := p.sub
	p.inbox, p.sub = inbox, nil
	p.pending, p.stale = 0, false
	p.info.forget()
	p.info.due = time.Time{}
	p.mu.Unlock()

	if old != nil {
		if err := old.Drain(); err != nil {
			p.log.Debug("drain old pull subscription", "error", err)
		}
	}
	sub, err := p.bus.consume.nc.Subscribe(inbox+".>", func(m *nats.Msg) { p.receive(round, m) })
	if err != nil {
		p.mu.Lock()
		p.stale = true
		p.mu.Unlock()
		return subscribeError(err)
	}
	// What is in flight is bounded by what we ask for, so a limit of nats.go's
	// could only drop messages.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		p.log.Debug("lift limits of pull subscription", "error", err)
	}
	p.mu.Lock()
	p.sub = sub
	p.subs++
	p.mu.Unlock()
	sub.SetClosedHandler(func(string) { p.subscriptionEnded() })
	return nil
}

func subscribeError(err error) error {
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining) {
		return fmt.Errorf("subscribe: %w: %w", ErrClosed, err)
	}
	return fmt.Errorf("subscribe: %w", err)
}

// A request is one pull request.
type request struct {
	n      int
	round  uint64
	reply  string
	body   []byte
	exceed bool // sent without max_bytes
}

// due decides how much to ask for, and counts it as asked before it is sent:
// its messages may arrive before the call that sends it returns.
func (p *Puller) due() request {
	if p.stopped || p.closed || p.sub == nil {
		return request{}
	}
	most := p.max + p.ahead
	room := most - p.pending - p.buf.len()
	switch {
	case room <= 0:
		return request{}
	case p.pending > most/2: // what is on its way will do for now
		return request{}
	case p.cfg.MaxBytes > 0 && p.pending > 0: // one at a time: see received
		return request{}
	}
	r := request{n: room, round: p.round}
	if p.limits.batch > 0 {
		r.n = min(r.n, p.limits.batch)
	}
	if p.single {
		r.n, r.exceed, p.single = 1, true, false
	}
	p.asked++
	// The reply subject carries the number asked for: a refusal that names no
	// number means all of it.
	b := make([]byte, 0, len(p.inbox)+32)
	b = append(b, p.inbox...)
	b = append(b, ".r."...)
	b = strconv.AppendUint(b, p.asked, 10)
	b = append(b, '.')
	r.reply = string(strconv.AppendInt(b, int64(r.n), 10))
	r.body = p.limits.body(r.n, p.maxBytes(r.exceed))
	p.pending += r.n
	p.bytesLeft = p.maxBytes(r.exceed)
	return r
}

func (p *Puller) maxBytes(exceed bool) int {
	if exceed || p.cfg.MaxBytes == 0 {
		return 0
	}
	if p.limits.bytes > 0 {
		return min(p.cfg.MaxBytes, p.limits.bytes)
	}
	return p.cfg.MaxBytes
}

func (p *Puller) send(r request) {
	if r.n == 0 {
		return
	}
	err := p.bus.consume.nc.PublishRequest(p.subject, r.reply, r.body)
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.round == p.round {
		p.pending = max(p.pending-r.n, 0)
	}
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining) {
		p.failed = fmt.Errorf("%w: %w", ErrClosed, err)
	} else {
		p.refused(err.Error())
	}
	p.signal()
}

// limits are what a consumer allows in one pull request, as far as it has told.
type limits struct {
	batch              int // 0: no limit
	bytes              int // 0: no limit
	expires, heartbeat time.Duration
}

// body is a pull request's payload.
func (l limits) body(n, maxBytes int) []byte {
	b := append(make([]byte, 0, 96), `{"batch":`...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, `,"expires":`...)
	b = strconv.AppendInt(b, int64(l.expires), 10)
	if maxBytes > 0 {
		b = append(b, `,"max_bytes":`...)
		b = strconv.AppendInt(b, int64(maxBytes), 10)
	}
	b = append(b, `,"idle_heartbeat":`...)
	b = strconv.AppendInt(b, int64(l.heartbeat), 10)
	return append(b, '}')
}
