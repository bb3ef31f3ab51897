package bus

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon/internal/semconv"
)

// What a DeadLetterConfig gets where it is left zero.
const (
	DefaultDeadStream = "ERGON_DLQ"
	DefaultDeadPrefix = "ergon.dlq"
)

// A DeadLetterConfig says where dead letters go.
type DeadLetterConfig struct {
	// Stream is made with limits retention if it is missing. Default ERGON_DLQ.
	Stream string `yaml:"stream" json:"stream,omitempty"`
	// SubjectPrefix is put before the task's name, with a dot between. Default
	// "ergon.dlq".
	SubjectPrefix string `yaml:"subject_prefix" json:"subject_prefix,omitempty"`
	// Subject, if set, is the subject of every dead letter instead.
	Subject string `yaml:"subject" json:"subject,omitempty"`
	// Storage, MaxAge, MaxBytes and Replicas are used when the stream is made;
	// see [Stream]. By default it is on file, without limits, one replica.
	Storage  string        `yaml:"storage" json:"storage,omitempty"`
	MaxAge   time.Duration `yaml:"max_age" json:"max_age,omitempty"`
	MaxBytes int64         `yaml:"max_bytes" json:"max_bytes,omitempty"`
	Replicas int           `yaml:"replicas" json:"replicas,omitempty"`
}

func (c DeadLetterConfig) withDefaults() DeadLetterConfig {
	if c.Stream == "" {
		c.Stream = DefaultDeadStream
	}
	if c.SubjectPrefix == "" {
		c.SubjectPrefix = DefaultDeadPrefix
	}
	return c
}

func (c DeadLetterConfig) stream() Stream {
	s := Stream{
		Name:        c.Stream,
		Description: "messages that Ergon gave up, with the reason",
		Subjects:    []string{c.SubjectPrefix + ".>"},
		Storage:     c.Storage,
		Retention:   RetentionLimits, // a work queue would let nobody look without taking
		MaxAge:      c.MaxAge,
		MaxBytes:    c.MaxBytes,
		Replicas:    c.Replicas,
	}
	if c.Subject != "" {
		s.Subjects = []string{c.Subject}
	}
	return s
}

// DeadLetters stores messages that are given up. All methods may be called
// concurrently.
type DeadLetters struct {
	bus    *Bus
	cfg    DeadLetterConfig
	pub    *Publisher
	change Change

	mu      sync.Mutex // guards memory only
	making  *making    // of the stream, if somebody is at it
	repairs int        // goroutines that wait for it
	closed  bool
	idle    chan struct{} // closed when closed and no repair is left
}

// making is one attempt to make the stream, which others wait for.
type making struct {
	done chan struct{}
	err  error // to be read after done
}

// NewDeadLetters makes sure that the dead-letter stream exists. It publishes
// with pub, which stays its owner's and is to be closed after the DeadLetters.
func (b *Bus) NewDeadLetters(ctx context.Context, cfg DeadLetterConfig, pub *Publisher) (*DeadLetters, error) {
	cfg = cfg.withDefaults()
	change, err := b.EnsureStream(ctx, cfg.stream())
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	return &DeadLetters{bus: b, cfg: cfg, pub: pub, change: change, idle: make(chan struct{})}, nil
}

// Change tells what ensuring the stream came to.
func (l *DeadLetters) Change() Change { return l.change }

// Subject is the subject under which the dead letters of task are stored.
func (l *DeadLetters) Subject(task string) string {
	if l.cfg.Subject != "" {
		return l.cfg.Subject
	}
	return l.cfg.SubjectPrefix + "." + token(task)
}

// Store stores orig with what d says of its end, and calls done exactly once,
// from any goroutine; it must not block. A nil error means that the dead letter
// is stored. Until then orig has to be kept alive, and not acknowledged.
//
// Store waits while the Publisher's window is full. Where the stream is
// missing, it is made again and the dead letter sent again. The same failure
// of the same message may be stored repeatedly: within the stream's duplicate
// window one copy is kept.
//
// A message that exceeds the server's limit with the added headers is stored
// compressed, and marked so by Ergon-Dead-Encoding: gzip. If that is still too
// large its payload, compressed, is an object of [PayloadBucket], which
// Ergon-Dead-Object names, and the letter has none. Headers that are too large by
// themselves are [ErrTooLarge].
func (l *DeadLetters) Store(ctx context.Context, orig *nats.Msg, d DeadLetter, done func(error)) {
	m := DeadMessage(orig, l.Subject(d.Task), d)
	if err := fit(m, l.pub.Bus().publish.nc.MaxPayload()); err != nil {
		l.apart(ctx, m, fmt.Errorf("store dead letter: %w", err), done)
		return
	}
	l.publish(ctx, m, done)
}

// publish sends a letter, and makes its stream again if that is missing.
func (l *DeadLetters) publish(ctx context.Context, m *nats.Msg, done func(error)) {
	l.pub.Publish(ctx, m, func(_ PubAck, err error) {
		if err == nil {
			done(nil)
			return
		}
		if errors.Is(err, ErrNoStream) && l.repairing() {
			// Not here: this goroutine may be the one that brings the answer.
			go func() {
				defer l.repaired()
				l.repair(ctx, m, done)
			}()
			return
		}
		done(fmt.Errorf("store dead letter: %w", err))
	})
}

// repairing counts one more repair, unless the DeadLetters is closed.
func (l *DeadLetters) repairing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.repairs++
	return true
}

func (l *DeadLetters) repaired() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.repairs--
	if l.closed && l.repairs == 0 {
		close(l.idle)
	}
}

// repair makes the stream again and publishes m again, once.
func (l *DeadLetters) repair(ctx context.Context, m *nats.Msg, done func(error)) {
	if err := l.makeAgain(ctx); err != nil {
		done(fmt.Errorf("store dead letter: stream %q is missing: %w", l.cfg.Stream, err))
		return
	}
	l.pub.Publish(ctx, m, func(_ PubAck, err error) {
		if err != nil {
			err = fmt.Errorf("store dead letter: %w", err)
		}
		done(err)
	})
}

// makeAgain lets one try and the others wait for what came of it: a burst of
// dead letters finds the stream missing all at once.
func (l *DeadLetters) makeAgain(ctx context.Context) error {
	l.mu.Lock()
	m := l.making
	first := m == nil
	if first {
		m = &making{done: make(chan struct{})}
		l.making = m
	}
	l.mu.Unlock()
	if !first {
		select {
		case <-m.done:
			return m.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	// The others wait for this, so it doesn't end with the first one's context.
	mctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminTimeout)
	defer cancel()
	var change Change
	if change, m.err = l.bus.EnsureStream(mctx, l.cfg.stream()); m.err == nil && change.Kind == Created {
		l.bus.log.Warn("dead-letter stream was missing and is made again", "stream", l.cfg.Stream)
	}
	l.mu.Lock()
	l.making = nil
	l.mu.Unlock()
	close(m.done)
	return m.err
}

// Close waits, until ctx ends, for the dead letters whose stream is being made
// again; meanwhile and afterwards a missing stream is reported and not made. It
// does not close the Publisher, which reports all others. It may be called
// again.
func (l *DeadLetters) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		if l.repairs == 0 {
			close(l.idle)
		}
	}
	l.mu.Unlock()
	select {
	case <-l.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close dead letters: %w", ctx.Err())
	}
}

// fit compresses the payload if the message is larger than limit.
func fit(m *nats.Msg, limit int64) error {
	size := wireSize(m)
	if int64(size) <= limit {
		return nil
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(m.Data); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	m.Header[semconv.DeadEncoding] = []string{"gzip"}
	m.Data = b.Bytes()
	if packed := wireSize(m); int64(packed) > limit {
		return fmt.Errorf("%w: %d bytes with headers, %d compressed, and the server takes %d: raise its max_payload",
			ErrTooLarge, size, packed, limit)
	}
	return nil
}

// token makes a task's name one token of a subject.
func token(task string) string {
	if task == "" {
		return "unknown"
	}
	return strings.Map(func(r rune) rune {
		if breaks(r) || strings.ContainsRune(".*>", r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(task, "_"))
}
