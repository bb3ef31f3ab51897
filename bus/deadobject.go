package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/internal/semconv"
)

// PayloadBucket is the object-store bucket for the payloads that don't fit into a
// dead letter of the stream. It is made when the first one comes.
func PayloadBucket(stream string) string { return stream + "_PAYLOADS" }

// apart stores the payload as an object and then the letter, without it, naming
// the object. A message that was stored can be as large as the server allows, and
// its dead letter has more headers: without another place for the payload it could
// be neither processed nor set aside, for ever.
func (l *DeadLetters) apart(ctx context.Context, m *nats.Msg, tooLarge error, done func(error)) {
	if !l.repairing() {
		done(tooLarge)
		return
	}
	go func() {
		defer l.repaired()
		if err := l.putObject(ctx, m); err != nil {
			done(fmt.Errorf("store dead letter: %w (as an object: %w)", tooLarge, err))
			return
		}
		l.publish(ctx, m, done)
	}()
}

func (l *DeadLetters) putObject(ctx context.Context, m *nats.Msg) error {
	bucket := PayloadBucket(l.cfg.Stream)
	stream, b := "OBJ_"+bucket, l.bus
	ctx, told := b.asking(ctx, b.api("STREAM.INFO", stream), b.api("STREAM.CREATE", stream), b.api("STREAM.PURGE", stream),
		b.api("DIRECT.GET", stream), b.api("STREAM.MSG.GET", stream), "$O."+bucket)
	return told(l.putInto(ctx, bucket, m))
}

func (l *DeadLetters) putInto(ctx context.Context, bucket string, m *nats.Msg) error {
	storage := jetstream.FileStorage
	if l.cfg.Storage == StorageMemory {
		storage = jetstream.MemoryStorage
	}
	store, err := l.bus.js.ObjectStore(ctx, bucket)
	if err != nil { // missing, most likely; if not, making it says what is wrong
		store, err = l.bus.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: bucket, Description: "payloads of dead letters that were too large for their stream",
			TTL: l.cfg.MaxAge, Storage: storage, Replicas: max(l.cfg.Replicas, 1),
		})
	}
	if err != nil {
		return fmt.Errorf("bucket %q: %w", bucket, err)
	}
	// The letter's own ID: stored again, the object is replaced by itself.
	name := m.Header.Get(semconv.NatsMsgID)
	if _, err := store.PutBytes(ctx, name, m.Data); err != nil {
		return fmt.Errorf("put %q into bucket %q: %w", name, bucket, err)
	}
	m.Header[semconv.DeadObject] = []string{bucket + "/" + name}
	m.Data = nil
	return nil
}
