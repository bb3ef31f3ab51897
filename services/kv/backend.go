package kv

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Backend is where a Store keeps its bytes: a bucket of JetStream ([New]), or memory
// (kvtest). The Store validates keys, encodes, and bounds each call; a Backend does one
// thing at once and says how it ended, by this package's errors where they fit. It must be
// safe for concurrent use. Its String is what errors call it: `bucket "RATES"`.
type Backend interface {
	fmt.Stringer
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	// Health says what is wrong, and asks nobody.
	Health() error
	// Get returns the latest record of a key, or ErrNotFound.
	Get(ctx context.Context, key string) (*Record, error)
	// Write makes a change and returns its revision. A change whose ID was written before
	// is not made again: its revision is returned.
	Write(ctx context.Context, c Change) (revision uint64, err error)
	// List goes through all records, their values included or not.
	List(values bool) Listing
}

// Listing goes through records. It is used by one goroutine.
type Listing interface {
	// Next returns some records, and none at the end. After an error it may be called
	// again, and goes on where it was.
	Next(ctx context.Context) ([]*Record, error)
	// Close ends it early. It may be called twice.
	Close()
}

// Record is a stored value as bytes. It is not changed once it was returned.
type Record struct {
	Key      string
	Value    []byte
	Revision uint64
	Created  time.Time

	decoded atomic.Pointer[any] // the value, where all may have the same
	expires time.Time           // by the clock of this machine; zero: never
	deleted bool                // a mark that there is none
}

// Kind says what a Change does.
type Kind int

// The kinds of changes.
const (
	KindPut      Kind = iota // whatever was there
	KindCreate               // where nothing is, else ErrExists
	KindUpdate               // where Revision is the latest, else ErrConflict
	KindDelete               // whatever was there
	KindDeleteAt             // where Revision is the latest, else ErrConflict
)

// Change is a write.
type Change struct {
	ID       string // one for all attempts of a call, and no other
	Again    bool   // an earlier attempt failed, and may have been stored
	Kind     Kind
	Key      string
	Value    []byte
	Revision uint64
	TTL      time.Duration // in whole seconds; 0: as long as the Backend keeps values
}
