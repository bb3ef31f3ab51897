package bus

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon/internal/semconv"
)

// Parked is what is noted of a message that waits for its next attempt.
type Parked struct {
	// ID is the identity of what waits, in any form. With where it was stored
	// it tells what waits in a lane apart.
	ID string
	// Due is when it is delivered again, at the earliest.
	Due time.Time
	// Attempt is the number of its next attempt, over 1.
	Attempt int
	// Deliveries is how often it was delivered so far.
	Deliveries int
	// FirstSeen is when its first attempt began.
	FirstSeen time.Time
	// Stream, Subject, Sequence and Timestamp (of storing, in Unix nanoseconds) are
	// where the message was stored in the first place.
	Stream, Subject string
	Sequence        uint64
	Timestamp       int64
	// Reason is why it waits. It becomes one line of at most 1 KiB.
	Reason string
}

// key tells what waits in a lane apart: parked again, it takes its own place.
func (p Parked) key() string {
	return hash(strings.Join([]string{p.ID, p.Stream, strconv.FormatUint(p.Sequence, 10), strconv.FormatInt(p.Timestamp, 10)}, "\x00"))
}

// message makes what is stored in a lane, without a subject: the payload and the
// headers of orig, those of NATS under other names, and the notes.
func (p Parked) message(lane string, orig *nats.Msg) *nats.Msg {
	m := &nats.Msg{Data: orig.Data, Header: make(nats.Header, len(orig.Header)+14)}
	for name, values := range orig.Header {
		written := headerName(name)
		if written == "" || hasPrefixFold(written, semconv.ParkedPrefix) {
			continue
		}
		if hasPrefixFold(written, semconv.NatsPrefix) {
			written = semconv.ParkedPrefix + written // as it is it would act on the stream in which it waits
		}
		for _, v := range values {
			m.Header[written] = append(m.Header[written], headerValue(v))
		}
	}
	for _, h := range []struct{ name, value string }{
		// Parked again for the same attempt it is the same message, and the stream
		// drops the copy. In another lane it is another one: two consumers may both
		// have to try a message again.
		{semconv.NatsMsgID, "parked-" + hash(lane+" "+p.key()) + "-" + strconv.Itoa(p.Attempt)},
		{semconv.ParkedDue, timestamp(p.Due)},
		{semconv.ParkedAttempt, count(p.Attempt)},
		{semconv.ParkedDeliveries, count(p.Deliveries)},
		{semconv.ParkedFirstSeen, timestamp(p.FirstSeen)},
		{semconv.ParkedStream, p.Stream},
		{semconv.ParkedSubject, p.Subject},
		{semconv.ParkedSequence, sequence(p.Sequence)},
		{semconv.ParkedTimestamp, strconv.FormatInt(p.Timestamp, 10)},
		{semconv.ParkedReason, OneLine(p.Reason, MaxReason)},
	} {
		if h.value != "" {
			m.Header[h.name] = []string{h.value}
		}
	}
	return m
}

// Unpark returns the message as it was before it was parked, with the reply
// subject of this delivery, and what was noted of it. An error means that m was
// never parked by this package.
func Unpark(m *nats.Msg) (*nats.Msg, Parked, error) {
	value := func(name string) string { return first(m.Header, name) }
	attempt, errA := strconv.Atoi(value(semconv.ParkedAttempt))
	seq, errS := strconv.ParseUint(value(semconv.ParkedSequence), 10, 64)
	stored, errT := strconv.ParseInt(value(semconv.ParkedTimestamp), 10, 64)
	due, errD := time.Parse(time.RFC3339Nano, value(semconv.ParkedDue))
	if err := errors.Join(errA, errS, errT, errD); err != nil {
		return nil, Parked{}, fmt.Errorf("message on %q was not parked by Ergon: %w", m.Subject, err)
	}
	p := Parked{
		Due: due, Attempt: attempt, Stream: value(semconv.ParkedStream), Subject: value(semconv.ParkedSubject),
		Sequence: seq, Timestamp: stored, Reason: value(semconv.ParkedReason),
	}
	p.Deliveries, _ = strconv.Atoi(value(semconv.ParkedDeliveries)) // 0 where it says nothing
	p.FirstSeen, _ = time.Parse(time.RFC3339Nano, value(semconv.ParkedFirstSeen))
	orig := &nats.Msg{Subject: p.Subject, Reply: m.Reply, Data: m.Data, Header: make(nats.Header, len(m.Header)), Sub: m.Sub}
	for name, values := range m.Header {
		switch {
		case hasPrefixFold(name, semconv.ParkedPrefix+semconv.NatsPrefix):
			orig.Header[name[len(semconv.ParkedPrefix):]] = values
		case hasPrefixFold(name, semconv.ParkedPrefix), hasPrefixFold(name, semconv.NatsPrefix):
		default:
			orig.Header[name] = values
		}
	}
	return orig, p, nil
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}
