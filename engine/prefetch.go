package engine

import (
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
)

const (
	// prefetchFor is how long what is fetched ahead may take to be begun, by how fast
	// the latest went.
	prefetchFor = 25 * time.Millisecond
	// prefetchLeast is how many short attempts are fetched ahead however few come: for
	// a handful a fetch costs more than their work.
	prefetchLeast = 64
	// paceEvery is how often the pace is measured at most.
	paceEvery = 5 * time.Millisecond
)

// pace is how many attempts are begun in a second. How long one takes says how many
// could be; beside other tasks of the process there may be far fewer, and what lies
// here for long is cold when it is begun.
type pace struct {
	begun uint64 // when it was last measured, as at; the fetch loop's
	at    time.Time
	rate  atomic.Int64
}

// measure is called between fetches.
func (p *pace) measure(begun uint64, now time.Time) {
	since := now.Sub(p.at)
	if since < paceEvery {
		return
	}
	if !p.at.IsZero() {
		p.rate.Store((p.rate.Load() + int64(float64(begun-p.begun)/since.Seconds())) / 2)
	}
	p.begun, p.at = begun, now
}

// soon is how many are begun within prefetchFor: at the pace of late, doubled so that
// it can grow, and in any case some. It is at most what the slots could do, and what
// the window has room for. A setting of prefetch rules it out: 0.
func (e *Engine) soon(usual time.Duration) int {
	loop := e.policy.Loop
	if loop.Prefetch > 0 || loop.Mode == policy.ModeBatch {
		return 0
	}
	least := int64(prefetchLeast)
	if e.crowded.Load() {
		least = int64(e.policy.Fetch.Batch.Size) // the next turn is long in coming
	}
	could := int64(prefetchFor) * int64(loop.Concurrency) / int64(max(usual, time.Microsecond))
	does := max(2*e.pace.rate.Load()*int64(prefetchFor)/int64(time.Second), least)
	return int(min(could, does, int64(loop.Window)))
}

// ahead is what the loop may hold: as many as slots to run and prefetch unstarted, and
// as many as beyond the source may ask for.
//
// Without a setting prefetch is as many as run at once, so that all slots are filled
// at once again; a batch of what is soon begun where that is more. While attempts only
// compute, no more run at once than there are cores, and that batch is all there is. Until
// that is known, which takes 16 attempts or a millisecond, a few have to do: the first
// fetches of a hundred tasks come at the same time.
func (e *Engine) ahead() (slots, prefetch, beyond int) {
	loop := e.policy.Loop
	usual, few, known := e.runq.usual()
	soon := e.soon(usual)
	slots, prefetch = loop.Concurrency, max(loop.EffectivePrefetch(), min(soon, e.policy.Fetch.Batch.Size))
	if few && soon > 0 {
		slots, prefetch = min(slots, e.runq.crew.cores), min(soon, e.policy.Fetch.Batch.Size)
	}
	if !known && loop.Prefetch == 0 && loop.Mode != policy.ModeBatch {
		slots, prefetch = min(slots, prefetchLeast/2), min(prefetch, prefetchLeast/2)
	}
	if loop.Limit == 0 {
		beyond = max(soon-prefetch, 0)
	}
	return slots, prefetch, beyond
}

// askAhead allows the source to ask for what is soon begun. A fetch brings a batch
// at most; with nothing asked for beyond it the server would stand still until
// that is worked off.
func (e *Engine) askAhead() {
	e.pace.measure(e.runq.begun(), time.Now())
	if e.prefetcher == nil {
		return
	}
	if _, _, n := e.ahead(); n != e.asked {
		e.asked = n
		e.prefetcher.Prefetch(n)
	}
}

func prefetcherOf(s ergon.Source) ergon.Prefetcher {
	p, _ := s.(ergon.Prefetcher)
	return p
}
