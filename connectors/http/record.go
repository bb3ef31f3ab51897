package http

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
)

// A State is what is known of a transaction that a [Receiver] took.
type State string

// The states, in their order: none follows one that comes after it.
const (
	StateReceived  State = "received"  // its storing began
	StateStored    State = "stored"    // it is stored, and waits or runs
	StateSucceeded State = "succeeded" // for good
	StateDead      State = "dead"      // for good: it is in the dead-letter store
)

// final says that nothing follows.
func (s State) final() bool { return s == StateSucceeded || s == StateDead }

// A Record is what is kept of one transaction that a [Receiver] took.
type Record struct {
	ID string `json:"id"`
	// Owner is the principal, the only one who may ask for it.
	Owner string `json:"owner,omitempty"`
	// Body is a hash of what was sent, by which a retry is told from a key that was used
	// twice.
	Body  string `json:"body"`
	State State  `json:"state"`
	// Reason is why it is dead: its category, and the error's text.
	Reason string `json:"reason,omitempty"`
	// At is when the state began, in UTC.
	At time.Time `json:"at"`
}

// Records keep what a [Receiver] tells its callers of their transactions, each for a time
// of the store's own, from Begin on. It should exceed the time for which callers retry.
// All methods are called concurrently, and give up when ctx ends.
type Records interface {
	// Begin keeps r, unless there is a record of its ID: then it returns that one and
	// true, and changes nothing. Of two at once one is first.
	Begin(ctx context.Context, r Record) (Record, bool, error)
	// Finish says that a transaction has come to a state. It never goes back: a state
	// that is not after the present one changes nothing, and neither does one of an ID
	// that there is no record of.
	Finish(ctx context.Context, id string, state State, reason string) error
	// Get returns a record, and false where there is none.
	Get(ctx context.Context, id string) (Record, bool, error)
}

// After reports whether s follows another state. It is for whoever implements [Records].
func (s State) After(other State) bool { return s.rank() > other.rank() && !other.final() }

func (s State) rank() int {
	switch s {
	case StateReceived:
		return 1
	case StateStored:
		return 2
	case StateSucceeded, StateDead:
		return 3
	}
	return 0
}

// MemoryRecords are Records in memory: for tests, and for a program of one process whose
// callers' retries need not be known after its end.
type MemoryRecords struct {
	ttl time.Duration
	max int

	mu    sync.Mutex
	byID  map[string]*list.Element // of *memoryRecord
	order list.List                // the oldest first
}

type memoryRecord struct {
	Record
	ends time.Time
}

// NewMemoryRecords keeps up to max records, each for ttl. While there are as many, Begin
// fails: to forget one before its time would take its key for a new one. Both are above 0.
func NewMemoryRecords(ttl time.Duration, max int) *MemoryRecords {
	return &MemoryRecords{ttl: ttl, max: max, byID: make(map[string]*list.Element)}
}

var _ Records = (*MemoryRecords)(nil)

// Begin is Records.Begin.
func (m *MemoryRecords) Begin(_ context.Context, r Record) (Record, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.expire(now)
	if e, ok := m.byID[r.ID]; ok {
		return e.Value.(*memoryRecord).Record, true, nil
	}
	if len(m.byID) >= m.max {
		return Record{}, false, fmt.Errorf("records: there are %d, which is the most that are kept", m.max)
	}
	m.byID[r.ID] = m.order.PushBack(&memoryRecord{r, now.Add(m.ttl)})
	return r, false, nil
}

// Finish is Records.Finish.
func (m *MemoryRecords) Finish(_ context.Context, id string, state State, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.expire(now)
	e, ok := m.byID[id]
	if !ok {
		return nil
	}
	if r := e.Value.(*memoryRecord); state.After(r.State) {
		r.State, r.Reason, r.At = state, reason, now.UTC()
	}
	return nil
}

// Get is Records.Get.
func (m *MemoryRecords) Get(_ context.Context, id string) (Record, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(time.Now())
	if e, ok := m.byID[id]; ok {
		return e.Value.(*memoryRecord).Record, true, nil
	}
	return Record{}, false, nil
}

// expire forgets what is too old. The caller holds the lock.
func (m *MemoryRecords) expire(now time.Time) {
	for e := m.order.Front(); e != nil; e = m.order.Front() {
		r := e.Value.(*memoryRecord)
		if now.Before(r.ends) {
			return
		}
		m.order.Remove(e)
		delete(m.byID, r.ID)
	}
}
