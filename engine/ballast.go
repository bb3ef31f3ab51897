package engine

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// ballastSize is what the heap grows by at least before it is collected. Half of that
	// cost a quarter more per transaction, and twice as much saved nothing.
	ballastSize = 32 << 20
	// ballastEach is as much more for each engine. An engine that has worked leaves 100 KB
	// of goroutines' stacks, queues and counters for the collector to mark each time; with a
	// hundred of them that doubles what it costs.
	ballastEach = 512 << 10
)

// Ballast gives the garbage collector room. It runs when the heap has doubled, and
// engines hold a megabyte or two, so it would run every 10 ms, and take a third of the
// processor. While a Ballast is held it runs when the heap has grown by 32 MiB at
// least, and by half of one more for each engine.
//
// It is memory that is never touched, so it takes an address range and no RAM; what
// the collector has not cleaned up yet does, some 32 MiB. The runtime's
// figures count it to the heap. One per process is enough: package app holds it.
type Ballast struct{ memory []byte }

// NewBallast returns a Ballast for a process with so many engines (0 and below: none),
// that its caller releases. It is empty, and changes
// nothing, where the collector was set otherwise (GOGC, GOMEMLIMIT, or the functions
// of runtime/debug): then somebody has decided.
func NewBallast(engines int) *Ballast {
	b := &Ballast{}
	if percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}; debug.SetMemoryLimit(-1) == math.MaxInt64 {
		if metrics.Read(percent); percent[0].Value.Kind() == metrics.KindUint64 && percent[0].Value.Uint64() == 100 {
			b.memory = make([]byte, ballastSize+ballastEach*max(engines, 0))
		}
	}
	return b
}

// Release lets the memory go. It may be called more than once, by one goroutine at a
// time.
func (b *Ballast) Release() { b.memory = nil }
