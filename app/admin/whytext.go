package admin

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
)

// ruleKey is a rule as a key of the task's policy, where it is one.
func ruleKey(rule engine.Rule, phase ergon.Phase) string {
	if rule == engine.RuleRetry || rule == engine.RuleMaxAttempts {
		if phase == ergon.PhaseDecode {
			phase = ergon.PhaseProcess // whose attempt decodes
		}
		return string(phase) + "." + string(rule)
	}
	return string(rule)
}

// decision says a rule in words.
func decision(rule engine.Rule, a *engine.AttemptRecord) string {
	key := ruleKey(rule, a.Phase)
	if rule == engine.RuleBusiness {
		return "BUSINESS is never retried"
	}
	text := ""
	switch rule {
	case engine.RuleRetry:
		text = "the next attempt after " + a.Delay.String()
	case engine.RuleMaxAttempts:
		text = fmt.Sprintf("it was attempt %d of %d, the last", a.Attempt, a.MaxAttempts)
	case engine.RuleTransactionTimeout:
		text = "the time of the whole transaction is over"
	case engine.RuleDeferred:
		text = fmt.Sprintf("parked, for the next attempt is %s off", a.Delay)
	case engine.RuleStuck:
		text = "it ignored its cancelled context, and was given up"
	case engine.RuleStop:
		text = "the process stopped first"
	case engine.RuleLease:
		text = "its lease ran out first"
	}
	if rule != engine.RuleTransactionTimeout && a.TimedOut() {
		text += "; its time was over (" + string(a.Phase) + ".retry.timeout)"
	}
	return key + ": " + text
}

// end says where a delivery went.
func end(r *engine.TraceRecord) string {
	switch r.Outcome {
	case engine.Succeeded:
		return fmt.Sprintf("acknowledged, with %d outputs stored", r.Outputs)
	case engine.Dead:
		if r.Final() == engine.RuleCrashes {
			return fmt.Sprintf("stored as a dead letter, unrun: %d earlier starts ended with their processes (transaction.max_deliveries)", r.Info.Crashes)
		}
		return "stored as a dead letter"
	case engine.Deferred:
		return "parked until its next attempt; what became of that stands below, unless it did well at once"
	case engine.Released:
		return "given back, uncounted: another delivery follows"
	case engine.Lost:
		return "lost: its lease ran out, and another delivery has it; what became of that stands below, unless it did well at once"
	case engine.Abandoned:
		return "not settled when the engine stopped: it comes back when its lease ends"
	}
	return string(r.Outcome)
}

// Text tells it to a reader, in lines. It may hold whatever strangers wrote into
// errors: what shows it on a terminal escapes it first.
func (w *Why) Text() string { return w.TextFor("ergon") }

// TextFor is Text that advises the commands of a program of that name.
func (w *Why) TextFor(program string) string {
	var b strings.Builder
	for _, d := range w.Deliveries {
		d.write(&b, w.ID)
	}
	for _, l := range w.Letters {
		fmt.Fprintf(&b, "%s: dead letter %d of %s\n", w.ID, l.Seq, l.Stream)
		fmt.Fprintf(&b, "  task %s, %s in %s: %s\n", orDash(l.Task), orDash(l.Error.Category), orDash(l.Error.Phase), l.Error.Reason)
		if l.Attempts > 0 {
			fmt.Fprintf(&b, "  after %d attempts, in delivery %d\n", l.Attempts, l.Deliveries)
		}
		if l.FailedAt != "" {
			fmt.Fprintf(&b, "  failed at %s\n", l.FailedAt)
		}
		if l.Handler != "" {
			fmt.Fprintf(&b, "  its exception handler failed: %s\n", l.Handler)
		}
		fmt.Fprintf(&b, "  %s dlq show %d --stream %s shows all of it\n", program, l.Seq, l.Stream)
	}
	for _, l := range w.Looked {
		switch {
		case l.Error != "":
			fmt.Fprintf(&b, "could not look into %s: %s\n", l.Where, l.Error)
		default:
			fmt.Fprintf(&b, "looked into %s: %s\n", l.Where, foundText(l.Found))
		}
	}
	return b.String()
}

func foundText(n int) string {
	if n == 0 {
		return "it does not know it"
	}
	return fmt.Sprintf("%d found", n)
}

func (d *WhyDelivery) write(b *strings.Builder, id string) {
	fmt.Fprintf(b, "%s: task %s", id, d.Task)
	if d.Source != "" {
		fmt.Fprintf(b, ", source %s", d.Source)
	}
	if d.Delivery > 0 {
		fmt.Fprintf(b, ", delivery %d", d.Delivery)
	}
	b.WriteByte('\n')
	for _, a := range d.Attempts {
		fmt.Fprintf(b, "  %s  %s %d of %d, %s: ", stamp(a.Began), a.Phase, a.Attempt, a.MaxAttempts, time.Duration(a.DurationMS*float64(time.Millisecond)).Round(time.Microsecond))
		if a.Error == nil {
			b.WriteString("did well\n")
			continue
		}
		fmt.Fprintf(b, "%s: %s\n      %s\n", a.Error.Category, a.Error.Reason, a.Decision)
	}
	fmt.Fprintf(b, "  %s  %s", stamp(d.Ended), d.End)
	if d.Error != nil {
		fmt.Fprintf(b, ": %s in %s: %s", d.Error.Category, d.Error.Phase, d.Error.Reason)
	}
	b.WriteByte('\n')
	if d.Handler != "" {
		fmt.Fprintf(b, "  its exception handler failed: %s\n", d.Handler)
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// why answers /why?id=ID&source=S: 404 where nothing is remembered.
func (s *Server) why(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	id := q.Get("id")
	if id == "" {
		say(w, http.StatusBadRequest, "whose way is meant? ask for /why?id=ID, and add &source=S where several sources give out the same IDs")
		return
	}
	var records []engine.TraceRecord
	if s.c.Trail != nil {
		records = s.c.Trail.Of(id)
	}
	why := NewWhy(id, q.Get("source"), records)
	why.App = s.c.App
	code := http.StatusOK
	if !why.Found {
		code = http.StatusNotFound
	}
	answer(w, code, why)
}
