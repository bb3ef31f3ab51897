package admin

import (
	"errors"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
)

// Why is what is known of how a transaction came to its end: the answer of /why, and
// of `ergon why`.
type Why struct {
	ID     string `json:"id"`
	Source string `json:"source,omitempty"` // if one was asked for
	App    string `json:"app,omitempty"`    // of the process that answered
	Found  bool   `json:"found"`
	// Deliveries are those that a process remembers, the oldest first. One that did
	// well at once is not remembered, and of the others only the latest.
	Deliveries []WhyDelivery `json:"deliveries"`
	// Letters are its dead letters, the oldest first, where somebody looked for them.
	Letters []WhyLetter `json:"dead_letters,omitempty"`
	// Looked says where that was, in order.
	Looked []WhyLooked `json:"looked,omitempty"`
}

// WhyLooked is one place that was looked into.
type WhyLooked struct {
	Where string `json:"where"`
	Found int    `json:"found"`
	Error string `json:"error,omitempty"` // why nobody could look
}

// WhyDelivery is one delivery of a transaction to a task.
type WhyDelivery struct {
	Task      string `json:"task"`
	Connector string `json:"connector"`
	Source    string `json:"source,omitempty"`
	// Delivery counts how often it was handed out, this time included; 0 is unknown.
	Delivery  int          `json:"delivery"`
	Crashes   int          `json:"crashes,omitempty"` // earlier starts that never ended
	FirstSeen *time.Time   `json:"first_seen,omitempty"`
	Began     *time.Time   `json:"began,omitempty"` // its first attempt; there may have been none
	Ended     time.Time    `json:"ended"`
	Attempts  []WhyAttempt `json:"attempts"`
	Outcome   string       `json:"outcome"`              // see engine.Outcome
	DecidedBy string       `json:"decided_by,omitempty"` // of a dead letter: see WhyAttempt
	Outputs   int          `json:"outputs"`              // that were stored
	Error     *WhyError    `json:"error,omitempty"`      // why it failed for good
	Handler   string       `json:"handler_error,omitempty"`
	End       string       `json:"end"` // where it went, in words
}

// WhyAttempt is one attempt of one phase.
type WhyAttempt struct {
	Phase       string    `json:"phase"`
	Attempt     int       `json:"attempt"`
	MaxAttempts int       `json:"max_attempts"`
	Began       time.Time `json:"began"`
	DurationMS  float64   `json:"duration_ms"`
	TimedOut    bool      `json:"timed_out,omitempty"`
	Error       *WhyError `json:"error,omitempty"`
	// DecidedBy is what decided how it went on after a failure: a key of the task's
	// policy, or business, shutdown or lease.
	DecidedBy string `json:"decided_by,omitempty"`
	Decision  string `json:"decision,omitempty"` // the same in words
	// DelayMS is the wait that was chosen before the next attempt.
	DelayMS *float64 `json:"delay_ms,omitempty"`
}

// WhyError is an error and its category.
type WhyError struct {
	Phase    string `json:"phase,omitempty"`
	Category string `json:"category"`
	Reason   string `json:"reason"`
}

// WhyLetter is a dead letter.
type WhyLetter struct {
	Stream     string   `json:"stream"`
	Seq        uint64   `json:"seq"`
	Task       string   `json:"task,omitempty"`
	Error      WhyError `json:"error"`
	Handler    string   `json:"handler_error,omitempty"`
	Attempts   int      `json:"attempts,omitempty"` // of the phase
	Deliveries int      `json:"deliveries,omitempty"`
	Outputs    string   `json:"outputs,omitempty"`
	// Times as RFC 3339 has them: a letter may claim years that time.Time's own JSON
	// refuses.
	FirstSeen string `json:"first_seen,omitempty"`
	FailedAt  string `json:"failed_at,omitempty"`
}

// NewWhy tells of the records of one transaction. source, if it is not empty, leaves
// those aside whose transaction has another.
func NewWhy(id, source string, records []engine.TraceRecord) Why {
	w := Why{ID: id, Source: source, Deliveries: []WhyDelivery{}}
	for i := range records {
		if r := &records[i]; source == "" || r.Transaction.Source() == source {
			w.Deliveries = append(w.Deliveries, newWhyDelivery(r))
		}
	}
	w.Found = len(w.Deliveries) > 0
	return w
}

// Final reports whether it is known how the transaction ended for good.
func (w *Why) Final() bool {
	if len(w.Letters) > 0 {
		return true
	}
	n := len(w.Deliveries)
	return n > 0 && (w.Deliveries[n-1].Outcome == string(engine.Succeeded) || w.Deliveries[n-1].Outcome == string(engine.Dead))
}

func newWhyDelivery(r *engine.TraceRecord) WhyDelivery {
	d := WhyDelivery{
		Task: r.Task, Connector: r.Connector, Source: r.Transaction.Source(),
		Delivery: r.Info.Deliveries, Crashes: r.Info.Crashes,
		FirstSeen: timeOrNil(r.Info.FirstSeen), Began: timeOrNil(r.Began), Ended: r.Ended.UTC(),
		Attempts: []WhyAttempt{}, Outcome: string(r.Outcome), Outputs: r.Outputs, End: end(r),
	}
	if r.Err != nil {
		d.Error = whyError(r.Err)
		d.DecidedBy = ruleKey(r.Final(), r.Err.Phase)
	}
	if r.HandlerErr != nil {
		d.Handler = cut(r.HandlerErr.Error())
	}
	for i := range r.Attempts {
		d.Attempts = append(d.Attempts, newWhyAttempt(r, i))
	}
	return d
}

func newWhyAttempt(r *engine.TraceRecord, i int) WhyAttempt {
	a, rule := &r.Attempts[i], r.Rule(i)
	w := WhyAttempt{
		Phase: string(a.Phase), Attempt: a.Attempt, MaxAttempts: a.MaxAttempts, Began: a.Began.UTC(),
		DurationMS: ms(a.Ended.Sub(a.Began)), TimedOut: a.TimedOut(),
	}
	if a.Err == nil {
		return w
	}
	w.Error, w.DecidedBy, w.Decision = whyError(a.Err), ruleKey(rule, a.Phase), decision(rule, a)
	if rule == engine.RuleRetry || rule == engine.RuleDeferred {
		delay := ms(a.Delay)
		w.DelayMS = &delay
	}
	return w
}

func whyError(err error) *WhyError {
	if e, ok := errors.AsType[*ergon.Error](err); ok {
		return &WhyError{string(e.Phase), string(ergon.CategoryOf(err)), cut(e.Reason())}
	}
	return &WhyError{Category: string(ergon.CategoryOf(err)), Reason: cut(err.Error())}
}

func timeOrNil(t time.Time) *time.Time {
	t = t.UTC()
	if year := t.Year(); t.IsZero() || year < 0 || year > 9999 { // JSON has no others, and headers may claim them
		return nil
	}
	return &t
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
