package bus

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon/internal/semconv"
)

// msgSizeHeader is what the server adds where it leaves the payload out.
const msgSizeHeader = "Nats-Msg-Size"

// A DeadRecord is a dead letter as its stream holds it: see [Bus.DeadLetterAt]
// and [Bus.ScanDeadLetters]. Anybody who may publish on the stream's subjects
// can put anything there, so every text may hold any byte.
type DeadRecord struct {
	// Letter is what the letter says. Its ID is not stored and stays empty.
	Letter DeadLetter
	// TransactionID is the ID of the transaction that failed, read from its
	// headers as a source does.
	TransactionID string
	// Header is the original's headers, under the names they had. Those that
	// there was no room for are missing, and named in Dropped.
	Header  nats.Header
	Dropped []string
	// Stream, Subject and Sequence are where the letter itself is stored, and
	// StoredAt since when.
	Stream, Subject string
	Sequence        uint64
	StoredAt        time.Time
	// Size is how many bytes of payload the letter has. They are not the
	// original's if Encoding says so, and lie elsewhere if Object does.
	Size             int
	Encoding, Object string
	// Faults says what of the letter's own headers could not be read. The fields
	// that they fill are zero.
	Faults []string

	data  []byte
	whole bool // data is all that is stored, and not left at the server
}

// When is when it failed, or was stored, if that is not known.
func (r DeadRecord) When() time.Time {
	if r.Letter.FailedAt.IsZero() {
		return r.StoredAt
	}
	return r.Letter.FailedAt
}

// ParseDeadLetter reads a message of a dead-letter stream, however it was got:
// with the headers that a direct get adds, or without its payload. It undoes
// [DeadMessage]. It never fails: what can't be read is among the Faults.
func ParseDeadLetter(m *nats.Msg) DeadRecord {
	r := DeadRecord{Header: make(nats.Header), Subject: m.Subject, Size: len(m.Data), data: m.Data}
	p := deadParser{of: m.Header, record: &r}
	r.Letter = DeadLetter{
		Task: p.text(semconv.DeadTask), Phase: p.text(semconv.DeadPhase), Category: p.text(semconv.DeadCategory),
		Reason: p.text(semconv.DeadReason), HandlerError: p.text(semconv.DeadHandlerError),
		Attempts: p.count(semconv.DeadAttempts), Deliveries: p.count(semconv.DeadDeliveries),
		Outputs:   p.text(semconv.DeadOutputs),
		FirstSeen: p.time(semconv.DeadFirstSeen), FailedAt: p.time(semconv.DeadFailedAt),
		Stream: p.text(semconv.DeadStream), Subject: p.text(semconv.DeadSubject), Sequence: p.sequence(semconv.DeadSequence),
		Timestamp: p.nanoseconds(semconv.DeadTimestamp),
		TraceID:   p.text(semconv.DeadTraceID), Requeue: p.count(semconv.DeadRequeue),
	}
	r.Encoding, r.Object = p.text(semconv.DeadEncoding), p.text(semconv.DeadObject)
	r.Dropped = strings.Fields(p.text(semconv.DeadDropped))
	if !p.any {
		r.Faults = append(r.Faults, "it has none of the headers of a dead letter: something else was stored here")
	}
	if size, ok := parseUint(first(m.Header, msgSizeHeader)); ok && len(m.Data) == 0 && size < 1<<31 {
		r.Size = int(size)
	}
	restoreHeaders(r.Header, m.Header)
	r.TransactionID = transactionID(r)
	return r
}

// restoreHeaders copies from into to as they were before [DeadMessage]. Every
// Nats-* header is the letter's own, or the server's.
func restoreHeaders(to, from nats.Header) {
	for _, name := range slices.Sorted(maps.Keys(from)) { // sorted, so that equal letters give equal headers
		orig := name
		if hasPrefixFold(name, semconv.OrigPrefix+semconv.NatsPrefix) {
			orig = name[len(semconv.OrigPrefix):]
		} else if hasPrefixFold(name, semconv.NatsPrefix) || hasPrefixFold(name, semconv.DeadPrefix) {
			continue
		}
		to[orig] = append(to[orig], from[name]...)
	}
}

// transactionID goes by the same rule as a source that reads the message: its
// CloudEvents ID, else its Nats-Msg-Id, else where it was stored.
func transactionID(r DeadRecord) string {
	if id := decodePercent(first(r.Header, foldName(r.Header, semconv.CEID))); id != "" {
		return id
	}
	if id := first(r.Header, foldName(r.Header, semconv.NatsMsgID)); id != "" {
		return id
	}
	if r.Letter.Stream == "" || r.Letter.Sequence == 0 {
		return ""
	}
	return r.Letter.Stream + ":" + strconv.FormatUint(r.Letter.Sequence, 10)
}

// deadParser reads what a letter says of itself.
type deadParser struct {
	of     nats.Header
	record *DeadRecord
	any    bool
}

func (p *deadParser) text(name string) string {
	name = foldName(p.of, name)
	values := p.of[name]
	if len(values) == 0 {
		return ""
	}
	p.any = true
	if len(values) > 1 {
		p.fault(name, fmt.Sprintf("stands there %d times: the first counts", len(values)))
	}
	return values[0]
}

func (p *deadParser) count(name string) int {
	v := p.text(name)
	n, ok := parseUint(v)
	if v != "" && (!ok || n >= 1<<31) {
		p.fault(name, fmt.Sprintf("%q is not a count", cut(v, 100)))
		return 0
	}
	return int(n)
}

func (p *deadParser) sequence(name string) uint64 {
	v := p.text(name)
	n, ok := parseUint(v)
	if v != "" && !ok {
		p.fault(name, fmt.Sprintf("%q is not a sequence number", cut(v, 100)))
		return 0
	}
	return n
}

func (p *deadParser) nanoseconds(name string) int64 {
	v := p.text(name)
	n, ok := parseUint(v)
	if v != "" && (!ok || n > math.MaxInt64) {
		p.fault(name, fmt.Sprintf("%q is not a time in nanoseconds", cut(v, 100)))
		return 0
	}
	return int64(n)
}

func (p *deadParser) time(name string) time.Time {
	v := p.text(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		p.fault(name, fmt.Sprintf("%q is not a time", cut(v, 100)))
		return time.Time{}
	}
	return t.UTC()
}

func (p *deadParser) fault(name, text string) {
	p.record.Faults = append(p.record.Faults, name+": "+text)
}

// foldName is the name under which h has the header, whatever its case: as it is
// written here if h has that, else the first in order.
func foldName(h nats.Header, name string) string {
	if _, ok := h[name]; ok {
		return name
	}
	found := name
	for other := range h {
		if len(other) == len(name) && strings.EqualFold(other, name) && (found == name || other < found) {
			found = other
		}
	}
	return found
}

// decodePercent undoes the percent-encoding of a CloudEvents header. A % that
// begins no escape stands for itself. The JetStream connector has the same; it
// stands above this package.
func decodePercent(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(v))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
