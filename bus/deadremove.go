package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// RemoveDeadLetter deletes the dead letter with a sequence number of its stream. Where
// there is none (any more) it ends with [ErrNoDeadLetter]. The object of a large
// payload stays; see [Bus.RemoveDeadObjects].
func (b *Bus) RemoveDeadLetter(ctx context.Context, stream string, seq uint64) error {
	fail := func(err error) error { return fmt.Errorf("remove dead letter %d of %q: %w", seq, stream, err) }
	if seq == 0 {
		return fail(ErrNoDeadLetter)
	}
	subject := b.api("STREAM.MSG.DELETE", stream)
	answer, err := bounded(ctx, b, subject, func(ctx context.Context) (*nats.Msg, error) {
		return b.consume.nc.RequestWithContext(ctx, subject, fmt.Appendf(nil, `{"seq":%d,"no_erase":true}`, seq))
	})
	if err != nil {
		return fail(err)
	}
	var told struct {
		Success bool `json:"success"`
	}
	if err := json.Unmarshal(answer.Data, &told); err != nil {
		return fail(fmt.Errorf("its answer: %w", err))
	}
	if told.Success {
		return nil
	}
	// What is wrong is in its text alone, so it is asked whether the letter is there.
	switch _, err := b.MessageAt(ctx, stream, seq); {
	case errors.Is(err, ErrNoMessage):
		return fail(ErrNoDeadLetter)
	case errors.Is(err, ErrStreamGone):
		return fail(ErrStreamGone)
	}
	reason := cut(string(answer.Data), 200)
	if refusal := parseRefusal(answer.Data); refusal != nil {
		reason = refusal.Description
	}
	return fail(fmt.Errorf("the server refuses: %s", reason))
}

// CheckRemovable reports what would keep letters from being removed from a stream.
// One that does not exist is [ErrStreamGone].
func (b *Bus) CheckRemovable(ctx context.Context, stream string) error {
	s, err := b.stream(ctx, stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("stream %q: %w", stream, ErrStreamGone)
	case err != nil:
		return fmt.Errorf("look up stream %q: %w", stream, err)
	}
	if cfg := s.CachedInfo().Config; cfg.DenyDelete || cfg.Sealed {
		return fmt.Errorf("stream %q: %w: it lets nobody delete (deny_delete or sealed)", stream, ErrTopology)
	}
	return nil
}

// RemoveDeadObjects deletes those of the objects ("<bucket>/<name>", as letters name
// them) that lie in the stream's own bucket and that no letter of the stream names any
// more, and returns how many it did. It is for after their letters were removed.
//
// A failure that is reported twice may have two letters and has one object, so all
// letters are looked at. An object that was stored again after before is left alone:
// its letter may not be there yet.
func (b *Bus) RemoveDeadObjects(ctx context.Context, stream string, objects []string, before time.Time) (removed int, err error) {
	bucket := PayloadBucket(stream)
	left := map[string]bool{}
	for _, o := range objects {
		if name, ok := strings.CutPrefix(o, bucket+"/"); ok && name != "" {
			left[name] = true
		}
	}
	if len(left) == 0 {
		return 0, nil
	}
	if _, err := b.ScanDeadLetters(ctx, stream, DeadFilter{}, func(r DeadRecord) error {
		delete(left, strings.TrimPrefix(r.Object, bucket+"/"))
		return nil
	}); err != nil {
		return 0, err
	}
	store, err := b.js.ObjectStore(ctx, bucket)
	if err != nil {
		return 0, fmt.Errorf("bucket %q: %w", bucket, err)
	}
	for name := range left {
		info, err := store.GetInfo(ctx, name)
		if errors.Is(err, jetstream.ErrObjectNotFound) || err == nil && info.ModTime.After(before) {
			continue
		}
		if err == nil {
			err = store.Delete(ctx, name)
		}
		if err != nil {
			return removed, fmt.Errorf("remove %q from bucket %q: %w", name, bucket, err)
		}
		removed++
	}
	return removed, nil
}
