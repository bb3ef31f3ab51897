package engine

import (
	"context"
	"sync"
	"time"

	"github.com/ergon-framework/ergon"
)

// recordTime bounds the recording of one start.
const recordTime = 2 * time.Second

// recordFrom is the delivery from which starts are recorded: two may be a
// crash of something else, and recording the first would cost every transaction.
const recordFrom = 3

// suspects are transactions whose earlier starts never ended. Whatever ran beside
// the one that kills the process never ended either: all of them come back
// together, and would be found guilty together. So one runs at a time, and only
// that one can have crashed the process the next time.
type suspects struct {
	mu      sync.Mutex
	running *flight
	waiting []*flight
}

// enter reports whether f may run now; if not it waits, without a slot.
func (s *suspects) enter(f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		s.running = f
		return true
	}
	s.waiting = append(s.waiting, f)
	return false
}

// leave says that f has ended, and returns the one to run next, if f was it.
func (s *suspects) leave(f *flight) (next *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != f {
		for i, w := range s.waiting {
			if w == f {
				s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
				break
			}
		}
		return nil
	}
	s.running = nil
	if len(s.waiting) > 0 {
		next, s.waiting = s.waiting[0], s.waiting[1:]
		s.running = next
	}
	return next
}

func (s *suspects) takeWaiting() []*flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.waiting
	s.waiting = nil
	return taken
}

// cleared reports whether a flight may be queued. One that must not run at all is
// set aside here, and one that waits for its turn is queued by whoever ends before
// it.
func (e *Engine) cleared(f *flight) bool {
	switch limit := e.policy.Transaction.MaxDeliveries; {
	case !f.raw.Valid():
		// Its source broke the contract: run, the outputs of two such transactions
		// would have one ID, and the bus would drop the second as a copy.
		f.refuse(ergon.PhaseFetch, 1, ergon.Business("the source delivered a transaction without an ID"))
	case limit > 0 && f.info.Crashes >= limit:
		f.refuse(ergon.PhaseProcess, f.info.Crashes, ergon.System("crashed %d times: its starts ended with their processes, and it is not run again (transaction.max_deliveries is %d)",
			f.info.Crashes, limit))
	case f.info.Crashes > 0:
		return e.suspects.enter(f)
	default:
		return true
	}
	return false
}

// refuse sets a transaction aside, unrun.
func (f *flight) refuse(phase ergon.Phase, attempts int, err error) {
	t := f.inTrouble()
	if tracer := f.e.tracer; tracer != nil && f.raw.Valid() {
		f.tracing = tracer.Begin(f.raw, f.info)
	}
	t.err, t.failedAt = f.fail(phase, attempts, err), time.Now().UTC()
	if !f.raw.Valid() {
		t.err.TransactionID = ""
	}
	f.settle(f.dead(), Dead)
}

// recordStart records that the flight starts, if it came often enough to be one
// that kills its process. What cannot be recorded runs all the same: a bus that
// takes no record of it would otherwise keep it from ever being done.
func (f *flight) recordStart() {
	e := f.e
	if f.info.Deliveries < recordFrom || e.policy.Transaction.MaxDeliveries == 0 {
		return
	}
	f.mu.Lock()
	d := f.delivery
	f.mu.Unlock()
	r, ok := d.(ergon.StartRecorder)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(e.settling, recordTime)
	defer cancel()
	f.inTrouble().recorder = r
	err := func() (err error) {
		defer ergon.Recover(&err)
		return r.RecordStart(ctx)
	}()
	if err != nil {
		e.emit(StartNotRecorded{Place: f.whole(), Task: e.task.name, Transaction: f.raw, Err: err})
	}
}

// forgetStart takes the record back, and lets the next suspect run.
func (f *flight) forgetStart() {
	if t := f.trouble; t != nil && t.recorder != nil {
		t.recorder.ForgetStart()
	}
	if f.info.Crashes == 0 {
		return
	}
	switch next := f.e.suspects.leave(f); {
	case next == nil:
	case f.e.stopping.Load():
		next.release()
	default:
		f.e.runq.push(next)
	}
}
