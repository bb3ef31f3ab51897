package bus

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon/internal/semconv"
)

// maxHeader is what a stream takes of headers; it refuses 64 KiB and more.
const maxHeader = 1<<16 - 1

// A DeadLetter is what is known of a message's end, besides the message. What
// is left zero is not written.
type DeadLetter struct {
	Task     string
	Phase    string
	Category string
	// Reason becomes one line of at most 1 KiB, and so does HandlerError, which
	// is what the task's own exception handler failed with.
	Reason       string
	HandlerError string
	// Attempts counts those of this run, Deliveries those of the server.
	Attempts, Deliveries int
	// Outputs tells what had been stored already: "m=3 confirmed=1 unknown=0".
	Outputs             string
	FirstSeen, FailedAt time.Time
	// Stream, Subject and Sequence are where the message was stored in the first
	// place, and Timestamp when, in Unix nanoseconds.
	Stream, Subject string
	Sequence        uint64
	Timestamp       int64
	TraceID         string
	// ID is the identity of what failed. Requeue counts how often it came back
	// from dead letters. Together with Task and where the message was stored
	// they make the dead letter's own Nats-Msg-Id, so that the same failure
	// reported twice is stored once.
	ID      string
	Requeue int
}

// DeadMessage makes the message to store for orig under dlqSubject. The payload
// is orig's, untouched and shared with it; orig is not changed.
//
// Its headers are kept, with these exceptions. Those of NATS (Nats-*, in any
// case) are renamed to Ergon-Orig-Nats-*: as they are, they would act on the
// dead-letter stream, which would refuse the message for an expected sequence,
// drop it for an ID it knows, or let it expire. Those that begin with
// Ergon-Dead- are replaced by this failure's, and Ergon-Requeue by the count in it.
// And if all of it is more than a stream takes, the largest of the kept ones are
// left out and named in Ergon-Dead-Dropped. Names and values are made such that
// none can end a line.
func DeadMessage(orig *nats.Msg, dlqSubject string, d DeadLetter) *nats.Msg {
	m := &nats.Msg{Subject: dlqSubject, Data: orig.Data, Header: make(nats.Header, len(orig.Header)+20)}
	kept := keepHeaders(m.Header, orig.Header)
	for _, h := range []struct{ name, value string }{
		{semconv.DeadTask, d.Task},
		{semconv.DeadPhase, d.Phase},
		{semconv.DeadCategory, d.Category},
		{semconv.DeadReason, d.Reason},
		{semconv.DeadAttempts, count(d.Attempts)},
		{semconv.DeadDeliveries, count(d.Deliveries)},
		{semconv.DeadOutputs, d.Outputs},
		{semconv.DeadHandlerError, d.HandlerError},
		{semconv.DeadFirstSeen, timestamp(d.FirstSeen)},
		{semconv.DeadFailedAt, timestamp(d.FailedAt)},
		{semconv.DeadStream, d.Stream},
		{semconv.DeadSubject, d.Subject},
		{semconv.DeadSequence, sequence(d.Sequence)},
		{semconv.DeadTimestamp, nanoseconds(d.Timestamp)},
		{semconv.DeadTraceID, d.TraceID},
		{semconv.DeadRequeue, count(d.Requeue)},
	} {
		if v := OneLine(h.value, MaxReason); v != "" {
			m.Header[h.name] = []string{v}
		}
	}
	if id := d.msgID(); id != "" {
		m.Header[semconv.NatsMsgID] = []string{id}
	}
	dropLargest(m.Header, kept, maxHeader)
	return m
}

// keepHeaders copies from into to, and returns the names that it wrote.
func keepHeaders(to, from nats.Header) []string {
	renamed := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(from)) {
		written := headerName(name)
		if written == "" || hasPrefixFold(written, semconv.DeadPrefix) || ofRequeue(written) {
			continue
		}
		if hasPrefixFold(written, semconv.NatsPrefix) {
			written = semconv.OrigPrefix + written
			if !renamed[written] { // what an earlier dead letter said of this header is over
				renamed[written] = true
				delete(to, written)
			}
		}
		for _, v := range from[name] {
			to[written] = append(to[written], headerValue(v))
		}
	}
	return slices.Sorted(maps.Keys(to))
}

// dropLargest removes kept headers, the largest first, until what is left with
// a note of them fits into limit.
func dropLargest(h nats.Header, kept []string, limit int) {
	size := headerSize(h)
	if size <= limit {
		return
	}
	cost := func(name string) int { return headerSize(nats.Header{name: h[name]}) }
	slices.SortStableFunc(kept, func(a, b string) int { return cost(b) - cost(a) })
	var dropped []string
	for _, name := range kept {
		delete(h, name)
		dropped = append(dropped, name)
		h[semconv.DeadDropped] = []string{OneLine(strings.Join(dropped, " "), MaxReason)}
		if headerSize(h) <= limit {
			return
		}
	}
}

// msgID is a hash, because an identity may be of any length and hold anything,
// and cleaning it up could make two of them equal: the stream would drop one.
// Where the message was stored is part of it for the same reason: two messages
// that a careless publisher gave one ID are two dead letters.
func (d DeadLetter) msgID() string {
	if d.ID == "" && d.Sequence == 0 {
		return ""
	}
	h := sha256.New()
	for _, part := range []string{d.ID, d.Task, "dead", strconv.Itoa(d.Requeue), d.Stream, sequence(d.Sequence)} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return "dead-" + hex.EncodeToString(h.Sum(nil)[:16])
}

func count(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func sequence(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

func nanoseconds(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// headerName replaces what may not stand in a header's name: nats.go refuses to
// send such a header, though it hands one out.
func headerName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("!#$%&'*+-.^_`|~", r):
			return r
		}
		return '-'
	}, name)
}

// headerValue replaces what could end the line, and keeps the rest as it is.
func headerValue(v string) string {
	clean := func(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' }
	for i := 0; i < len(v); i++ {
		if clean(v[i]) {
			continue
		}
		b := []byte(v)
		for ; i < len(b); i++ {
			if !clean(b[i]) {
				b[i] = ' '
			}
		}
		return string(b)
	}
	return v
}
