package admin_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app/admin"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// Each attempt, its error, what decided, and where it went.
func TestWhy(t *testing.T) {
	r := newRig()
	r.queueO.CanDefer = true
	r.policy.Transaction.RedeliverOver = policy.Duration(time.Second)
	r.run(t, func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
		first := ergon.ExecutionOf(ctx).Attempt == 1
		switch tx.ID() {
		case "retried":
			if first {
				return ergon.None{}, ergon.System("not yet")
			}
		case "rule":
			return ergon.None{}, ergon.Business("quantity 0 is not positive")
		case "never":
			return ergon.None{}, errors.New("down")
		case "parked":
			if first {
				return ergon.None{}, errors.New("closed on Sundays")
			}
		}
		return ergon.None{}, nil
	}, "well", "retried", "rule", "never")
	s := start(t, admin.Config{Process: newProcess(r.engine), Trail: r.trail})
	<-r.ended
	require.NoError(t, r.err)

	code, why := into[admin.Why](s, "/why?id=retried")
	require.Equal(t, http.StatusOK, code)
	require.True(t, why.Found)
	require.True(t, why.Final())
	require.Len(t, why.Deliveries, 1)
	d := why.Deliveries[0]
	require.Equal(t, "score", d.Task)
	require.Equal(t, "test", d.Source)
	require.Equal(t, "succeeded", d.Outcome)
	require.Equal(t, "acknowledged, with 0 outputs stored", d.End)
	require.Len(t, d.Attempts, 2)
	require.Equal(t, &admin.WhyError{Category: "SYSTEM", Reason: "not yet"}, d.Attempts[0].Error)
	require.Equal(t, "process.retry", d.Attempts[0].DecidedBy)
	require.Equal(t, "process.retry: the next attempt after 1ms", d.Attempts[0].Decision)
	require.InDelta(t, 1, *d.Attempts[0].DelayMS, 0)
	require.Nil(t, d.Attempts[1].Error)
	require.Equal(t, 3, d.Attempts[1].MaxAttempts)

	_, why = into[admin.Why](s, "/why?id=rule&source=test")
	d = why.Deliveries[0]
	require.Equal(t, "dead", d.Outcome)
	require.Equal(t, "business", d.DecidedBy)
	require.Equal(t, "BUSINESS is never retried", d.Attempts[0].Decision)
	require.Equal(t, &admin.WhyError{Phase: "process", Category: "BUSINESS", Reason: "quantity 0 is not positive"}, d.Error)
	require.True(t, strings.HasSuffix(why.Text(), "  stored as a dead letter: BUSINESS in process: quantity 0 is not positive\n"), why.Text())

	_, why = into[admin.Why](s, "/why?id=never")
	d = why.Deliveries[0]
	require.Len(t, d.Attempts, 3)
	require.Equal(t, "process.retry.max_attempts", d.Attempts[2].DecidedBy)
	require.Equal(t, "process.retry.max_attempts: it was attempt 3 of 3, the last", d.Attempts[2].Decision)
	require.Nil(t, d.Attempts[2].DelayMS)
	require.Equal(t, "process.retry.max_attempts", d.DecidedBy)

	for _, path := range []string{"/why?id=well", "/why?id=rule&source=other", "/why?id=nobody%0a"} {
		code, why := into[admin.Why](s, path)
		require.Equal(t, http.StatusNotFound, code)
		require.False(t, why.Found)
		require.NotNil(t, why.Deliveries)
		require.False(t, why.Final())
	}
	_, body := s.get("/why?id=never")
	require.NotContains(t, body, "secret payload")
}

// What was parked is remembered as that, and its next attempt with its own number.
func TestWhyParked(t *testing.T) {
	r := newRig()
	r.queueO.CanDefer = true
	r.policy.Transaction.RedeliverOver = policy.Duration(time.Millisecond)
	r.policy.Process.Retry.Backoff, r.policy.Process.Retry.BackoffCap = policy.Duration(20*time.Millisecond), policy.Duration(20*time.Millisecond)
	r.policy.Process.Retry.Timeout = policy.Duration(5 * time.Millisecond)
	r.run(t, func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
		if ergon.ExecutionOf(ctx).Attempt == 1 {
			<-ctx.Done()
			return ergon.None{}, ctx.Err()
		}
		return ergon.None{}, ergon.Business("no")
	}, "parked")
	s := start(t, admin.Config{Process: newProcess(r.engine), Trail: r.trail})
	<-r.ended
	require.NoError(t, r.err)
	_, why := into[admin.Why](s, "/why?id=parked")
	require.Len(t, why.Deliveries, 2)
	first, second := why.Deliveries[0], why.Deliveries[1]
	require.Equal(t, "deferred", first.Outcome)
	require.Equal(t, "transaction.redeliver_over", first.Attempts[0].DecidedBy)
	require.Equal(t, "transaction.redeliver_over: parked, for the next attempt is 20ms off; its time was over (process.retry.timeout)", first.Attempts[0].Decision)
	require.True(t, first.Attempts[0].TimedOut)
	require.InDelta(t, 20, *first.Attempts[0].DelayMS, 0)
	require.Equal(t, "TIMEOUT", first.Attempts[0].Error.Category)
	require.Equal(t, "parked until its next attempt; what became of that stands below, unless it did well at once", first.End)
	require.Equal(t, "dead", second.Outcome)
	require.Equal(t, 2, second.Attempts[0].Attempt)
	text := why.Text()
	require.Contains(t, text, "parked: task score, source test")
	require.Contains(t, text, " process 1 of 3, ")
	require.Contains(t, text, "\n      BUSINESS is never retried\n")
}

func TestWhyTextOfLetters(t *testing.T) {
	why := admin.Why{ID: "x", Letters: []admin.WhyLetter{{
		Stream: "ERGON_DLQ", Seq: 7, Task: "score", Error: admin.WhyError{Phase: "process", Category: "SYSTEM", Reason: "down"},
		Attempts: 8, Deliveries: 1, FailedAt: "2026-01-01T00:00:00Z", Handler: "no mail",
	}}, Looked: []admin.WhyLooked{{Where: "the running process at 127.0.0.1:9400", Error: "nobody answers"}, {Where: "here"}, {Where: "there", Found: 1}}}
	require.True(t, why.Final())
	require.Equal(t, `x: dead letter 7 of ERGON_DLQ
  task score, SYSTEM in process: down
  after 8 attempts, in delivery 1
  failed at 2026-01-01T00:00:00Z
  its exception handler failed: no mail
  ergon dlq show 7 --stream ERGON_DLQ shows all of it
could not look into the running process at 127.0.0.1:9400: nobody answers
looked into here: it does not know it
looked into there: 1 found
`, why.Text())
}

// Where a delivery went is said of each outcome.
func TestWhyEnds(t *testing.T) {
	tx := ergon.New[[]byte](nil, ergon.WithID("x"), ergon.WithSource("s"))
	failed := engine.AttemptRecord{Phase: ergon.PhaseProcess, Attempt: 1, MaxAttempts: 8, Err: errors.New("down"), Delay: time.Second}
	for _, c := range []struct {
		record            engine.TraceRecord
		end, by, decision string
	}{
		{engine.TraceRecord{Outcome: engine.Dead, Info: ergon.DeliveryInfo{Crashes: 5}, Err: &ergon.Error{Category: ergon.CategorySystem, Err: errors.New("crashed 5 times")}},
			"stored as a dead letter, unrun: 5 earlier starts ended with their processes (transaction.max_deliveries)", "transaction.max_deliveries", ""},
		{engine.TraceRecord{Outcome: engine.Released, Attempts: []engine.AttemptRecord{failed}},
			"given back, uncounted: another delivery follows", "", "shutdown: the process stopped first"},
		{engine.TraceRecord{Outcome: engine.Lost, Attempts: []engine.AttemptRecord{failed}},
			"lost: its lease ran out, and another delivery has it; what became of that stands below, unless it did well at once", "", "lease: its lease ran out first"},
		{engine.TraceRecord{Outcome: engine.Abandoned, Attempts: []engine.AttemptRecord{failed}},
			"not settled when the engine stopped: it comes back when its lease ends", "", "shutdown: the process stopped first"},
		{engine.TraceRecord{Outcome: engine.Dead, Began: time.Now(), Err: &ergon.Error{Category: ergon.CategoryBusiness, Phase: ergon.PhaseProduce, Err: errors.New("no such route")}},
			"stored as a dead letter", "business", ""},
	} {
		c.record.Transaction, c.record.Info.FirstSeen = tx, time.Date(99999, 1, 1, 0, 0, 0, 0, time.UTC)
		why := admin.NewWhy("x", "s", []engine.TraceRecord{c.record})
		d := why.Deliveries[0]
		require.Nil(t, d.FirstSeen, "JSON has no such year")
		require.Equal(t, c.end, d.End)
		require.Equal(t, c.by, d.DecidedBy)
		if c.decision != "" {
			require.Equal(t, c.decision, d.Attempts[0].Decision)
		}
		require.Equal(t, c.record.Outcome == engine.Dead, why.Final())
		require.Contains(t, why.Text(), c.end)
	}
}

// The page of the reference names every field.
func TestEveryFieldIsInTheReference(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/admin.md")
	require.NoError(t, err)
	var check func(reflect.Type)
	check = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			check(of.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if of == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			require.Regexp(t, `^[a-z0-9_]+$`, name, "%s.%s", of.Name(), of.Field(i).Name)
			require.Regexp(t, "[`\"]"+name+"(\\[\\])?[`\"]", string(page), "%s.%s", of.Name(), of.Field(i).Name)
			check(of.Field(i).Type)
		}
	}
	check(reflect.TypeFor[admin.Status]())
	check(reflect.TypeFor[admin.Readiness]())
	check(reflect.TypeFor[admin.Why]())
}
