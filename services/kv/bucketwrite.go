package kv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	operation    = "KV-Operation" // the header of a mark of deletion
	deleted      = "DEL"
	purged       = "PURGE"
	codeWrongID  = jetstream.ErrorCode(10070)
	codeNoTTL    = jetstream.ErrorCode(10166)
	codeWrongSeq = jetstream.JSErrCodeStreamWrongLastSequence
	// codeWrongSeqToo is what streams with several replicas say.
	codeWrongSeqToo = jetstream.JSErrCodeStreamWrongLastSequenceConstant
)

// Write publishes the change.
//
// It does not go by jetstream.KeyValue: that gives a time only to Create, and no ID to
// anything.
func (b *bucket) Write(ctx context.Context, c Change) (uint64, error) {
	o, known := b.opened.Load(), b.cache.Load()
	if o == nil {
		return 0, ErrNotStarted
	}
	var revision uint64
	var err error
	switch c.Kind {
	case KindCreate:
		revision, err = o.create(ctx, c)
	case KindUpdate, KindDeleteAt:
		if revision, err = o.publish(ctx, c, &c.Revision); wrongRevision(err) {
			revision, err = o.earlier(ctx, c, ErrConflict)
		}
	default:
		revision, err = o.publish(ctx, c, nil)
	}
	if err != nil {
		return 0, b.refused(ctx, err)
	}
	b.note(ctx, nil)
	// The cache of before the write, if any: if it was filled anew meanwhile, that was from
	// a bucket which may have been made anew, where this revision means nothing.
	if known != nil {
		known.wrote(o.written(c, revision))
	}
	return revision, nil
}

// create writes where nothing is: no message of the key, or a mark of deletion.
func (o *opened) create(ctx context.Context, c Change) (uint64, error) {
	revision, err := o.publish(ctx, c, new(uint64)) // 0: none
	if !wrongRevision(err) {
		return revision, err
	}
	is, failed := o.latest(ctx, c.Key)
	if failed != nil {
		return 0, failed
	}
	if is != nil && is.deleted {
		if revision, err = o.publish(ctx, c, &is.Revision); !wrongRevision(err) {
			return revision, err
		}
	}
	return o.earlier(ctx, c, ErrExists)
}

// earlier asks whether an earlier attempt, whose answer was lost, made the change: then
// what stands in the way is that, or came after it. other is what the call ends with else.
//
// A stream drops what it has by its ID, and answers with the revision that it gave it. But
// one without replicas looks at the expected revision first, so the change itself is not
// answered that way. It looks at the ID before it looks at the ID of the latest message,
// so this asks with one that no message ever has: nothing can be stored by it.
func (o *opened) earlier(ctx context.Context, c Change, other error) (uint64, error) {
	if !c.Again {
		return 0, other
	}
	ack, err := o.js.PublishMsg(ctx, &nats.Msg{Subject: o.writes + c.Key},
		jetstream.WithMsgID(c.ID), jetstream.WithExpectStream(o.name), jetstream.WithExpectLastMsgID("none:"+c.ID))
	switch {
	case err == nil:
		return ack.Sequence, nil
	case code(err) == codeWrongID:
		return 0, other
	}
	return 0, err
}

// publish sends the change. expect is the latest revision of the key that it goes with: 0
// is none at all, nil any.
func (o *opened) publish(ctx context.Context, c Change, expect *uint64) (uint64, error) {
	m := &nats.Msg{Subject: o.writes + c.Key, Data: c.Value, Header: nats.Header{}}
	opts := []jetstream.PublishOpt{jetstream.WithMsgID(c.ID), jetstream.WithExpectStream(o.name)}
	if c.Kind == KindDelete || c.Kind == KindDeleteAt {
		m.Header.Set(operation, deleted)
	}
	if expect != nil {
		opts = append(opts, jetstream.WithExpectLastSequencePerSubject(*expect))
	}
	if c.TTL > 0 {
		opts = append(opts, jetstream.WithMsgTTL(c.TTL))
	}
	ack, err := o.js.PublishMsg(ctx, m, opts...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// refused says what a failure means. One that is an answer says nothing against the bucket.
func (b *bucket) refused(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ErrConflict), errors.Is(err, ErrExists):
		b.note(ctx, nil)
		return err
	case errors.Is(err, nats.ErrMaxPayload), code(err) == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return fmt.Errorf("%w: %w", ErrValue, err)
	case code(err) == codeNoTTL:
		return fmt.Errorf("it gives no time to single keys: make it anew, as by `nats kv add %s --marker-ttl=1s`, or let create: true do so: %w", b.cfg.Bucket, err)
	}
	return b.note(ctx, err)
}

func code(err error) jetstream.ErrorCode {
	if e, ok := errors.AsType[*jetstream.APIError](err); ok {
		return e.ErrorCode
	}
	return 0
}

func wrongRevision(err error) bool { return code(err) == codeWrongSeq || code(err) == codeWrongSeqToo }

// record makes one of a message.
func (o *opened) record(key string, data []byte, h nats.Header, revision uint64, created time.Time) *Record {
	r := &Record{Key: key, Value: data, Revision: revision, Created: created}
	op := h.Get(operation)
	r.deleted = op == deleted || op == purged || h.Get(jetstream.MarkerReasonHeader) != ""
	r.expires = o.expires(created, h.Get(jetstream.MsgTTLHeader))
	return r
}

// written is the record that a change made, as far as it is known here.
func (o *opened) written(c Change, revision uint64) *Record {
	r := &Record{Key: c.Key, Value: c.Value, Revision: revision, Created: time.Now().Add(o.ahead)}
	r.deleted = c.Kind == KindDelete || c.Kind == KindDeleteAt
	ttl := ""
	if c.TTL > 0 {
		ttl = c.TTL.String()
	}
	r.expires = o.expires(r.Created, ttl)
	return r
}

// expires is when a value is gone, by our clock: at the end of its own time or of the
// bucket's, whichever comes first. "never" is for ever, in any bucket.
func (o *opened) expires(created time.Time, ttl string) time.Time {
	age := o.maxAge
	if ttl != "" {
		if strings.EqualFold(ttl, "never") {
			return time.Time{}
		}
		own, err := time.ParseDuration(ttl)
		if err != nil {
			own, err = time.ParseDuration(ttl + "s") // a bare number is of seconds
		}
		if err == nil && own > 0 && (age == 0 || own < age) {
			age = own
		}
	}
	if age == 0 {
		return time.Time{}
	}
	return created.Add(age - o.ahead)
}
