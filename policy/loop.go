package policy

import (
	"encoding"
	"fmt"
	"strings"
)

// Mode is how a loop refills its workers.
type Mode string

// The modes.
const (
	// ModeContinuous gives a worker the next transaction as soon as it is free.
	ModeContinuous Mode = "continuous"
	// ModeBatch finishes all of a batch before the next one is taken. One slow
	// transaction then holds up its whole batch; choose it when that order matters.
	ModeBatch Mode = "batch"
)

var _ encoding.TextUnmarshaler = (*Mode)(nil)

// ParseMode reads a mode and forgives upper case and space around it. Anything
// else is an error, the empty text too: silently falling back would change how a
// loop runs because a variable was not set.
func ParseMode(text string) (Mode, error) {
	switch mode := Mode(strings.ToLower(strings.TrimSpace(text))); mode {
	case ModeContinuous, ModeBatch:
		return mode, nil
	default:
		return "", fmt.Errorf("%.60q is not a mode: the modes are %q and %q", text, ModeContinuous, ModeBatch)
	}
}

// UnmarshalText reads what ParseMode reads.
func (m *Mode) UnmarshalText(text []byte) error {
	mode, err := ParseMode(string(text))
	if err != nil {
		return err
	}
	*m = mode
	return nil
}

// Loop bounds a consumer's whole run: how many at once, how many in all, how long.
type Loop struct {
	// Whether the loop goes on when the source is empty. true waits for more,
	// false ends at the first empty fetch (R082). Default true.
	Streaming bool `json:"streaming" yaml:"streaming"`
	// How workers are refilled: continuous gives each its next transaction as soon
	// as it is free, batch finishes a whole batch first. Default continuous.
	Mode Mode `json:"mode" yaml:"mode" jsonschema:"enum=continuous,enum=batch"`
	// How many transactions run the task's code at once (R007, R076). From 1 to
	// 1000000; there is no "unlimited". Default 256.
	Concurrency int `json:"concurrency" yaml:"concurrency" jsonschema:"minimum=1,maximum=1000000"`
	// How many transactions may be started and not yet settled, the running ones
	// and those whose outputs wait for confirmation. Not below concurrency, since
	// the workers beyond it could never run. Default 1024.
	Window int `json:"window" yaml:"window" jsonschema:"minimum=1,maximum=1000000"`
	// How many transactions may be held fetched and not yet started; at most
	// concurrency, since what lies longer ages towards its redelivery. 0 is as
	// many as concurrency, and more while attempts are so short that those are begun
	// within 25 ms, at most window; what turns out to be slow is given back. Default 0.
	Prefetch int `json:"prefetch" yaml:"prefetch" jsonschema:"minimum=0,maximum=1000000"`
	// How many transactions the loop begins before it ends (R080). 0 is no limit.
	// Default 0.
	Limit int64 `json:"limit" yaml:"limit" jsonschema:"minimum=0"`
	// How long the loop may run; then what runs is cancelled and settled, and the
	// loop ends with an error (R008, R079). 0s is no limit. Default 0s.
	Timeout Duration `json:"timeout" yaml:"timeout"`
}

// EffectivePrefetch is how many transactions may be held unstarted however long
// they take: prefetch, or concurrency when prefetch is 0.
func (l Loop) EffectivePrefetch() int {
	if l.Prefetch > 0 {
		return l.Prefetch
	}
	return l.Concurrency
}

// Transaction bounds the life of one transaction over all of its phases.
type Transaction struct {
	// How long decode, process, produce and the success hook may take together,
	// from the moment the transaction starts to run (R081, R098). The exception
	// hook has its own time, so that what timed out can still be handled. 0s is no
	// limit. Default 5m.
	Timeout Duration `json:"timeout" yaml:"timeout"`
	// How many times a transaction may start without ever ending, as when it kills
	// its process, before it is set aside unrun. Starts are recorded from the third
	// delivery on, so that a transaction that does well costs nothing, and one that
	// crashes every time is set aside after two more crashes than this. What crashed
	// once runs while no other such transaction does. Clean redeliveries do not count.
	// 0 is no limit, and then one poisonous message can crash for ever. Default 5.
	MaxDeliveries int `json:"max_deliveries" yaml:"max_deliveries" jsonschema:"minimum=0,maximum=1000000"`
	// How long a wait before a retry may be and still be spent in place, holding no
	// worker but a place in the window. A longer one is stored with the source and
	// delivered again when it is over, and costs no place meanwhile; a source that
	// cannot store it waits in place. 0s waits in place always. Default 5s.
	RedeliverOver Duration `json:"redeliver_over" yaml:"redeliver_over"`
	// How long a task that ignores its cancelled context is waited for before its
	// transaction ends as stuck and its worker is replaced. 0s waits for ever.
	// Default 1m.
	StuckAfter Duration `json:"stuck_after" yaml:"stuck_after"`
	// Whether an acknowledgement is sent again until the source says that it has it.
	// A lost one is otherwise noticed as a redelivery, whose outputs the broker drops
	// as copies. It costs a message from the source for each. Default false.
	ConfirmAck bool `json:"confirm_ack" yaml:"confirm_ack"`
}

// Shutdown says how a loop is stopped.
type Shutdown struct {
	// How long running transactions may finish after a stop was asked for, before
	// they are cancelled and released. 0s cancels them at once. Default 25s, which
	// leaves five of the thirty seconds that orchestrators usually give.
	Grace Duration `json:"grace" yaml:"grace"`
}
