package kvtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ergon-framework/ergon/services/kv"
)

// memory is a kv.Backend.
type memory struct {
	bucket string
	age    time.Duration // how long it keeps values; 0 is for ever

	mu       sync.Mutex
	started  bool
	revision uint64
	values   map[string]value
	written  map[string]uint64 // revisions, by the ID of the change
	faults   []*fault
	calls    map[string]int
}

// value is the latest of a key. A key that was deleted has one too: its revision counts.
type value struct {
	data    []byte
	at      uint64
	created time.Time
	expires time.Time // zero: never
	deleted bool
}

func (m *memory) String() string { return fmt.Sprintf("bucket %q", m.bucket) }

// Start may fail, as operation "start".
func (m *memory) Start(ctx context.Context) error {
	return m.do(ctx, "start", func() error { m.started = true; return nil })
}

func (m *memory) Stop(context.Context) error { return nil }

func (m *memory) Health() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.started {
		return fmt.Errorf("%s: %w", m, kv.ErrNotStarted)
	}
	return nil
}

func (m *memory) Get(ctx context.Context, key string) (r *kv.Record, err error) {
	err = m.call(ctx, "get", func() error {
		v := m.latest(key)
		if v.deleted || v.at == 0 {
			return kv.ErrNotFound
		}
		r = v.record(key)
		return nil
	})
	return r, err
}

func (v value) record(key string) *kv.Record {
	return &kv.Record{Key: key, Value: slices.Clone(v.data), Revision: v.at, Created: v.created}
}

// operations are what the kinds of changes are called.
var operations = map[kv.Kind]string{
	kv.KindPut: "put", kv.KindCreate: "create", kv.KindUpdate: "update", kv.KindDelete: "delete", kv.KindDeleteAt: "delete",
}

func (m *memory) Write(ctx context.Context, c kv.Change) (revision uint64, err error) {
	err = m.call(ctx, operations[c.Kind], func() (err error) {
		revision, err = m.write(c)
		return err
	})
	if err != nil {
		return 0, err
	}
	return revision, nil
}

func (m *memory) write(c kv.Change) (uint64, error) {
	if at, known := m.written[c.ID]; known {
		return at, nil
	}
	is := m.latest(c.Key)
	switch {
	case c.Kind == kv.KindCreate && is.at > 0 && !is.deleted:
		return 0, kv.ErrExists
	case (c.Kind == kv.KindUpdate || c.Kind == kv.KindDeleteAt) && is.at != c.Revision:
		return 0, kv.ErrConflict
	}
	v := value{data: slices.Clone(c.Value), created: time.Now()}
	v.deleted = c.Kind == kv.KindDelete || c.Kind == kv.KindDeleteAt
	age := m.age
	if c.TTL > 0 && (age == 0 || c.TTL < age) {
		age = c.TTL
	}
	if age > 0 {
		v.expires = v.created.Add(age)
	}
	m.written[c.ID] = m.store(c.Key, v)
	return m.revision, nil
}

func (m *memory) store(key string, v value) uint64 {
	m.revision++
	v.at = m.revision
	m.values[key] = v
	return v.at
}

// latest returns what is stored under a key, and puts a mark in the place of what is past
// its time.
func (m *memory) latest(key string) value {
	v := m.values[key]
	if !v.deleted && !v.expires.IsZero() && !time.Now().Before(v.expires) {
		m.store(key, value{created: time.Now(), deleted: true})
	}
	return m.values[key]
}

func (m *memory) List(values bool) kv.Listing { return &listing{memory: m, values: values} }

// listing returns one page of all, and then the end.
type listing struct {
	memory *memory
	values bool
	done   bool
}

func (l *listing) Next(ctx context.Context) (page []*kv.Record, err error) {
	if l.done {
		return nil, nil
	}
	m, op := l.memory, "keys"
	if l.values {
		op = "all"
	}
	err = m.call(ctx, op, func() error {
		for _, key := range slices.Sorted(maps.Keys(m.values)) {
			if v := m.latest(key); !v.deleted {
				page = append(page, v.record(key))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	l.done = true
	return page, nil
}

func (l *listing) Close() {}
