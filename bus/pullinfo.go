package bus

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// infoState is the question about the consumer that a Fetch asks while nothing
// comes: is there anything left, and is there a consumer at all? Its answer
// comes to the pull inbox, so nothing waits for it.
type infoState struct {
	due    time.Time // of the next question; zero: not decided yet
	number uint64    // of the question that is open
	open   bool
	answer []byte
	doubt  doubt
	lost   lost
}

func (i *infoState) forget() {
	i.open, i.answer = false, nil
	i.doubt.forget()
}

// lostAfter is for how long a consumer must know of no request, though we have
// one, before ours are taken for lost: they may be on their way.
const lostAfter = time.Second

// lost is the suspicion that our requests are. A leader that has just taken over
// tells those whose requests it knows of, and of the latest it does not know; one
// that was cut off tells nobody. Heartbeats show it later.
type lost struct {
	since          time.Time
	traffic, asked uint64 // then; the suspicion is over with either
}

// requestsLost draws the conclusion from what the consumer's leader says.
func (p *Puller) requestsLost(info *jetstream.ConsumerInfo, now time.Time) bool {
	l := &p.info.lost
	if p.pending == 0 || info.NumWaiting > 0 {
		l.since = time.Time{}
		return false
	}
	if l.since.IsZero() || l.traffic != p.traffic || l.asked != p.asked {
		*l = lost{now, p.traffic, p.asked}
		return false
	}
	return now.Sub(l.since) >= lostAfter
}

// A question is a request to JetStream's API.
type question struct {
	subject, reply string
	body           []byte
}

// question returns the next question, or none if none is due. An open question
// is overdue when infoWait has passed.
func (p *Puller) question(now time.Time) question {
	i := &p.info
	if p.polled && !p.suspect {
		return question{}
	}
	if i.due.IsZero() {
		i.due = now
		if !p.suspect {
			i.due = now.Add(p.idle)
		}
	}
	if now.Before(i.due) {
		return question{}
	}
	if i.open {
		// Nobody answers questions, or we may not ask any: pulling will show.
		p.suspect = false
		i.doubt.looking = false
	}
	i.number++
	i.open = true
	i.due = now.Add(infoWait)
	q := question{reply: p.inbox + ".i." + strconv.FormatUint(i.number, 10)}
	if i.doubt.looking {
		q.subject, q.body = p.apiLook(), i.doubt.body()
	} else {
		q.subject = p.bus.apiPrefix + "CONSUMER.INFO." + p.cfg.Stream + "." + p.cfg.Durable
	}
	return q
}

// lookUp sends the question.
func (p *Puller) lookUp(q question) {
	if q.subject == "" {
		return
	}
	if err := p.bus.consume.nc.PublishRequest(q.subject, q.reply, q.body); err != nil {
		p.log.Debug("ask about consumer", "error", err)
	}
}

// answered keeps the answer for the Fetch, if it is the one that is waited for.
func (p *Puller) answered(number string, m *nats.Msg) {
	if n, ok := parseUint(number); !ok || !p.info.open || n != p.info.number {
		return
	}
	p.info.open = false
	if first(m.Header, statusHeader) != "" || len(m.Data) == 0 {
		// No JetStream for now. It says nothing of the consumer.
		p.info.doubt.looking = false
		p.postpone()
		return
	}
	p.info.answer = m.Data
}

// postpone sets the time of the next question: 50 ms, doubling to 1 s.
func (p *Puller) postpone() {
	p.idle = min(2*p.idle, idleMax)
	p.info.due = time.Now().Add(p.idle)
}

// judge draws the conclusion from an answer. Nothing was delivered since the
// question was asked, or the Fetch would have returned that. What is on its way
// to us counts as unacknowledged.
func (p *Puller) judge(answer []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.info.doubt.looking {
		return p.judgeLook(answer)
	}
	info, err := parseInfo(answer)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		return p.gone(err)
	case err != nil:
		p.log.Debug("look at consumer", "error", err)
		p.postpone()
		return nil
	case info.Config.DeliverSubject != "":
		return ErrPullRefused
	}
	if p.suspect { // it is there: ask again
		p.suspect = false
		p.info.due = time.Time{}
		return nil
	}
	if info.NumPending == 0 && info.NumAckPending == 0 && p.buf.len() == 0 {
		return p.seemsDrained(info)
	}
	p.info.doubt.since = time.Time{}
	if p.requestsLost(info, time.Now()) {
		p.log.Warn("the consumer does not know our requests, asking again", "pending", p.pending)
		p.stale = true
		return nil
	}
	p.postpone()
	return nil
}

func (p *Puller) gone(err error) error {
	p.idle = idleMin
	p.suspect = true // the next Fetch looks before it asks
	p.stale = true
	return goneError(p.cfg.Stream, p.cfg.Durable, err)
}

// What the connection reports.

func (p *Puller) connLost() {}

// connBack makes what was asked on the lost connection void.
func (p *Puller) connBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stale = true
	p.refusals, p.notBefore = 0, time.Time{}
	p.signal()
}

func (p *Puller) connClosed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed, p.stopped = nil, true
	p.signal()
}

// connError hears of a denied request: there is no reply to it.
func (p *Puller) connError(err error) {
	subject, ok := deniedSubject(err)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if subject == p.apiLook() {
		p.info.doubt.denied = true
	}
	if subject != p.subject && !p.acknowledges(subject) {
		return
	}
	p.failed = mayNotPublish(subject, err)
	p.pending = 0
	p.signal()
}

// acknowledges says whether a subject is one of this consumer's acknowledgements. While
// they are denied everything comes again for ever, and is done again.
func (p *Puller) acknowledges(subject string) bool {
	return strings.HasPrefix(subject, "$JS.ACK.") && strings.Contains(subject, "."+p.cfg.Stream+"."+p.cfg.Durable+".")
}
