package connectortest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
)

// answer is a done function that has to be called exactly once. Each that a part
// hands out is counted, and the part's end waits for those that are missing.
type answer struct {
	s     *scene
	what  string
	then  func(error) // called with the answer, may be nil
	calls atomic.Int32
	c     chan error
}

func (s *scene) answer(format string, a ...any) *answer {
	an := &answer{s: s, what: fmt.Sprintf(format, a...), c: make(chan error, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, an)
	return an
}

// done is what the connector gets.
func (a *answer) done(err error) {
	if n := a.calls.Add(1); n > 1 {
		a.s.fault("%s: done was called %d times", a.what, n)
		return
	}
	a.c <- err
	if a.then != nil {
		a.then(err)
	}
}

// wait is what done was called with. It is for one caller.
func (a *answer) wait() error {
	timer := time.NewTimer(a.s.h.Patience)
	defer timer.Stop()
	select {
	case err := <-a.c:
		return err
	case <-timer.C:
		return fmt.Errorf("%s: done was not called within %v", a.what, a.s.h.Patience)
	}
}

// allAnswered is the end of a part: every done was called once. A second call of
// one is seen until here.
func (s *scene) allAnswered() {
	s.Helper()
	s.mu.Lock()
	answers := slices.Clone(s.answers)
	s.mu.Unlock()
	for began := time.Now(); ; {
		answers = slices.DeleteFunc(answers, func(a *answer) bool { return a.calls.Load() > 0 })
		if len(answers) == 0 || time.Since(began) > s.h.Patience {
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	if len(answers) > 0 {
		s.fault("%d times done was never called; the first is %s", len(answers), answers[0].what)
	}
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
}

// send sends the transactions one after the other, without waiting for the
// confirmations between, and waits for them where they don't wait for a receiver.
func (s *scene) send(sink ergon.Sink, txs ...ergon.Raw) {
	s.Helper()
	all := make([]*answer, len(txs))
	for i, tx := range txs {
		all[i] = s.answer("Send of %q", tx.ID())
	}
	each := func() {
		for i, tx := range txs {
			sink.Send(s.ctx, tx, all[i].done)
		}
	}
	if !s.h.has(Persistent) {
		s.spawn(func() {
			each()
			s.confirmed(all)
		})
		return
	}
	each()
	if !s.confirmed(all) {
		s.FailNow()
	}
}

// confirmed waits for answers, and reports those that are errors.
func (s *scene) confirmed(all []*answer) bool {
	ok := true
	for _, a := range all {
		if err := a.wait(); err != nil {
			s.fault("%s: %v", a.what, err)
			ok = false
		}
	}
	return ok
}

// settle settles a delivery, which has to succeed.
func (s *scene) settle(d ergon.Delivery, settlement ergon.Settlement) {
	s.Helper()
	if err := s.settling(d, settlement).wait(); err != nil {
		s.Fatalf("settle %q with %v: %v", d.Transaction().ID(), settlement.Kind, err)
	}
}

func (s *scene) settling(d ergon.Delivery, settlement ergon.Settlement) *answer {
	a := s.answer("Settle of %q with %v", d.Transaction().ID(), settlement.Kind)
	d.Settle(settlement, a.done)
	return a
}

var ack = ergon.Settlement{Kind: ergon.Ack}

func (s *scene) ackAll(ds []ergon.Delivery) {
	s.Helper()
	var all []*answer
	for _, d := range ds {
		all = append(all, s.settling(d, ack))
	}
	if !s.confirmed(all) {
		s.FailNow()
	}
}
