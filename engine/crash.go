package engine

import (
	"context"
	"slices"
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
//
// The guilty one need not be among them yet: its start may not have been recorded when
// another ended the process, or it may have come back later than the rest. So what was
// delivered again runs beside others like it and never beside a suspect. New
// transactions are not held up.
type suspects struct {
	mu      sync.Mutex
	running *flight              // the suspect
	again   map[*flight]struct{} // that run, delivered again and not suspected
	waiting []*flight            // of both, in the order in which they came
}

// enter reports whether f may run now; if not it waits, without a slot.
func (s *suspects) enter(f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 && s.begin(f) {
		return true
	}
	s.waiting = append(s.waiting, f)
	return false
}

// begin reports whether f may run beside what runs. s.mu is held.
func (s *suspects) begin(f *flight) bool {
	suspect := f.info.Crashes > 0
	if s.running != nil || suspect && len(s.again) > 0 {
		return false
	}
	if suspect {
		s.running = f
		return true
	}
	if s.again == nil {
		s.again = make(map[*flight]struct{})
	}
	s.again[f] = struct{}{}
	return true
}

// leave says that f has ended, and returns those to run next.
func (s *suspects) leave(f *flight) (next []*flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == f {
		s.running = nil
	}
	delete(s.again, f)
	if i := slices.Index(s.waiting, f); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	for len(s.waiting) > 0 && s.begin(s.waiting[0]) {
		next = append(next, s.waiting[0])
		s.waiting = s.waiting[1:]
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
	case f.comesAgain():
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
	if !f.comesAgain() {
		return
	}
	for _, next := range f.e.suspects.leave(f) {
		if f.e.stopping.Load() {
			next.release()
		} else {
			f.e.runq.push(next)
		}
	}
}

// comesAgain reports whether an earlier start may have ended with its process.
func (f *flight) comesAgain() bool {
	return f.info.Crashes > 0 || f.info.Deliveries > 1 && f.e.policy.Transaction.MaxDeliveries > 0
}
