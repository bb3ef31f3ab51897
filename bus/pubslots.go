package bus

import (
	"slices"
	"sync"
	"sync/atomic"
)

// slotChunk is how many slots are made at a time.
const slotChunk = 64

// slots are those of all Publishers of a connection, and the list of the free ones. They
// are made while none is free, and never given up: a process with a hundred tasks has a
// hundred Publishers, each with a window that it fills in a bad hour alone, and what is
// not needed at a time must cost neither memory nor the collector's time.
//
// What was freed first is taken first: what was freed last is still in the caches of
// another core.
type slots struct {
	chunks atomic.Pointer[[]*[slotChunk]slot] // all that were made; replaced under mu

	mu    sync.Mutex // guards the list, and every Publisher's room
	free  []uint32   // a ring with a place for each that was made
	first int        // of those that are free
	left  int        // how many those are
}

// all that were made.
func (s *slots) all() []*[slotChunk]slot {
	if all := s.chunks.Load(); all != nil {
		return *all
	}
	return nil
}

// at is slot i, or nil if there is none.
func (s *slots) at(i uint64) *slot {
	all := s.all()
	if i >= uint64(len(all))*slotChunk {
		return nil
	}
	return &all[i/slotChunk][i%slotChunk]
}

// each asks f about every slot.
func (s *slots) each(f func(i uint32, s *slot)) {
	for c, chunk := range s.all() {
		for n := range chunk {
			f(uint32(c*slotChunk+n), &chunk[n])
		}
	}
}

// used is how many are taken.
func (s *slots) used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.free) - s.left
}

// pop takes the number of a free slot. The caller holds the lock, as of push.
func (s *slots) pop() uint32 {
	if s.left == 0 {
		s.grow()
	}
	i := s.free[s.first]
	s.left--
	if s.first++; s.first == len(s.free) {
		s.first = 0
	}
	return i
}

// push gives one back.
func (s *slots) push(i uint32) {
	last := s.first + s.left
	if last >= len(s.free) {
		last -= len(s.free)
	}
	s.free[last] = i
	s.left++
}

// grow makes a chunk while none is free, so that the ring is empty.
func (s *slots) grow() {
	made := len(s.free)
	chunks := append(slices.Clip(s.all()), new([slotChunk]slot))
	s.chunks.Store(&chunks)
	s.free = make([]uint32, made+slotChunk)
	s.first, s.left = 0, slotChunk
	for n := range slotChunk {
		s.free[n] = uint32(made + n)
	}
}
