package raw

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The names under which Ergon's contender is registered: they are part of the
// IDs and of the headers.
const (
	task  = "work"
	route = "out"
	app   = "bench"
)

// origin is the identity of a plain message.
type origin struct {
	source, id, epoch string
	meta              *jetstream.MsgMetadata
}

func originOf(m jetstream.Msg) (origin, error) {
	meta, err := m.Metadata()
	if err != nil {
		return origin{}, fmt.Errorf("read a delivery's metadata: %w", err)
	}
	return origin{
		source: "nats:" + meta.Stream,
		id:     meta.Stream + ":" + strconv.FormatUint(meta.Sequence.Stream, 10),
		epoch:  strconv.FormatInt(meta.Timestamp.UnixNano(), 36),
		meta:   meta,
	}, nil
}

// outputHeader is what connectors/jetstream writes for an output. Its values lie
// in one array, as they do there.
func outputHeader(m jetstream.Msg, at time.Time) (nats.Header, error) {
	o, err := originOf(m)
	if err != nil {
		return nil, err
	}
	id := hash(o.source, o.id+"@"+o.epoch, "/ergon/"+app+"/"+task, route, "0")
	values := [...]string{
		id, "1.0", id, "/ergon/" + app + "/" + task, route, at.UTC().Format(time.RFC3339Nano),
		"application/json", o.id, o.id, traceParent(o.source, o.id),
	}
	names := [...]string{
		"Nats-Msg-Id", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time",
		"ce-datacontenttype", "ce-causationid", "ce-correlationid", "traceparent",
	}
	return header(names[:], values[:]), nil
}

// deadHeader is what bus writes for a dead letter.
func deadHeader(m jetstream.Msg, attempts int, at time.Time, failed error) (nats.Header, error) {
	o, err := originOf(m)
	if err != nil {
		return nil, err
	}
	values := [...]string{
		hash(o.source, o.id, o.epoch, task, "dead"), task, "process", "SYSTEM", failed.Error(),
		strconv.Itoa(attempts), strconv.FormatUint(o.meta.NumDelivered, 10), "m=0 confirmed=0 unknown=0",
		at.UTC().Format(time.RFC3339Nano), time.Now().UTC().Format(time.RFC3339Nano),
		o.meta.Stream, m.Subject(), strconv.FormatUint(o.meta.Sequence.Stream, 10), strconv.FormatInt(o.meta.Timestamp.UnixNano(), 10),
		traceParent(o.source, o.id)[3:35],
	}
	names := [...]string{
		"Nats-Msg-Id", "Ergon-Dead-Task", "Ergon-Dead-Phase", "Ergon-Dead-Category", "Ergon-Dead-Reason",
		"Ergon-Dead-Attempts", "Ergon-Dead-Deliveries", "Ergon-Dead-Outputs",
		"Ergon-Dead-First-Seen", "Ergon-Dead-Failed-At",
		"Ergon-Dead-Stream", "Ergon-Dead-Subject", "Ergon-Dead-Sequence", "Ergon-Dead-Timestamp", "Ergon-Dead-Trace-Id",
	}
	return header(names[:], values[:]), nil
}

func header(names, values []string) nats.Header {
	block := append(make([]string, 0, len(values)), values...)
	h := make(nats.Header, len(names))
	for i, name := range names {
		h[name] = block[i : i+1 : i+1]
	}
	return h
}

// hash derives an ID from its parts, each with its length before it.
func hash(parts ...string) string {
	var stack [256]byte
	b := stack[:0]
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// traceParent is a W3C traceparent, not sampled, for a message without one.
func traceParent(source, id string) string {
	var stack [256]byte
	b := binary.AppendUvarint(stack[:0], uint64(len(source)))
	b = append(append(b, source...), id...)
	sum := sha256.Sum256(b)
	sum[0] |= 1
	sum[16] |= 1
	var s [55]byte
	copy(s[:], "00-")
	hex.Encode(s[3:], sum[:16])
	s[35] = '-'
	hex.Encode(s[36:], sum[16:24])
	copy(s[52:], "-00")
	return string(s[:])
}
