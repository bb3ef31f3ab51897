package jetstream

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
)

// Stored is a transaction that stands in a stream.
type Stored struct {
	ergon.Raw
	Stream   string
	Subject  string
	Sequence uint64
}

// Scan calls each with the envelope of every transaction that a stream holds on
// the subjects when it begins, in order; payloads stay at the server. See
// bus.Bus.Scan.
func Scan(ctx context.Context, b *bus.Bus, stream string, subjects []string, each func(Stored)) error {
	return b.Scan(ctx, stream, subjects, true, func(m *nats.Msg, meta bus.Meta) error {
		each(Stored{
			Raw:    found(m, meta.Stream, meta.StreamSeq, time.Unix(0, meta.Timestamp)).Raw,
			Stream: stream, Subject: m.Subject, Sequence: meta.StreamSeq,
		})
		return nil
	})
}
