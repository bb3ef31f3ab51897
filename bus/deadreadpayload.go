package bus

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// MaxDeadPayload is how large a payload of a dead letter may be when it is read
// back. No server takes larger messages, so what claims to be larger was not
// written by Ergon.
const MaxDeadPayload = 64 << 20

// objectPatience is how long an object may take.
const objectPatience = time.Minute

// ErrDeadPayload: the payload of a dead letter can't be read back. The text says
// why; the letter itself may be in order.
var ErrDeadPayload = errors.New("payload of the dead letter")

// DeadPayload returns the original's payload, byte for byte: it is fetched if the
// letter was read without it, or if it lies in the object store, and unpacked.
// At most [MaxDeadPayload] is read. What is wrong with it is an [ErrDeadPayload].
func (b *Bus) DeadPayload(ctx context.Context, r DeadRecord) ([]byte, error) {
	if !r.whole {
		var err error
		if r, err = b.DeadLetterAt(ctx, r.Stream, r.Sequence); err != nil {
			return nil, err
		}
	}
	data := r.data
	if r.Object != "" {
		var err error
		if data, err = b.deadObject(ctx, r); err != nil {
			return nil, fmt.Errorf("%w: object %q: %w", ErrDeadPayload, cut(r.Object, 200), err)
		}
	}
	switch r.Encoding {
	case "":
		return data, nil
	case "gzip":
		data, err := unpack(data)
		if err != nil {
			return nil, fmt.Errorf("%w: it is said to be compressed: %w", ErrDeadPayload, err)
		}
		return data, nil
	}
	return nil, fmt.Errorf("%w: encoding %q is not known: a newer version of Ergon may know it", ErrDeadPayload, cut(r.Encoding, 100))
}

// deadObject reads the object that the letter names. It must lie in the bucket of
// the letter's own stream: whoever can publish a letter could name any other, and
// have it read by somebody with more rights.
func (b *Bus) deadObject(ctx context.Context, r DeadRecord) ([]byte, error) {
	bucket, name, _ := strings.Cut(r.Object, "/")
	if own := PayloadBucket(r.Stream); bucket != own {
		return nil, fmt.Errorf("payloads of this stream are kept in the bucket %q", own)
	}
	ctx, cancel := context.WithTimeout(ctx, objectPatience)
	defer cancel()
	ctx, told := b.hearing(ctx, b.api("STREAM.INFO", "OBJ_"+bucket), b.api("DIRECT.GET", "OBJ_"+bucket),
		b.api("CONSUMER.CREATE", "OBJ_"+bucket), "$JS.FC.OBJ_"+bucket)
	data, err := b.readObject(ctx, bucket, name)
	return data, told(err)
}

func (b *Bus) readObject(ctx context.Context, bucket, name string) ([]byte, error) {
	store, err := b.js.ObjectStore(ctx, bucket)
	if err != nil {
		return nil, err
	}
	object, err := store.Get(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, errors.New("it is not there (any more)")
	}
	if err != nil {
		return nil, err
	}
	data, err := readAtMost(object, MaxDeadPayload)
	return data, errors.Join(err, object.Close())
}

func unpack(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return readAtMost(z, MaxDeadPayload)
}

// readAtMost is io.ReadAll for what may be without end: a few KiB unpack to GiB.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: it is more than %d bytes", ErrTooLarge, limit)
	}
	return data, nil
}
