package bus

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	statusHeader      = "Status"
	descriptionHeader = "Description"
	pendingHeader     = "Nats-Pending-Messages"

	refusedMin = 50 * time.Millisecond
	refusedMax = time.Second
)

// receive is nats.go's callback, called for one message at a time per
// subscription. It never waits: it counts, stores and signals.
func (p *Puller) receive(round uint64, m *nats.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Reply == "" { // only a delivery asks for an acknowledgement
		if round == p.round {
			p.control(m)
			if p.waiting {
				p.waiting = false
				p.signal()
			}
		}
		return
	}
	if round == p.round {
		p.traffic++
		p.delivered(m)
	}
	p.refusals = 0
	p.came++
	unlink(m)
	p.buf.push(m, time.Now())
	if p.buf.len() == 1 {
		signal(p.ready)
	}
	if p.waiting {
		p.waiting = false
		p.signal()
	}
}

// unlink makes a message forget the one that came after it. nats.go keeps what waits
// for its callback in a list and leaves the link in what it took out, so whoever holds
// on to a message holds on to all that followed it in the burst.
func unlink(m *nats.Msg) {
	*m = nats.Msg{Subject: m.Subject, Reply: m.Reply, Header: m.Header, Data: m.Data, Sub: m.Sub}
}

// delivered counts one message against what was asked.
func (p *Puller) delivered(m *nats.Msg) {
	p.pending = max(p.pending-1, 0)
	if p.bytesLeft == 0 || p.pending == 0 {
		return
	}
	// A request with max_bytes that is used up to the byte ends without a word.
	// The server counts as nats.go does: subject, reply, headers and payload.
	if p.bytesLeft -= m.Size(); p.bytesLeft == 0 {
		p.pending = 0
	} else if p.bytesLeft < 0 {
		p.bytesLeft = 1 // counted differently: the server's word or silence decides
	}
}

// control handles what is not a delivery: a status of a pull request, or the
// answer to a question about the consumer.
func (p *Puller) control(m *nats.Msg) {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(m.Subject, p.inbox+"."), ".")
	if kind == "i" {
		p.answered(rest, m) // no traffic: a server that has forgotten our requests answers, too
		return
	}
	p.traffic++
	status, text := first(m.Header, statusHeader), first(m.Header, descriptionHeader)
	_, asked, _ := strings.Cut(rest, ".")
	n, _ := parseUint(asked)
	left, told := parseUint(first(m.Header, pendingHeader))
	switch status {
	case "100": // a heartbeat; flow control is for push consumers
		p.refusals = 0
	case "408": // the request has expired, or nobody was thought to listen any more
		p.refusals = 0
		p.settle(left, told)
	case "404": // nothing there; only for requests that don't wait
		p.settle(n, true)
	case "409":
		p.conflict(text, n, left, told)
	case "503": // nobody listens: no JetStream for now, or the consumer is gone
		p.settle(n, true)
		p.suspect = true
		p.info.due = time.Time{}
		p.refused("nobody answers pull requests")
	case "400", "412":
		p.settle(n, true)
		p.failed = fmt.Errorf("%w: %s %s", ErrPullRefused, status, text)
	default: // 423 and what is to come
		p.settle(left, told)
		p.refused(status + " " + text)
	}
}

// conflict sorts out the many meanings of a 409.
func (p *Puller) conflict(text string, asked, left uint64, told bool) {
	switch l := strings.ToLower(text); {
	case strings.HasPrefix(l, "message size exceeds maxbytes"):
		p.settle(left, told)
		p.single = true
	case strings.HasPrefix(l, "batch completed"):
		p.settle(left, told)
	case strings.HasPrefix(l, "exceeded maxrequestbatch"):
		p.settle(asked, true)
		p.limited(text, func(n int64) { p.limits.batch = int(n) }, parseCount)
	case strings.HasPrefix(l, "exceeded maxrequestmaxbytes"):
		p.settle(asked, true)
		p.limited(text, func(n int64) { p.limits.bytes = int(n) }, parseCount)
	case strings.HasPrefix(l, "exceeded maxrequestexpires"):
		p.settle(asked, true)
		p.limited(text, func(n int64) {
			p.limits.expires = time.Duration(n)
			p.limits.heartbeat = min(p.limits.heartbeat, p.limits.expires/3)
		}, parsePeriod)
	case strings.HasPrefix(l, "consumer is push based"):
		p.settle(asked, true)
		p.failed = fmt.Errorf("%w: %s", ErrPullRefused, text)
	case strings.HasPrefix(l, "exceeded maxwaiting"):
		p.settle(asked, true)
		p.refused(text)
	case strings.HasPrefix(l, "consumer deleted"):
		p.stale, p.suspect = true, true
		p.info.due = time.Time{}
	case strings.HasPrefix(l, "leadership change"):
		// Every open request is void, and each of them says so. The first makes
		// a new round, in which the others are not heard.
		p.stale = true
	case strings.HasPrefix(l, "server shutdown"):
		p.settle(left, told)
		p.refused(text)
	default:
		p.settle(left, told)
		p.refused("409 " + text)
	}
}

// settle takes what a request will not bring any more from what is pending. A
// refusal that doesn't tell how much that is makes everything void.
func (p *Puller) settle(n uint64, known bool) {
	if !known {
		p.stale = true
		return
	}
	if n >= uint64(p.pending) {
		p.pending = 0
		return
	}
	p.pending -= int(n)
}

// refused makes the next request wait: 50 ms, doubling to 1 s.
func (p *Puller) refused(why string) {
	if p.refusals == 0 {
		p.log.Warn("pull request refused, asking again", "status", why)
	}
	p.refusal = why
	p.notBefore = time.Now().Add(min(refusedMin<<min(p.refusals, 8), refusedMax))
	p.refusals++
}

// limited takes a limit of the consumer's out of the text that names it.
func (p *Puller) limited(text string, set func(int64), parse func(string) (int64, bool)) {
	n, ok := parse(text[strings.LastIndexByte(text, ' ')+1:])
	if !ok || n <= 0 {
		p.failed = fmt.Errorf("%w: %s", ErrPullRefused, text)
		return
	}
	p.log.Info("consumer limits pull requests", "status", text)
	set(n)
}

func parseCount(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 32)
	return n, err == nil
}

func parsePeriod(s string) (int64, bool) {
	d, err := time.ParseDuration(s)
	return int64(d), err == nil
}

// first reads a header without http.Header's spelling of names.
func first(h nats.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}
