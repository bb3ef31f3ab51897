package bus

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// The payloads by which a delivery is settled.
var (
	ackPayload        []byte // an empty payload means +ACK
	inProgressPayload = []byte("+WPI")
)

// Ack tells the server that the message is done with. It does not wait for an
// answer: a lost Ack shows as a redelivery. All four functions publish on the
// connection that delivered m, and may be called concurrently.
func Ack(m *nats.Msg) error {
	return settled("ack", m, m.Respond(ackPayload))
}

// Nak asks for m to be delivered again after delay, to any puller of the
// consumer. A delay of 0 or less is refused with [ErrNakDelay]: a bare nak
// ignores every backoff and is redelivered at once. The delivery counts; the
// message keeps its place among the consumer's unacknowledged ones meanwhile.
func Nak(m *nats.Msg, delay time.Duration) error {
	if delay <= 0 {
		return settled("nak", m, ErrNakDelay)
	}
	b := append(make([]byte, 0, 40), `-NAK {"delay":`...)
	b = strconv.AppendInt(b, int64(delay), 10)
	return settled("nak", m, m.Respond(append(b, '}')))
}

// InProgress starts the message's ack deadline anew. It does not wait: see
// [Bus.ConfirmInProgress].
func InProgress(m *nats.Msg) error {
	return settled("extend", m, m.Respond(inProgressPayload))
}

// Term tells the server never to deliver m again. The reason, one line of at
// most 1 KiB after cleaning, goes into the server's advisory.
func Term(m *nats.Msg, reason string) error {
	payload := "+TERM"
	if reason = OneLine(reason, MaxReason); reason != "" {
		payload += " " + reason
	}
	return settled("term", m, m.Respond([]byte(payload)))
}

// ConfirmInProgress is InProgress with an answer: nil means that the server
// got it, and with it everything that was sent on the consuming connection
// before. It does not mean that m is still ours: the server extends the lease
// of a delivery that superseded it just the same.
func (b *Bus) ConfirmInProgress(ctx context.Context, m *nats.Msg) error {
	return b.confirmed(ctx, "confirm extension", m, inProgressPayload)
}

// ConfirmAck is Ack with an answer from the server.
func (b *Bus) ConfirmAck(ctx context.Context, m *nats.Msg) error {
	return b.confirmed(ctx, "confirm ack", m, ackPayload)
}

func (b *Bus) confirmed(ctx context.Context, op string, m *nats.Msg, payload []byte) error {
	_, err := b.consume.nc.RequestWithContext(ctx, m.Reply, payload)
	return settled(op, m, err)
}

func settled(op string, m *nats.Msg, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s message on %q: %w", op, m.Subject, err)
}
