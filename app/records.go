package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/connectors/http"
)

// kvRecords are records in a bucket, one key each. They end with the bucket's TTL, which
// begins again with each state.
type kvRecords struct{ kv natsjs.KeyValue }

var _ http.Records = kvRecords{}

// openRecords opens the bucket, and makes it where it is missing. What is there is left
// as it is.
func openRecords(ctx context.Context, js natsjs.JetStream, c config.Records, log *slog.Logger) (kvRecords, error) {
	kv, err := js.KeyValue(ctx, c.Bucket)
	if errors.Is(err, natsjs.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, natsjs.KeyValueConfig{
			Bucket: c.Bucket, Description: "what became of requests over HTTP", TTL: c.TTL.D(), Replicas: c.Replicas,
		})
		if errors.Is(err, natsjs.ErrBucketExists) { // another process was first
			kv, err = js.KeyValue(ctx, c.Bucket)
		}
	}
	if err != nil {
		return kvRecords{}, fmt.Errorf("open bucket %q for the records of requests: %w", c.Bucket, err)
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return kvRecords{}, fmt.Errorf("ask for bucket %q of the records of requests: %w", c.Bucket, err)
	}
	if ttl := status.TTL(); ttl != c.TTL.D() {
		log.Warn("the bucket keeps records for another time than is configured, and was left as it is",
			"bucket", c.Bucket, "ttl", ttl, "configured", time.Duration(c.TTL))
	}
	return kvRecords{kv}, nil
}

// Begin keeps a record, unless there is one.
func (k kvRecords) Begin(ctx context.Context, r http.Record) (http.Record, bool, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return http.Record{}, false, err
	}
	for {
		_, err := k.kv.Create(ctx, recordKey(r.ID), data)
		if err == nil {
			return r, false, nil
		}
		if !errors.Is(err, natsjs.ErrKeyExists) {
			return http.Record{}, false, err
		}
		before, ok, err := k.Get(ctx, r.ID)
		if err != nil || ok {
			return before, ok, err
		}
		if ctx.Err() != nil { // else it has ended meanwhile, or the server asked does not have it yet
			return http.Record{}, false, context.Cause(ctx)
		}
	}
}

// Finish moves a record on. Of several at once each looks again at what the others wrote.
func (k kvRecords) Finish(ctx context.Context, id string, state http.State, reason string) error {
	for {
		entry, r, err := k.get(ctx, id)
		if errors.Is(err, natsjs.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if !state.After(r.State) {
			return nil
		}
		r.State, r.Reason, r.At = state, reason, time.Now().UTC()
		data, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = k.kv.Update(ctx, recordKey(id), data, entry.Revision())
		if !errors.Is(err, natsjs.ErrKeyRevisionMismatch) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// Get returns a record.
func (k kvRecords) Get(ctx context.Context, id string) (http.Record, bool, error) {
	_, r, err := k.get(ctx, id)
	if errors.Is(err, natsjs.ErrKeyNotFound) {
		return r, false, nil
	}
	return r, err == nil, err
}

func (k kvRecords) get(ctx context.Context, id string) (entry natsjs.KeyValueEntry, r http.Record, err error) {
	if entry, err = k.kv.Get(ctx, recordKey(id)); err != nil {
		return nil, r, err
	}
	if err = json.Unmarshal(entry.Value(), &r); err != nil {
		return nil, r, fmt.Errorf("bucket %q, key %q: it is no record: %w", k.kv.Bucket(), recordKey(id), err)
	}
	return entry, r, nil
}

var plainID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// recordKey is a key for any ID: itself, or, where a key can't be that, a hash of it.
func recordKey(id string) string {
	if plainID.MatchString(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "hash." + hex.EncodeToString(sum[:])
}
