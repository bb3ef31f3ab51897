package http

import (
	"bytes"
	"context"
	nethttp "net/http"
	"strconv"
	"sync"
	"time"

	"github.com/ergon-framework/ergon"
)

// DefaultQueue is how many requests wait for an engine.
const DefaultQueue = 256

// A SourceConfig are the settings of a [Source]. A zero value is the default.
type SourceConfig struct {
	// Queue is how many requests may wait for the engine, those of all routes together;
	// over it the answer is 503. What the engine has fetched does not count. Default 256.
	Queue int `yaml:"queue" json:"queue,omitempty"`
}

// A Source gives requests to an engine, and each caller its task's answer. It is the
// target of one route or of several.
//
//   - A success is 200 with the output as body, 204 without an output, and where there are
//     several outputs a batch of CloudEvents.
//   - BUSINESS is 422 with the reason, TIMEOUT 504, SYSTEM 503, as application/problem+json.
//   - 503 with Retry-After is also for a queue that is full, for who has waited for too
//     long (see [Route.Wait]) and for a source that is stopping. Of a request that the
//     engine had already, it says that it may be done all the same.
//
// Nothing is stored, and nothing parked: DeliveryInfo.CanDefer is false, and a Dead
// settlement is the caller's answer. A caller that leaves stops nothing: what it sent is
// processed, unless no engine takes it within the route's wait. A request that is sent
// again with its key while the first one is under way waits for the same answer; later it
// is processed again, under the same ID.
type Source struct {
	limit int
	ready chan struct{} // tells whoever waits elsewhere
	wake  chan struct{} // tells the Fetch that waits

	mu     sync.Mutex
	closed bool
	drain  bool
	number uint64
	queue  []*pending
	keyed  map[string]*pending // that are under way
	all    map[*pending]struct{}
	held   int // by the engine
	later  int // released, and waiting for their time
}

var (
	_ Target               = (*Source)(nil)
	_ ergon.Source         = (*Source)(nil)
	_ ergon.Readier        = (*Source)(nil)
	_ ergon.HealthReporter = (*Source)(nil)
	_ ergon.LagReporter    = (*Source)(nil)
)

// NewSource returns a source.
func NewSource(cfg SourceConfig) *Source {
	orDefault(&cfg.Queue, DefaultQueue)
	return &Source{
		limit: max(cfg.Queue, 1), ready: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		keyed: make(map[string]*pending), all: make(map[*pending]struct{}),
	}
}

func (s *Source) wait() time.Duration { return DefaultResultWait }

// take waits in the request's goroutine for its answer.
func (s *Source) take(w nethttp.ResponseWriter, r *nethttp.Request, a *arrival) *problem {
	p, refused := s.enter(a)
	if refused != nil {
		return refused
	}
	timer := time.NewTimer(a.route.route.Wait)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		s.leave(p, true)
	case <-r.Context().Done():
		s.leave(p, false)
	}
	select {
	case <-p.done:
	default:
		late := unavailable(a.route.route.RetryAfter, "there was no answer in time, and it may be done yet")
		late.id = p.tx.ID()
		return late
	}
	return p.answer(w, a)
}

// enter queues a request, or joins it to the one with its key that is under way.
func (s *Source) enter(a *arrival) (*pending, *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch first := s.keyed[a.tx.ID()]; {
	case s.closed || s.drain:
		return nil, a.route.stopping()
	case first != nil && a.keyed:
		if first.owner != a.owner || first.tx.Source() != a.tx.Source() ||
			first.tx.ContentType() != a.tx.ContentType() || !bytes.Equal(first.tx.Payload(), a.tx.Payload()) {
			return nil, a.reused()
		}
		first.waiting++
		if until := time.Now().Add(a.route.route.Wait); until.After(first.deadline) {
			first.deadline = until
		}
		return first, nil
	case len(s.queue) >= s.limit:
		return nil, unavailable(a.route.route.RetryAfter, "too many requests wait to be processed")
	}
	s.number++
	p := &pending{
		s: s, tx: a.tx, owner: a.owner, keyed: a.keyed, stored: strconv.FormatUint(s.number, 10),
		deadline: time.Now().Add(a.route.route.Wait), waiting: 1, done: make(chan struct{}),
	}
	if p.keyed {
		s.keyed[p.tx.ID()] = p
	}
	s.all[p] = struct{}{}
	s.push(p)
	return p, nil
}

// push queues for a Fetch. The caller holds the lock.
func (s *Source) push(p *pending) {
	p.state = queued
	s.queue = append(s.queue, p)
	signal(s.wake)
	signal(s.ready)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// leave is a caller that waits no more. What nobody waits for any longer because its time
// is over, and no engine has, was not begun and never will be.
func (s *Source) leave(p *pending, late bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.waiting--
	if late && p.waiting == 0 && p.state != held {
		s.end(p, reply{problem: unavailable(0, "it was not begun in time")})
	}
}

// Fetch waits for requests. It never returns ergon.ErrDrained: another request may come.
func (s *Source) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		deliveries, err := s.deliver(max)
		if err != nil || len(deliveries) > 0 {
			return deliveries, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
	}
}

// deliver takes from the queue what is there.
func (s *Source) deliver(max int) ([]ergon.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ergon.ErrClosed
	}
	now := time.Now()
	var deliveries []ergon.Delivery
	for len(s.queue) > 0 && len(deliveries) < max {
		p := s.queue[0]
		if p.waiting == 0 && now.After(p.deadline) { // its caller left, long ago
			s.end(p, reply{problem: unavailable(0, "it was not begun in time")}) // which takes it out
			continue
		}
		s.queue[0] = nil
		s.queue = s.queue[1:]
		deliveries = append(deliveries, p.hand(now))
	}
	if len(s.queue) == 0 {
		s.queue = nil
		select {
		case <-s.ready: // of what is no longer there
		default:
		}
	}
	return deliveries, nil
}

// end answers all who wait. The caller holds the lock.
func (s *Source) end(p *pending, r reply) {
	switch p.state {
	case ended:
		return
	case queued:
		for i, q := range s.queue {
			if q == p {
				s.queue = append(s.queue[:i:i], s.queue[i+1:]...)
				break
			}
		}
	case held:
		s.held--
	case later:
		s.later--
		p.timer.Stop()
	}
	p.state, p.reply = ended, r
	delete(s.all, p)
	if p.keyed {
		delete(s.keyed, p.tx.ID())
	}
	close(p.done)
}
