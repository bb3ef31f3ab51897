package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNoMessage: the stream has no message with that number (any more).
var ErrNoMessage = errors.New("there is no such message")

// Stored is a message as its stream holds it.
type Stored struct {
	Msg      *nats.Msg
	Sequence uint64
	StoredAt time.Time
}

// MessageAt returns the message with a sequence number, and takes, acknowledges and
// changes nothing: it works on a work queue too. A stream that does not exist is
// [ErrStreamGone], a number that it does not hold [ErrNoMessage].
//
// It asks by itself, for the jetstream package of nats.go takes a message without a
// payload for a status of the server if it has a header Status; see readDead.
func (b *Bus) MessageAt(ctx context.Context, stream string, seq uint64) (Stored, error) {
	fail := func(err error) (Stored, error) {
		return Stored{}, fmt.Errorf("message %d of %q: %w", seq, stream, err)
	}
	if seq == 0 { // the server takes it for a question by subject
		return fail(ErrNoMessage)
	}
	subject := b.api("STREAM.MSG.GET", stream)
	answer, err := bounded(ctx, b, subject, func(ctx context.Context) (*nats.Msg, error) {
		return b.consume.nc.RequestWithContext(ctx, subject, fmt.Appendf(nil, `{"seq":%d}`, seq))
	})
	if err != nil {
		return fail(err)
	}
	if refusal := parseRefusal(answer.Data); refusal != nil {
		switch refusal.ErrCode {
		case uint16(jetstream.JSErrCodeMessageNotFound):
			return fail(ErrNoMessage)
		case uint16(jetstream.JSErrCodeStreamNotFound):
			return fail(ErrStreamGone)
		}
		return fail(refusal)
	}
	var told struct {
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &told); err != nil {
		return fail(fmt.Errorf("its answer: %w", err))
	}
	m := told.Message
	msg := &nats.Msg{Subject: m.Subject, Data: m.Data}
	if len(m.Header) > 0 {
		if msg.Header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return fail(fmt.Errorf("its headers: %w", err))
		}
	}
	return Stored{Msg: msg, Sequence: m.Seq, StoredAt: m.Time.UTC()}, nil
}
