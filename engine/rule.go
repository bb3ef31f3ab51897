package engine

import (
	"errors"
	"slices"

	"github.com/ergon-framework/ergon"
)

// Rule is what decided how the engine went on after an attempt. Those with a dot are
// keys of a task's policy; RuleRetry and RuleMaxAttempts stand below the phase:
// process.retry.
type Rule string

// The rules.
const (
	RuleNone               Rule = ""                           // it did well
	RuleBusiness           Rule = "business"                   // BUSINESS is never retried
	RuleRetry              Rule = "retry"                      // another attempt follows
	RuleMaxAttempts        Rule = "retry.max_attempts"         // it was the last
	RuleTransactionTimeout Rule = "transaction.timeout"        // the whole transaction's time is over
	RuleDeferred           Rule = "transaction.redeliver_over" // parked until the next attempt
	RuleStuck              Rule = "transaction.stuck_after"    // it ignored its cancelled context, and was given up
	RuleCrashes            Rule = "transaction.max_deliveries" // its starts ended with their processes: not run again
	RuleStop               Rule = "shutdown"                   // the engine stopped first
	RuleLease              Rule = "lease"                      // the lease ran out: somebody else has it
)

// Rule says what decided after attempt i of a finished delivery.
func (r *TraceRecord) Rule(i int) Rule {
	a := &r.Attempts[i]
	if a.Err == nil {
		return RuleNone
	}
	if slices.ContainsFunc(r.Attempts[i+1:], func(b AttemptRecord) bool { return b.Phase == a.Phase }) {
		return RuleRetry
	}
	failed := r.Err != nil || a.Phase == ergon.PhaseException && r.HandlerErr != nil
	switch {
	case errors.Is(a.Err, errIgnored):
		return RuleStuck
	case errors.Is(a.Err, errTransactionTimeout):
		return RuleTransactionTimeout
	case !failed && r.Outcome == Deferred:
		return RuleDeferred
	case !failed && r.Outcome == Lost:
		return RuleLease
	case !failed: // no phase was through with its attempts
		return RuleStop
	case !ergon.CategoryOf(a.Err).Retryable():
		return RuleBusiness
	case a.Delay > 0 && r.Err != nil && errors.Is(r.Err, errTransactionTimeout): // it passed during the wait
		return RuleTransactionTimeout
	case a.Attempt < a.MaxAttempts && r.Outcome != Dead:
		return RuleStop
	}
	return RuleMaxAttempts
}

// Final says what decided that a delivery is a dead letter, RuleNone for one that is
// none.
func (r *TraceRecord) Final() Rule {
	if r.Outcome != Dead {
		return RuleNone
	}
	if r.Began.IsZero() && r.Info.Crashes > 0 {
		return RuleCrashes
	}
	if r.Err == nil {
		return RuleNone
	}
	phase := r.Err.Phase
	if phase == ergon.PhaseDecode {
		phase = ergon.PhaseProcess // whose attempt decodes
	}
	for i := len(r.Attempts) - 1; i >= 0; i-- {
		if a := &r.Attempts[i]; a.Err != nil && a.Phase == phase {
			return r.Rule(i)
		}
	}
	// No attempt of that phase was made.
	switch {
	case errors.Is(r.Err, errTransactionTimeout): // it passed while one waited for a slot
		return RuleTransactionTimeout
	case !r.Err.Category.Retryable(): // what the task returned can't be sent
		return RuleBusiness
	}
	return RuleNone
}

// TimedOut reports whether the attempt was cut because its time was over: its own
// (retry.timeout of its phase) or its transaction's.
func (a *AttemptRecord) TimedOut() bool {
	return errors.Is(a.Err, errAttemptTimeout) || errors.Is(a.Err, errTransactionTimeout)
}
