package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Defaults of a PullConfig.
const (
	DefaultPullExpires   = 30 * time.Second
	DefaultPullHeartbeat = 5 * time.Second
)

// A PullConfig says what to pull, and how.
type PullConfig struct {
	// Stream and Durable name the consumer. It must exist: see
	// [Bus.EnsureConsumer].
	Stream, Durable string
	// Expires is how long a pull request stays open at the server. Default 30 s.
	Expires time.Duration
	// Heartbeat is how often the server is to show that it still knows of an
	// open request; after two and a half of them without any sign of it the
	// Puller asks again, and sooner where the server says that it knows of none.
	// At most half of Expires. Default 5 s, or a third of
	// Expires where that is less.
	Heartbeat time.Duration
	// MaxBytes bounds what one pull request brings, in bytes of subject,
	// headers and payload; 0 means no bound. With a bound only one request is
	// open at a time. A message above it is fetched alone.
	MaxBytes int
	// Lease is how long the server leaves a delivery unacknowledged. What has
	// waited here, unfetched, for most of it is dropped, for by the time it would
	// be worked on it is somebody else's; what has waited for some of it has its
	// deadline extended when it is fetched. 0 means that nothing is known of that.
	Lease time.Duration
}

// A Puller pulls messages from one durable consumer. It asks the server for
// what its caller has room for and nothing more: what was asked and has not
// come, and what has come and waits here, together never exceed the max of the
// latest [Puller.Fetch], less what that Fetch returned, and what [Puller.SetAhead]
// allows beyond.
//
// One goroutine fetches; the other methods may be called from anywhere.
type Puller struct {
	bus     *Bus
	cfg     PullConfig
	log     *slog.Logger
	subject string // of pull requests

	fetching sync.Mutex // held by the Fetch that runs
	timer    *time.Timer

	// wake tells the waiting Fetch that something changed; ready tells whoever
	// listens that a message came into an empty buffer.
	wake  chan struct{}
	ready chan struct{}

	mu      sync.Mutex // guards memory only: nothing is sent or waited for under it
	buf     queue
	round   uint64             // subscriptions so far; what arrives on an older one is counted nowhere
	inbox   string             // of this round
	sub     *nats.Subscription // of this round
	subs    int                // subscriptions not closed yet
	max     int                // what may still be asked for or buffered, by the latest Fetch
	ahead   int                // what may be asked for or buffered beyond max
	pending int                // asked in this round and neither delivered nor refused
	asked   uint64             // pull requests so far
	came    uint64             // messages so far
	waiting bool               // a Fetch waits on wake
	traffic uint64             // whatever has come for requests of this round
	stale   bool               // the connection was lost: open requests are void
	suspect bool               // the consumer may be gone: look before asking again
	failed  error              // what the next Fetch returns
	stopped bool               // ask no more
	closed  bool               // hand back what comes

	refusals  int          // in a row
	refusal   string       // the latest
	notBefore time.Time    // of the next request, after a refusal
	limits    limits       // what the consumer allows in one request
	single    bool         // the next request is for one message of any size
	bytesLeft int          // of the one open request, with MaxBytes
	expired   atomic.Int64 // dropped, because their leases were over
	polled    bool         // by Poll: nobody waits to hear that it is drained
	polling   watch        // of Poll

	fetchWatch watch         // of the Fetch that runs, or was interrupted
	resume     bool          // it was
	idle       time.Duration // until the next look whether the consumer is drained
	info       infoState
	closing    sync.Once
	done       chan struct{}
}

// idleMin and idleMax bound the wait between two looks at an idle consumer.
const (
	idleMin = 50 * time.Millisecond
	idleMax = time.Second
	// infoWait is how long an answer about the consumer is waited for.
	infoWait = 2 * time.Second
)

// NewPuller makes a Puller. It subscribes and asks for nothing until the first
// Fetch. Its maker closes it.
func (b *Bus) NewPuller(cfg PullConfig) (*Puller, error) {
	if err := errors.Join(validName("stream", cfg.Stream), validName("consumer", cfg.Durable)); err != nil {
		return nil, fmt.Errorf("new puller: %w", err)
	}
	if cfg.Expires == 0 {
		cfg.Expires = DefaultPullExpires
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = min(DefaultPullHeartbeat, cfg.Expires/3)
	}
	if cfg.Expires < 0 || cfg.Heartbeat < 0 || cfg.MaxBytes < 0 || cfg.Heartbeat > cfg.Expires/2 {
		return nil, fmt.Errorf("new puller for %q: expires %s, heartbeat %s and max bytes %d don't go together: "+
			"none may be negative, and the heartbeat is at most half of expires",
			cfg.Durable, cfg.Expires, cfg.Heartbeat, cfg.MaxBytes)
	}
	p := &Puller{
		bus:     b,
		cfg:     cfg,
		log:     b.log.With("stream", cfg.Stream, "consumer", cfg.Durable),
		subject: b.apiPrefix + "CONSUMER.MSG.NEXT." + cfg.Stream + "." + cfg.Durable,
		wake:    make(chan struct{}, 1),
		ready:   make(chan struct{}, 1),
		timer:   time.NewTimer(time.Hour),
		idle:    idleMin,
		done:    make(chan struct{}),
		limits:  limits{expires: cfg.Expires, heartbeat: cfg.Heartbeat},
	}
	p.timer.Stop()
	if err := p.renew(); err != nil {
		return nil, err
	}
	b.consume.watch(p)
	return p, nil
}

// Ready receives after a message came into the empty buffer. It may also
// receive when a Fetch has taken that message already.
func (p *Puller) Ready() <-chan struct{} { return p.ready }

// Fetch waits until a message is there and appends up to max to into, in the
// order of their delivery. What else was asked for keeps coming, and is what
// the next Fetch begins with.
//
// It returns with what is buffered at once. Otherwise it waits until ctx ends
// (ctx's error), or
//   - [ErrDrained]: the consumer has nothing left, and nothing that it
//     delivered to anyone is unacknowledged;
//   - [ErrConsumerGone] or [ErrStreamGone]: ensure the topology, and Fetch again;
//   - [ErrDenied] or [ErrPullRefused]: the server will not let us pull;
//   - [ErrClosed]: after Stop, once nothing is buffered, and after Close;
//   - [ErrConcurrentFetch]: a Fetch is running already.
//
// A message that Fetch did not return is still ours when it fails: fetch again,
// or Close.
func (p *Puller) Fetch(ctx context.Context, max int, into []*nats.Msg) ([]*nats.Msg, error) {
	return p.FetchOr(ctx, max, into, nil)
}

// orWait is how long FetchOr waits at most where there is something else.
const orWait = time.Second

// FetchOr is a Fetch that also returns, with nothing and nil, when other receives,
// or after a second where other is not nil.
func (p *Puller) FetchOr(ctx context.Context, max int, into []*nats.Msg, other <-chan struct{}) ([]*nats.Msg, error) {
	if max < 1 {
		return into, p.fetchError(fmt.Errorf("max %d is below 1", max))
	}
	if !p.fetching.TryLock() {
		if p.isClosed() { // it is Close that has the lock
			return into, p.fetchError(ErrClosed)
		}
		return into, p.fetchError(ErrConcurrentFetch)
	}
	defer p.fetching.Unlock()
	if err := ctx.Err(); err != nil {
		return into, p.fetchError(err)
	}
	w := p.begin(max)
	var back time.Time
	if other != nil {
		back = time.Now().Add(orWait)
	}
	for {
		step, out := p.advance(max, into, w)
		into = out
		if step.renew {
			if err := p.renew(); err != nil {
				return into, p.fetchError(err)
			}
			continue
		}
		p.send(step.ask)
		p.lookUp(step.lookup)
		if step.answer != nil {
			if err := p.judge(step.answer); err != nil {
				return into, p.fetchError(err)
			}
			continue
		}
		switch {
		case step.err != nil:
			return into, p.fetchError(step.err)
		case step.taken:
			p.extend(step.extend, into)
			return into, nil
		}
		if other != nil {
			step.until = earlier(step.until, back)
		}
		p.timer.Reset(time.Until(step.until))
		select {
		case <-p.wake:
		case <-other:
			p.interrupted()
			return into, nil
		case <-p.timer.C:
			if other != nil && !time.Now().Before(back) {
				p.interrupted()
				return into, nil
			}
		case <-ctx.Done():
			p.rest()
			return into, p.fetchError(ctx.Err())
		}
	}
}

func (p *Puller) fetchError(err error) error {
	return fmt.Errorf("fetch from consumer %q of stream %q: %w", p.cfg.Durable, p.cfg.Stream, err)
}

// watch is what one Fetch remembers between its steps.
type watch struct {
	traffic uint64    // what had come when quiet was set
	quiet   time.Time // without traffic until then, ask anew
}

// A step is what one look at the state, under the lock, found to be done
// without it.
type step struct {
	renew  bool     // open a new subscription, then look again
	ask    request  // a pull request to send, if its n > 0
	lookup question // about the consumer, if it has a subject
	answer []byte   // of such a question, to be judged
	taken  bool     // messages were appended
	extend bool     // their deadlines have to be extended
	err    error
	until  time.Time // look again then at the latest
}

// begin starts a Fetch. One that follows an interrupted one goes on with what that
// knew: questions and requests outlast a second.
func (p *Puller) begin(max int) *watch {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.max, p.polled = max, false
	if p.resume {
		p.resume = false
		return &p.fetchWatch
	}
	p.info.forget() // an answer to an older question knows nothing of what happened since
	p.info.due = time.Time{}
	p.fetchWatch = watch{}
	return &p.fetchWatch
}

func (p *Puller) interrupted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting, p.resume = false, true
}

// rest ends the waiting of a Fetch that gives up.
func (p *Puller) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = false
}

// advance takes messages, or finds out what to do in order to get some.
func (p *Puller) advance(max int, into []*nats.Msg, w *watch) (step, []*nats.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = false
	p.dropExpired()
	switch {
	case p.closed:
		return step{err: ErrClosed}, into
	case p.buf.len() > 0:
		n := min(max, p.buf.len())
		old := p.cfg.Lease > 0 && time.Since(p.buf.oldest()) > p.cfg.Lease/4
		into = p.buf.take(n, into)
		p.max = max - n
		p.idle = idleMin
		if p.stale || p.suspect || p.refusals > 0 {
			return step{taken: true, extend: old}, into
		}
		return step{taken: true, extend: old, ask: p.due()}, into
	case p.failed != nil:
		err := p.failed
		p.failed = nil
		return step{err: err}, into
	case p.stopped:
		return step{err: ErrClosed}, into
	case p.stale:
		return step{renew: true}, into
	case p.info.answer != nil:
		answer := p.info.answer
		p.info.answer = nil
		return step{answer: answer}, into
	}

	now := time.Now()
	if !p.bus.consume.nc.IsConnected() { // connBack wakes us
		p.waiting = true
		return step{until: now.Add(p.limits.heartbeat)}, into
	}
	if w.quiet.IsZero() || w.traffic != p.traffic {
		w.traffic, w.quiet = p.traffic, now.Add(p.limits.heartbeat*5/2)
	}
	if p.pending > 0 && !now.Before(w.quiet) {
		// The server has forgotten our requests, or the connection is dead and
		// nobody noticed yet. Ask anew, and make sure that there is somebody.
		p.log.Warn("no heartbeat from the server, asking again", "pending", p.pending)
		p.suspect = true
		w.quiet = time.Time{}
		return step{renew: true}, into
	}

	var s step
	s.until = w.quiet
	s.lookup = p.question(now)
	s.until = earlier(s.until, p.info.due)
	switch {
	case p.suspect: // until the answer is there
	case now.Before(p.notBefore):
		s.until = earlier(s.until, p.notBefore)
	default:
		if s.ask = p.due(); s.ask.n > 0 {
			w.quiet = now.Add(p.limits.heartbeat * 5 / 2)
			s.until = earlier(w.quiet, p.info.due)
		}
	}
	p.waiting = true
	return s, into
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// signal wakes the Fetch that waits. A token that it leaves costs the next wait
// one turn.
func (p *Puller) signal() { signal(p.wake) }
