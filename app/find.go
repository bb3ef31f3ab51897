package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// Place is where a transaction is looked for.
type Place string

// The places. Anywhere is the source's stream, and where that does not have it the
// dead letters.
const (
	Anywhere      Place = ""
	InSource      Place = "source"
	InDeadLetters Place = "dlq"
)

// FoundTransaction is a transaction that was looked up.
type FoundTransaction struct {
	jetstream.Found
	// Where is InSource or InDeadLetters.
	Where Place
	// Stream and Number are where it was read.
	Stream string
	Number uint64
	// Others are the numbers of what has the same ID there, of which this is the
	// newest.
	Others []uint64
}

// ErrNotFound: no transaction of the task has that ID or number.
var ErrNotFound = errors.New("there is none with this ID or number")

// Find looks up a transaction of a task, by its ID or by its number in the stream. It
// takes and acknowledges nothing.
func (c *Conn) Find(ctx context.Context, cfg *config.Config, task, id string, where Place) (FoundTransaction, error) {
	t := cfg.Tasks[task]
	var looked []string
	try := func(place Place, stream string, look func() (FoundTransaction, error)) (FoundTransaction, bool, error) {
		if where != Anywhere && where != place {
			return FoundTransaction{}, false, nil
		}
		looked = append(looked, stream)
		f, err := look()
		if errors.Is(err, ErrNotFound) || errors.Is(err, bus.ErrStreamGone) {
			return f, false, nil
		}
		f.Where, f.Stream = place, stream
		return f, err == nil, err
	}
	if js := t.Source.JetStream; js != nil {
		f, ok, err := try(InSource, js.Stream, func() (FoundTransaction, error) { return c.findStored(ctx, js, id) })
		if ok || err != nil {
			return f, err
		}
	}
	letters := t.DeadLetters.Stream
	f, ok, err := try(InDeadLetters, letters, func() (FoundTransaction, error) { return c.findDead(ctx, letters, task, id) })
	if ok || err != nil {
		return f, err
	}
	return f, fmt.Errorf("transaction %q of task %q: looked into %s: %w", id, task, strings.Join(looked, " and "), ErrNotFound)
}

// findStored takes a number for an ID first: a producer may number its transactions.
func (c *Conn) findStored(ctx context.Context, js *config.JetStreamSource, id string) (f FoundTransaction, err error) {
	seq, ofStream := uint64(0), false
	if rest, ok := strings.CutPrefix(id, js.Stream+":"); ok { // what a plain message is called
		seq, err = strconv.ParseUint(rest, 10, 64)
		ofStream = err == nil
	}
	if !ofStream {
		var all []uint64
		err := jetstream.Scan(ctx, c.Bus, js.Stream, js.Subjects, func(s jetstream.Stored) {
			if s.ID() == id {
				all = append(all, s.Sequence)
			}
		})
		n, notNumber := strconv.ParseUint(id, 10, 64)
		switch {
		case len(all) > 0:
			f.Others, seq = all[:len(all)-1], all[len(all)-1]
		case err != nil && notNumber != nil:
			return f, c.scanError(ctx, js.Stream, err)
		case notNumber != nil:
			return f, ErrNotFound
		default:
			seq = n
		}
	}
	f.Found, err = jetstream.At(ctx, c.Bus, js.Stream, seq)
	f.Number = seq
	if errors.Is(err, bus.ErrNoMessage) {
		return f, ErrNotFound
	}
	if err == nil && len(js.Subjects) > 0 && !slices.ContainsFunc(js.Subjects, func(s string) bool { return bus.SubjectMatches(s, f.Message.Subject) }) {
		return f, fmt.Errorf("message %d of %q was published to %q, which the task does not read: it reads %q", seq, js.Stream, f.Message.Subject, js.Subjects)
	}
	return f, err
}

// scanError says why a stream can't be looked through, where that is known.
func (c *Conn) scanError(ctx context.Context, stream string, err error) error {
	s, infoErr := c.JetStream().Stream(ctx, stream)
	if infoErr == nil && s.CachedInfo().Config.Retention == natsjs.WorkQueuePolicy {
		return fmt.Errorf("stream %q is a work queue, which nobody can look through without taking from it: name the transaction by its number in the stream (%w)", stream, err)
	}
	return err
}

func (c *Conn) findDead(ctx context.Context, stream, task, id string) (f FoundTransaction, err error) {
	var found []bus.DeadRecord
	filter := bus.DeadFilter{Tasks: []string{task}, TransactionID: id}
	if _, err := c.ScanDeadLetters(ctx, stream, filter, func(r bus.DeadRecord) error {
		found = append(found, r)
		return nil
	}); err != nil {
		return f, err
	}
	if n, notNumber := strconv.ParseUint(id, 10, 64); len(found) == 0 && notNumber == nil {
		r, err := c.DeadLetterAt(ctx, stream, n)
		switch {
		case errors.Is(err, bus.ErrNoDeadLetter):
			return f, ErrNotFound
		case err != nil:
			return f, err
		case r.Letter.Task != task:
			return f, fmt.Errorf("dead letter %d of %q is of task %q and not of %q: run that one", n, stream, r.Letter.Task, task)
		}
		found = append(found, r)
	}
	if len(found) == 0 {
		return f, ErrNotFound
	}
	r := found[len(found)-1]
	for _, older := range found[:len(found)-1] {
		f.Others = append(f.Others, older.Sequence)
	}
	payload, err := c.DeadPayload(ctx, r)
	if err != nil {
		return f, err
	}
	f.Found, f.Number = jetstream.OfDeadLetter(r, payload), r.Sequence
	return f, nil
}
