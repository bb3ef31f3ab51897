package kv

import (
	"errors"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon"
)

// What a call can end with, found by errors.Is. These are answers of a service that did
// its work, so all are BUSINESS: another attempt would get the same, and no breaker opens
// because of them. A task that makes something else of one returns an error of its own.
var (
	// ErrNotFound: nothing is stored under the key, or not any more.
	ErrNotFound = errors.New("no such key")
	// ErrExists: Create found a value.
	ErrExists = errors.New("the key exists")
	// ErrConflict: the key's latest revision is another one than Update or DeleteAt expects.
	ErrConflict = errors.New("the revision is not the key's latest")
	// ErrKey: the text can't be a key. See [Key].
	ErrKey = errors.New("not a key")
	// ErrValue: the value can't be stored: it does not encode, or it is too large.
	ErrValue = errors.New("the value can't be stored")
	// ErrTTL: the time that was given for a key is not above 0.
	ErrTTL = errors.New("a key's time is not above 0")
)

// ErrDecode: what is stored under the key is no value of the Store's type. It is SYSTEM:
// the transaction is right and the bucket is not, so once somebody has put that right, the
// same transaction passes. As BUSINESS, one bad deployment of reference data would turn
// everything that comes meanwhile into dead letters at the first attempt.
var ErrDecode = errors.New("the stored value does not decode")

// ErrNotStarted: the Store was not started. Package app does that; without it, call Start.
var ErrNotStarted = errors.New("it was not started: call Start first")

// ErrOver is found in Health where the bucket holds more than the cache may. No call ends
// with it: gets ask the bucket then, and once a minute the cache is tried again.
var ErrOver = errors.New("it is over cache_bytes: raise that, or switch the cache off")

// classify says which of this package's and its client library's errors is of which
// category. The others are what ergon.CategoryOf makes of them: TIMEOUT where a deadline
// passed, SYSTEM else.
func classify(err error) ergon.Category {
	for _, answer := range []error{ErrNotFound, ErrExists, ErrConflict, ErrKey, ErrValue, ErrTTL} {
		if errors.Is(err, answer) {
			return ergon.CategoryBusiness
		}
	}
	if errors.Is(err, nats.ErrTimeout) {
		return ergon.CategoryTimeout
	}
	return ""
}
