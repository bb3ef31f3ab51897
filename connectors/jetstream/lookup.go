package jetstream

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/internal/identity"
)

// Found is a stored message, looked up and not taken, as the transaction that a
// source makes of it.
type Found struct {
	ergon.Raw
	// Info is what a source says of its first delivery: with it a task's outputs get
	// the IDs that they get in a run.
	Info ergon.DeliveryInfo
	// Message is what is stored; of a dead letter what was.
	Message *nats.Msg
	// Stream and Sequence are where it was stored in the first place, zero for nowhere.
	// Only of one that came back from dead letters is that another place than where it
	// was looked up.
	Stream   string
	Sequence uint64

	timestamp int64
}

// At looks up the transaction that a stream holds under a sequence number. See
// bus.Bus.MessageAt for what it can end with.
func At(ctx context.Context, b *bus.Bus, stream string, seq uint64) (Found, error) {
	m, err := b.MessageAt(ctx, stream, seq)
	if err != nil {
		return Found{}, err
	}
	return found(m.Msg, stream, seq, m.StoredAt), nil
}

// OfDeadLetter is the transaction that failed, of its dead letter and its payload.
// Its Now is what it was, and its outputs get the IDs that they had in the run that
// failed.
func OfDeadLetter(r bus.DeadRecord, payload []byte) Found {
	l := r.Letter
	at := r.When() // of a letter that does not say when the message was stored
	if l.Timestamp > 0 {
		at = time.Unix(0, l.Timestamp)
	}
	f := found(&nats.Msg{Subject: l.Subject, Header: r.Header, Data: payload}, l.Stream, l.Sequence, at)
	f.Info.FirstSeen = l.FirstSeen
	return f
}

// Unstored is a transaction that stands in no stream, as the message that it would be.
func Unstored(tx ergon.Raw) Found {
	return Found{
		Raw: tx, Info: ergon.DeliveryInfo{Attempt: 1, Deliveries: 1}, timestamp: tx.CreatedAt().UnixNano(),
		Message: &nats.Msg{Header: Headers(tx), Data: tx.Payload()},
	}
}

func found(m *nats.Msg, stream string, seq uint64, at time.Time) Found {
	f := Found{
		Info:    ergon.DeliveryInfo{Stored: storedName(stream, seq), Attempt: 1, Deliveries: 1},
		Message: m, Stream: stream, Sequence: seq, timestamp: at.UnixNano(),
	}
	if p := requeued(m, stream, seq, f.timestamp); p != nil {
		n := p.notes
		f.Message, f.Stream, f.Sequence, f.timestamp, f.Info.FirstSeen = p.orig, n.Stream, n.Sequence, n.Timestamp, n.FirstSeen
	}
	name := storedName(f.Stream, f.Sequence)
	f.Raw = toRaw(f.Message, f.timestamp, "nats:"+f.Stream, name)
	if f.ID() == name {
		f.Info.Epoch = strconv.FormatInt(f.timestamp, 36)
	}
	return f
}

// Headers are those that a sink publishes a transaction with.
func Headers(tx ergon.Raw) nats.Header {
	h := make(nats.Header)
	for _, f := range appendFields(nil, tx) {
		h[f.Name] = append(h[f.Name], f.Value)
	}
	return h
}

// Letter is the dead letter of what was found, as the source of a consumer
// ("<stream>/<durable>") would store it: the same failure reported by both is stored
// once.
func (f Found) Letter(consumer string, s ergon.Settlement) bus.DeadLetter {
	return letterOf(f, consumer, f.Info.Deliveries, s)
}

func letterOf(f Found, consumer string, deliveries int, s ergon.Settlement) bus.DeadLetter {
	trace := f.Trace().Parent
	if trace == "" {
		trace = identity.TraceParent(f.Source(), f.ID())
	}
	letter := bus.DeadLetter{
		Task: s.Err.Task, Phase: string(s.Err.Phase), Category: string(s.Err.Category), Reason: s.Err.Reason(),
		Attempts: s.Err.Attempt, Deliveries: deliveries,
		Outputs:   fmt.Sprintf("m=%d confirmed=%d unknown=%d", s.Dead.Outputs, s.Dead.Confirmed, s.Dead.Unknown),
		FirstSeen: s.FirstSeen, FailedAt: s.Dead.FailedAt,
		Stream: f.Stream, Subject: f.Message.Subject, Sequence: f.Sequence, Timestamp: max(f.timestamp, 0),
		Requeue: bus.RequeueCount(f.Message.Header),
		// With the time at which it was stored: a stream that was made anew counts
		// from 1 again, and a plain message's ID is its number.
		// And with the consumer: others may fail on the same message, each for itself.
		TraceID: identity.TraceID(trace), ID: consumer + " " + f.Source() + " " + f.ID() + " " + strconv.FormatInt(f.timestamp, 36),
	}
	if s.Dead.HandlerErr != nil {
		letter.HandlerError = s.Dead.HandlerErr.Error()
	}
	return letter
}
