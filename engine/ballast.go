package engine

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
)

// ballastSize is what the heap grows by at least before it is collected. Half of that
// cost a quarter more per transaction, and twice as much saved nothing.
const ballastSize = 32 << 20

// Ballast gives the garbage collector room. It runs when the heap has doubled, and
// engines hold a megabyte or two, so it would run every 10 ms, and take a third of the
// processor. While a Ballast is held it runs when the heap has grown by 32 MiB at
// least.
//
// It is memory that is never touched, so it takes an address range and no RAM; what
// the collector has not cleaned up yet does, some 32 MiB. The runtime's
// figures count it to the heap. One per process is enough: package app holds it.
type Ballast struct{ memory []byte }

// NewBallast returns a Ballast that its caller releases. It is empty, and changes
// nothing, where the collector was set otherwise (GOGC, GOMEMLIMIT, or the functions
// of runtime/debug): then somebody has decided.
func NewBallast() *Ballast {
	b := &Ballast{}
	if percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}; debug.SetMemoryLimit(-1) == math.MaxInt64 {
		if metrics.Read(percent); percent[0].Value.Kind() == metrics.KindUint64 && percent[0].Value.Uint64() == 100 {
			b.memory = make([]byte, ballastSize)
		}
	}
	return b
}

// Release lets the memory go. It may be called more than once, by one goroutine at a
// time.
func (b *Ballast) Release() { b.memory = nil }
