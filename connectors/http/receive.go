package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	nethttp "net/http"
	"time"

	"github.com/ergon-framework/ergon"
)

// A ReceiverConfig says where a [Receiver] stores what it takes.
type ReceiverConfig struct {
	// Sink stores. It confirms what is durably stored, once for an ID, and is closed by
	// its maker, after the server. Required. Without Records it is an [OnceSink].
	Sink ergon.Sink
	// Records tell a key that was used twice from a retry, and callers what became of
	// their transactions. Default: none. Then a retry is told by what the sink has stored,
	// and only for as long as it drops copies, and there is no status.
	Records Records
	// OnError is told of what no caller is answered with: records that could not be
	// brought up to date. It is called concurrently and does not block. Default: nobody.
	OnError func(error)
}

// An OnceSink is a sink that knows of a transaction that it had already.
type OnceSink interface {
	ergon.Sink
	// SendOnce is Send. Where tx was stored before, under its ID, done gets a function
	// that looks up what is stored; otherwise, and with an error, nil. The function
	// returns false where that is gone, as from a work queue. It may block until ctx
	// ends, so done, which may not, leaves it to others to call.
	SendOnce(ctx context.Context, tx ergon.Raw, done func(stored func(context.Context) (ergon.Raw, bool, error), err error))
}

// A Receiver is the target of routes whose requests are stored. It answers 202 once that
// is so, with the transaction's ID:
//
//	{"transaction":"h1-…","status":"/orders/status/h1-…"}
//
// 422 says that the key of the request is that of another body, or that the sink will
// never take it; 409 that its key was used a moment ago, and that nobody can tell any
// more with which body; 503 that it is not known to be stored: send it again, with its
// key. It is safe for concurrent use.
type Receiver struct {
	sink    ergon.Sink
	once    OnceSink // nil with records
	records Records
	onError func(error)
}

var _ Target = (*Receiver)(nil)

// NewReceiver returns a receiver.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	v := &Receiver{sink: cfg.Sink, records: cfg.Records, onError: cfg.OnError}
	if cfg.Sink == nil {
		return nil, errors.New("http receiver: it needs a sink")
	}
	if v.onError == nil {
		v.onError = func(error) {}
	}
	if v.records != nil {
		return v, nil
	}
	var ok bool
	if v.once, ok = cfg.Sink.(OnceSink); !ok {
		return nil, fmt.Errorf("http receiver: without records a %T can't tell a retry from another request with the same key: "+
			"give the receiver records, or a sink with SendOnce", cfg.Sink)
	}
	return v, nil
}

func (v *Receiver) wait() time.Duration { return DefaultStoreWait }

// Health is that of the sink.
func (v *Receiver) Health() error {
	if h, ok := v.sink.(ergon.HealthReporter); ok {
		return h.Health()
	}
	return nil
}

func (v *Receiver) take(w nethttp.ResponseWriter, r *nethttp.Request, a *arrival) *problem {
	ctx, cancel := a.route.within(r)
	defer cancel()
	stored, p := v.begin(ctx, a)
	if p == nil && !stored {
		p = v.store(ctx, a)
	}
	if p != nil {
		return p
	}
	v.accepted(w, r, a)
	return nil
}

// accepted is the 202.
func (v *Receiver) accepted(w nethttp.ResponseWriter, r *nethttp.Request, a *arrival) {
	body := make([]byte, 0, 128)
	body = append(body, `{"transaction":`...)
	body = appendJSON(body, a.tx.ID())
	if v.records != nil {
		at := a.route.statusPath(r, a.tx.ID())
		w.Header()["Location"] = []string{at}
		body = append(body, `,"status":`...)
		body = appendJSON(body, at)
	}
	writeJSON(w, nethttp.StatusAccepted, append(body, '}'))
}

// begin records the request, and reports whether it is known to be stored.
func (v *Receiver) begin(ctx context.Context, a *arrival) (stored bool, _ *problem) {
	if v.records == nil {
		return false, nil
	}
	r := Record{
		ID: a.tx.ID(), Owner: a.owner, Body: bodyHash(a.tx.ContentType(), a.tx.Payload()),
		State: StateReceived, At: time.Now().UTC(),
	}
	before, had, err := v.records.Begin(ctx, r)
	switch {
	case err != nil:
		v.onError(fmt.Errorf("begin the record of transaction %q: %w", r.ID, err))
		return false, a.unstored("the request can't be recorded now")
	case had && (before.Body != r.Body || before.Owner != r.Owner):
		return false, a.reused()
	}
	return had && before.State != StateReceived, nil
}

// answer is what a sink says.
type answer struct {
	stored func(context.Context) (ergon.Raw, bool, error)
	err    error
}

// answers has a place for one. A second finds none.
type answers chan answer

func (c answers) tell(a answer) {
	select {
	case c <- a:
	default:
	}
}

// store sends the transaction and waits for the sink's word. Its answer has a place even
// when nobody waits any more.
func (v *Receiver) store(ctx context.Context, a *arrival) *problem {
	told := make(answers, 1)
	v.send(ctx, a.tx, told)
	var got answer
	select {
	case got = <-told:
	case <-ctx.Done():
		return a.unstored("it was not confirmed in time that the request is stored")
	}
	switch {
	case ergon.CategoryOf(got.err) == ergon.CategoryBusiness:
		p := refuse(nethttp.StatusUnprocessableEntity, "the request can't be stored, now or later")
		p.id = a.tx.ID()
		return p
	case got.err != nil:
		return a.unstored("the request can't be stored now")
	case got.stored != nil && a.keyed:
		return v.compare(ctx, a, got.stored)
	case v.records != nil && a.keyed:
		// So that a retry is not stored again when the sink has forgotten this one. If it
		// fails, a retry is sent again, and dropped by the sink for as long as it does that.
		if err := v.records.Finish(ctx, a.tx.ID(), StateStored, ""); err != nil {
			v.onError(fmt.Errorf("record that transaction %q is stored: %w", a.tx.ID(), err))
		}
	}
	return nil
}

// send hands the transaction over. A sink that panics has not stored it, as far as is
// known.
func (v *Receiver) send(ctx context.Context, tx ergon.Raw, told answers) {
	var err error
	defer func() {
		if err != nil {
			v.onError(fmt.Errorf("store transaction %q: %w", tx.ID(), err))
			told.tell(answer{err: err})
		}
	}()
	defer ergon.Recover(&err)
	if v.once == nil {
		v.sink.Send(ctx, tx, func(err error) { told.tell(answer{err: err}) })
		return
	}
	v.once.SendOnce(ctx, tx, func(stored func(context.Context) (ergon.Raw, bool, error), err error) {
		told.tell(answer{stored, err})
	})
}

// compare holds what was sent against what is stored under its ID.
func (v *Receiver) compare(ctx context.Context, a *arrival, stored func(context.Context) (ergon.Raw, bool, error)) *problem {
	had, ok, err := stored(ctx)
	switch {
	case err != nil:
		v.onError(fmt.Errorf("look up transaction %q, to compare a request with it: %w", a.tx.ID(), err))
		return a.unstored("it can't be told now whether this is a retry")
	case !ok:
		p := refuse(nethttp.StatusConflict, "a request with this key was stored a moment ago; its body can't be compared any more")
		p.id = a.tx.ID()
		return p
	case had.Source() != a.tx.Source(), had.ContentType() != a.tx.ContentType(), !bytes.Equal(had.Payload(), a.tx.Payload()):
		return a.reused()
	}
	return nil
}

func (a *arrival) unstored(why string) *problem { return unavailable(a.route.route.RetryAfter, why) }

func (a *arrival) reused() *problem {
	return refuse(nethttp.StatusUnprocessableEntity, "the key of this request was used with another body")
}
