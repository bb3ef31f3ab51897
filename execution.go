package ergon

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// Execution are the facts of the attempt that runs now. They are facts, never
// the policy (RFC-003 §8): a task can read them and steer nothing by them.
type Execution struct {
	TransactionID string
	Source        string // the transaction's source
	Task          string
	Phase         Phase
	Attempt       int // 1 for the first
	MaxAttempts   int // of this phase
	Delivery      int // how often the transaction was handed out, 0 if unknown
	Connector     string
	Generation    int       // of the policy in force
	Deadline      time.Time // of the attempt, zero for none
	// TraceParent is the trace context that the transaction came with, as W3C writes
	// it; empty for none.
	TraceParent string
	// At is the transaction's own time: see Now.
	At time.Time

	mu  sync.Mutex
	rnd *rand.Rand
	ids int
}

// ExecutionKey is the context key under which engines and test kits keep an
// *Execution. Everyone else reads it with [ExecutionOf].
type ExecutionKey struct{}

// WithExecution returns a context in which x is the attempt that runs. It is
// for engines and test kits.
func WithExecution(ctx context.Context, x *Execution) context.Context {
	return context.WithValue(ctx, ExecutionKey{}, x)
}

// ExecutionOf returns the attempt that runs in ctx. Outside of one it returns
// an empty Execution, never nil. What it points to must not be changed.
func ExecutionOf(ctx context.Context) *Execution {
	if x, ok := ctx.Value(ExecutionKey{}).(*Execution); ok {
		return x
	}
	return &Execution{}
}

// Now is the transaction's own time: when its first delivery began. It stands
// still over attempts, redeliveries that know of the first one, parking and
// replay, so that a task that uses it decides the same again (RFC-002 §6.10).
// Outside of a transaction it is the wall clock.
func Now(ctx context.Context) time.Time {
	if x := ExecutionOf(ctx); !x.At.IsZero() {
		return x.At
	}
	return time.Now().UTC()
}

// Rand is a random source seeded by the transaction's identity and phase: each
// attempt draws the same numbers. Within one attempt it goes on from call to
// call. It is not safe for concurrent use, and not for secrets. Outside of a
// transaction it is seeded at random.
func Rand(ctx context.Context) *rand.Rand {
	x := ExecutionOf(ctx)
	if x.TransactionID == "" {
		return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rnd == nil {
		sum := x.seed("rand")
		x.rnd = rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[0:]), binary.BigEndian.Uint64(sum[8:])))
	}
	return x.rnd
}

// NewID returns an ID in the form of a UUID that is a function of the
// transaction's identity, its phase and the number of calls before: each
// attempt gets the same IDs in the same order. Outside of a transaction it is a
// UUIDv7.
func NewID(ctx context.Context) string {
	x := ExecutionOf(ctx)
	if x.TransactionID == "" {
		return uuid7(time.Now())
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ids++
	sum := x.seed("id " + strconv.Itoa(x.ids))
	return formatUUID([16]byte(sum[:16]), 8)
}

// seed hashes the identity. The parts are separated by a byte that no ID has.
func (x *Execution) seed(use string) [sha256.Size]byte {
	return sha256.Sum256([]byte(x.Source + "\x00" + x.TransactionID + "\x00" + x.Task + "\x00" + string(x.Phase) + "\x00" + use))
}
