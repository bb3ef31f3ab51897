package bus

import (
	"fmt"
	"strings"
)

// Meta is what JetStream says of a delivery, in its reply subject.
type Meta struct {
	// Domain is the stream's JetStream domain, empty where there is none.
	Domain string
	// Stream and Consumer are names; they share the reply subject's memory.
	Stream, Consumer string
	// Delivered counts the deliveries of this message so far: 1 on the first.
	Delivered uint64
	// StreamSeq is the message's sequence number in its stream, ConsumerSeq the
	// delivery's in its consumer.
	StreamSeq, ConsumerSeq uint64
	// Timestamp is when the stream stored the message, in Unix nanoseconds.
	Timestamp int64
	// Pending is how many messages of the consumer were not delivered yet.
	Pending uint64
}

const replyPrefix = "$JS.ACK."

// ParseReply reads a delivery's reply subject, in either form:
//
//	$JS.ACK.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<time>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<time>.<pending>[.<more>…]
//
// where a domain of "_" means none. It allocates nothing when it succeeds.
// Its errors wrap [ErrReply].
func ParseReply(reply string) (Meta, error) {
	rest, ok := strings.CutPrefix(reply, replyPrefix)
	if !ok {
		return Meta{}, replyError(reply)
	}
	tokens := strings.Count(rest, ".") + 1
	var m Meta
	switch {
	case tokens == 7:
	case tokens >= 9: // the twelfth token and what may follow mean nothing to a client
		m.Domain, rest, _ = strings.Cut(rest, ".")
		if m.Domain == "_" {
			m.Domain = ""
		}
		_, rest, _ = strings.Cut(rest, ".")
	default:
		return Meta{}, replyError(reply)
	}
	m.Stream, rest, _ = strings.Cut(rest, ".")
	m.Consumer, rest, _ = strings.Cut(rest, ".")
	if m.Stream == "" || m.Consumer == "" {
		return Meta{}, replyError(reply)
	}
	var n [5]uint64
	for i := range n {
		var token string
		token, rest, _ = strings.Cut(rest, ".")
		if n[i], ok = parseUint(token); !ok {
			return Meta{}, replyError(reply)
		}
	}
	if n[3] > 1<<63-1 {
		return Meta{}, replyError(reply)
	}
	m.Delivered, m.StreamSeq, m.ConsumerSeq, m.Timestamp, m.Pending = n[0], n[1], n[2], int64(n[3]), n[4]
	return m, nil
}

func replyError(reply string) error {
	return fmt.Errorf("parse reply subject %q: %w", cut(reply, 200), ErrReply)
}

// parseUint reads a decimal number that must fill all of s.
func parseUint[T string | []byte](s T) (uint64, bool) {
	if len(s) == 0 || len(s) > 20 {
		return 0, false
	}
	var n uint64
	for i := 0; i < len(s); i++ {
		d := uint64(s[i]) - '0'
		if d > 9 {
			return 0, false
		}
		if n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
