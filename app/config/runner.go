package config

import (
	"time"

	"github.com/ergon-framework/ergon/policy"
)

// What a Runner says where the file says nothing.
const (
	DefaultRestarts   = 5
	DefaultBackoff    = time.Second
	DefaultBackoffCap = 30 * time.Second
	DefaultWatchdog   = time.Minute
)

// mostRestarts keeps a slip of the finger from hiding a task that never runs.
const mostRestarts = 1000

// Runner is what becomes of a task that fails as a whole: its source is lost for good,
// say. What becomes of a transaction that fails is its task's policy.
type Runner struct {
	// How often in a row a task is started again before the process gives up, drains the
	// rest and ends with exit code 1. A minute in a row in which the task was well counts
	// from the beginning again. 0 is never: the first failure ends the process; from 0
	// to 1000. Default 5.
	Restarts int `yaml:"restarts"`
	// How long it waits before the first of them; each further one waits twice as long.
	// Default 1s.
	Backoff policy.Duration `yaml:"backoff"`
	// How long it waits at most. Default 30s.
	BackoffCap policy.Duration `yaml:"backoff_cap"`
	// How long a task may be as /livez reports with 503 before the process gives up,
	// whether somebody asks for /livez or not. 0s is for ever. Default 1m.
	Watchdog policy.Duration `yaml:"watchdog"`
}

// DefaultRunner is what an empty file says.
func DefaultRunner() Runner {
	return Runner{
		Restarts: DefaultRestarts, Backoff: policy.Duration(DefaultBackoff), BackoffCap: policy.Duration(DefaultBackoffCap),
		Watchdog: policy.Duration(DefaultWatchdog),
	}
}

// Delay is how long a task waits that has failed n times in a row, from 1 on.
func (r Runner) Delay(n int) time.Duration {
	d, most := r.Backoff.D(), r.BackoffCap.D()
	for ; n > 1 && d > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

func (v *validator) runner(p path, r Runner) {
	if r.Restarts < 0 || r.Restarts > mostRestarts {
		v.fail(p.key("restarts"), "%d is not between 0 and %d", r.Restarts, mostRestarts)
	}
	v.duration(p.key("backoff"), r.Backoff.D())
	v.duration(p.key("watchdog"), r.Watchdog.D())
	switch v.duration(p.key("backoff_cap"), r.BackoffCap.D()); {
	case r.BackoffCap >= 0 && r.BackoffCap < r.Backoff:
		v.fail(p.key("backoff_cap"), "%s is below the backoff, %s, of which it is the most", r.BackoffCap, r.Backoff)
	case r.BackoffCap == 0 && r.Restarts > 0 && r.Backoff == 0:
		v.fail(p.key("backoff"), "0s would start a task that fails again without a pause: give it some time, or set restarts to 0")
	}
}
