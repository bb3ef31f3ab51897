package bus

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon/internal/semconv"
)

// Requeued is what is noted of a message that came back from dead letters.
type Requeued struct {
	// Count is how often it came back, this time included.
	Count int
	// Stream, Sequence and Timestamp (Unix nanoseconds) are where and when it was
	// stored in the first place: a message without an ID is called by them. They are
	// zero together, where the dead letter didn't say.
	Stream    string
	Sequence  uint64
	Timestamp int64
	// FirstSeen is when its very first attempt began, zero for not known.
	FirstSeen time.Time
}

// ofRequeue reports whether a header is a note on a requeue.
func ofRequeue(name string) bool {
	return strings.EqualFold(name, semconv.Requeue) || hasPrefixFold(name, semconv.RequeuePrefix)
}

// RequeueCount is how often a message with these headers came back from dead
// letters, 0 for never.
func RequeueCount(h nats.Header) int {
	n, ok := parseUint(first(h, semconv.Requeue))
	if !ok || n >= 1<<31 {
		return 0
	}
	return int(n)
}

// Unrequeue returns the message as it was before it became a dead letter, with the
// reply subject of this delivery, and what was noted of it. Of the notes the count
// alone is left in its headers, for [RequeueCount]. false means that m did not come
// back from dead letters. What the notes say badly is as if they did not say it.
func Unrequeue(m *nats.Msg) (*nats.Msg, Requeued, bool) {
	q := Requeued{Count: RequeueCount(m.Header)}
	if q.Count == 0 {
		return nil, q, false
	}
	seq, okSeq := parseUint(first(m.Header, semconv.RequeueSequence))
	at, okAt := parseUint(first(m.Header, semconv.RequeueTimestamp))
	if stream := first(m.Header, semconv.RequeueStream); stream != "" && okSeq && seq > 0 && okAt && at <= math.MaxInt64 {
		q.Stream, q.Sequence, q.Timestamp = stream, seq, int64(at)
	}
	if t, err := time.Parse(time.RFC3339Nano, first(m.Header, semconv.RequeueFirstSeen)); err == nil {
		q.FirstSeen = t.UTC()
	}
	orig := &nats.Msg{Subject: m.Subject, Reply: m.Reply, Data: m.Data, Header: make(nats.Header, len(m.Header)), Sub: m.Sub}
	for name, values := range m.Header {
		switch {
		case hasPrefixFold(name, semconv.OrigPrefix+semconv.NatsPrefix):
			orig.Header[name[len(semconv.OrigPrefix):]] = values
		case hasPrefixFold(name, semconv.NatsPrefix), hasPrefixFold(name, semconv.RequeuePrefix):
		default:
			orig.Header[name] = values
		}
	}
	return orig, q, true
}

// requeueMessage makes the message to put back. Whose source knows the notes sees it
// as it was; who does not sees its payload, its headers, and none that acts on the
// stream.
func requeueMessage(r DeadRecord, payload []byte, subject string) *nats.Msg {
	l := r.Letter
	m := &nats.Msg{Subject: subject, Data: payload, Header: make(nats.Header, len(r.Header)+6)}
	for name, values := range r.Header {
		written := headerName(name)
		if written == "" || ofRequeue(written) {
			continue
		}
		if hasPrefixFold(written, semconv.NatsPrefix) {
			written = semconv.OrigPrefix + written
		}
		for _, v := range values {
			m.Header[written] = append(m.Header[written], headerValue(v))
		}
	}
	note := func(name, value string) {
		if value != "" {
			m.Header[name] = []string{value}
		}
	}
	count := strconv.Itoa(l.Requeue + 1)
	note(semconv.Requeue, count)
	note(semconv.NatsMsgID, requeueID(r, count))
	note(semconv.RequeueFirstSeen, timestamp(l.FirstSeen))
	if l.Stream != "" && l.Sequence > 0 {
		note(semconv.RequeueStream, headerValue(l.Stream))
		note(semconv.RequeueSequence, sequence(l.Sequence))
		note(semconv.RequeueTimestamp, nanoseconds(r.storedFirst()))
	}
	return m
}

// storedFirst is when the original was stored, as far as the letter says.
func (r DeadRecord) storedFirst() int64 {
	if r.Letter.Timestamp > 0 {
		return r.Letter.Timestamp
	}
	return r.When().UnixNano()
}

// requeueID is "<ID>#<count>" and a hash of where the message was stored. Put back
// again after a crash it is the same message, and so it is for two tasks that failed
// on it: the stream drops the copy, and each gets it once. But two messages that a
// careless publisher gave one ID are two.
func requeueID(r DeadRecord, count string) string {
	id := first(r.Header, foldName(r.Header, semconv.NatsMsgID))
	if id == "" {
		id = first(r.Header, foldName(r.Header, semconv.CEID))
	}
	l := r.Letter
	if id == "" {
		id = l.Stream + ":" + sequence(l.Sequence)
	}
	place := []string{l.Stream, sequence(l.Sequence), nanoseconds(l.Timestamp)}
	if l.Stream == "" || l.Sequence == 0 { // not of Ergon: the letter is all that tells it apart
		place = []string{r.Stream, sequence(r.Sequence), timestamp(r.StoredAt)}
	}
	return headerValue(id) + "#" + count + "-" + hash(strings.Join(place, "\x00"))[:8]
}
