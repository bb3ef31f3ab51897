package bus

import "sync/atomic"

// slotChunk is how many slots are made at a time. A sixteenth of the default window.
const slotChunk = 64

// slots are a Publisher's. They are made as they are first taken: a process with a
// hundred tasks has a hundred Publishers, each with a window that it fills in a bad
// hour alone, and what is never taken must cost neither memory nor the collector's time.
type slots struct {
	size   int
	chunks []atomic.Pointer[[slotChunk]slot]
}

func newSlots(size int) slots {
	return slots{size: size, chunks: make([]atomic.Pointer[[slotChunk]slot], (size+slotChunk-1)/slotChunk)}
}

// has reports whether a message can ever have been in slot i.
func (s *slots) has(i uint64) bool {
	return i < uint64(s.size) && s.chunks[i/slotChunk].Load() != nil
}

// at is slot i, below size.
func (s *slots) at(i uint32) *slot {
	chunk := &s.chunks[i/slotChunk]
	if chunk.Load() == nil {
		chunk.CompareAndSwap(nil, new([slotChunk]slot)) // another caller may have been faster
	}
	return &chunk.Load()[i%slotChunk]
}

// each asks f about every slot that was made.
func (s *slots) each(f func(i uint32, s *slot)) {
	for c := range s.chunks {
		chunk := s.chunks[c].Load()
		if chunk == nil {
			continue
		}
		for n := range chunk {
			f(uint32(c*slotChunk+n), &chunk[n])
		}
	}
}
