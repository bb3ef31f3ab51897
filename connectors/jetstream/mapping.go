package jetstream

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/internal/identity"
	"github.com/ergon-framework/ergon/internal/percent"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// unwanted are headers that carry credentials; they never become metadata
// (RFC-001 §9).
var unwanted = map[string]bool{
	"authorization": true, "proxy-authorization": true, "cookie": true, "set-cookie": true,
}

// toRaw makes a transaction of a delivered message. Every message is one: what
// has no CloudEvents headers is a plain message, and what a header says badly
// is as if it were not said. stored is "<stream>:<sequence>", and it was
// stored when timestamp, in Unix nanoseconds, says.
func toRaw(m *nats.Msg, timestamp int64, source, stored string) ergon.Raw {
	e := ergon.Envelope{Source: source}
	var msgID, contentType string
	var metadata []string // names and values in turn
	for name, values := range m.Header {
		if len(values) == 0 {
			continue
		}
		value := values[0]
		switch lower := lowerASCII(name); lower {
		case semconv.CEID:
			e.ID = decodeValue(value)
		case semconv.CESource:
			if value != "" {
				e.Source = decodeValue(value)
			}
		case semconv.CEType:
			e.Type = decodeValue(value)
		case semconv.CETime:
			e.CreatedAt = parseTime(value)
		case semconv.CESubject:
			e.Key = decodeValue(value)
		case semconv.CEDataContentType:
			e.ContentType = decodeValue(value)
		case semconv.CECausationID:
			e.CausationID = decodeValue(value)
		case semconv.CECorrelationID:
			e.CorrelationID = decodeValue(value)
		case semconv.CESpecVersion:
		case semconv.TraceParent:
			if identity.ValidTraceParent(value) {
				e.Trace.Parent = value
			}
		case semconv.TraceState:
			e.Trace.State = strings.Join(values, ",")
		case semconv.CEPrefix + semconv.TraceParent:
			if e.Trace.Parent == "" && identity.ValidTraceParent(value) && !has(m.Header, semconv.TraceParent) {
				e.Trace.Parent = value
			}
		case semconv.CEPrefix + semconv.TraceState, semconv.Baggage:
		case "content-type":
			contentType = value
		case "nats-msg-id":
			msgID = value
		default:
			switch {
			case strings.HasPrefix(lower, "ergon-meta-"):
				lower = decodeValue(lower[len("ergon-meta-"):])
			case strings.HasPrefix(lower, "ergon-"), strings.HasPrefix(lower, "nats-"), unwanted[lower]:
				continue
			}
			for _, v := range values {
				metadata = append(metadata, lower, decodeValue(v))
			}
		}
	}
	if e.ID == "" {
		if e.ID = msgID; e.ID == "" {
			e.ID = stored
		}
	}
	if e.ContentType == "" {
		e.ContentType = contentType
	}
	if e.CreatedAt.IsZero() {
		e.CreatedAt = time.Unix(0, timestamp).UTC()
	}
	if e.Trace.Parent == "" {
		e.Trace.State = "" // it means nothing without its parent
	}
	if len(metadata) > 0 {
		e.Metadata = ergon.NewMetadata(func(yield func(string, string) bool) {
			for i := 0; i < len(metadata); i += 2 {
				if !yield(metadata[i], metadata[i+1]) {
					return
				}
			}
		})
	}
	return ergon.Make(e, m.Data)
}

// appendFields appends a transaction's headers in CloudEvents binary mode. Optional
// ones are written only where they say something.
func appendFields(fields []bus.Field, tx ergon.Raw) []bus.Field {
	e := tx.Envelope()
	set := func(name, value string) {
		if value != "" {
			fields = append(fields, bus.Field{Name: name, Value: value})
		}
	}
	id := percent.Value(e.ID)
	set(semconv.NatsMsgID, id)
	set(semconv.CESpecVersion, semconv.CEVersion)
	set(semconv.CEID, id)
	set(semconv.CESource, percent.Value(e.Source))
	set(semconv.CEType, percent.Value(e.Type))
	if !e.CreatedAt.IsZero() {
		set(semconv.CETime, e.CreatedAt.UTC().Format(time.RFC3339Nano))
	}
	set(semconv.CESubject, percent.Value(e.Key))
	set(semconv.CEDataContentType, percent.Value(e.ContentType))
	set(semconv.CECausationID, percent.Value(e.CausationID))
	if e.CorrelationID != e.ID {
		set(semconv.CECorrelationID, percent.Value(e.CorrelationID))
	}
	set(semconv.TraceParent, e.Trace.Parent)
	if printable(e.Trace.State) { // W3C wants it as it is, and has what is not printable dropped
		set(semconv.TraceState, e.Trace.State)
	}
	for name, value := range e.Metadata.All() { // sorted: the values of one name stand together
		fields = append(fields, bus.Field{Name: semconv.MetaPrefix + percent.Name(name), Value: percent.Value(value)})
	}
	return fields
}

func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

func has(h nats.Header, lower string) bool {
	for name := range h {
		if strings.EqualFold(name, lower) {
			return true
		}
	}
	return false
}

// lowerASCII returns s in lower case, itself if it is: what we write is, so our
// own messages cost no copy.
func lowerASCII(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			return strings.ToLower(s)
		}
	}
	return s
}

func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// decodeValue undoes percent.Value. A % that begins no escape stands for itself:
// a foreign producer may not encode at all.
func decodeValue(s string) string {
	if strings.IndexByte(s, '%') < 0 {
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
