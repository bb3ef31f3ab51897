package cli

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
)

// txInfo is what became of a transaction, as `ergon tx run --json` has it.
type txInfo struct {
	Task         string      `json:"task"`
	ID           string      `json:"id"`
	Source       string      `json:"source"`
	From         letterPlace `json:"from,omitzero"` // where it was read
	DryRun       bool        `json:"dry_run"`
	Outcome      string      `json:"outcome"`
	Error        *txError    `json:"error,omitempty"`
	HandlerError string      `json:"handler_error,omitempty"`
	Attempts     []txAttempt `json:"attempts"`
	Outputs      []txOutput  `json:"outputs"`
	DeadLetter   bool        `json:"dead_letter"` // is stored
	Seconds      float64     `json:"seconds"`
}

type txError struct {
	Phase    string `json:"phase"`
	Category string `json:"category"`
	Reason   string `json:"reason"`
}

type txAttempt struct {
	Phase       string  `json:"phase"`
	Attempt     int     `json:"attempt"`
	MaxAttempts int     `json:"max_attempts"`
	Seconds     float64 `json:"seconds"`
	Category    string  `json:"category,omitempty"`
	Error       string  `json:"error,omitempty"`
	NextDelay   float64 `json:"next_delay_seconds,omitempty"`
}

type txOutput struct {
	Route     string      `json:"route"`
	Stream    string      `json:"stream,omitempty"`
	Subject   string      `json:"subject,omitempty"`
	Target    string      `json:"target,omitempty"`
	ID        string      `json:"id"`
	Stored    bool        `json:"stored"`
	Duplicate bool        `json:"duplicate"` // its stream had it already
	Error     string      `json:"error,omitempty"`
	Headers   nats.Header `json:"headers"`
	Payload   *string     `json:"payload,omitempty"`
	Base64    []byte      `json:"payload_base64,omitempty"` // what is not UTF-8
}

func newTxInfo(t *txRun, f app.FoundTransaction, r app.OnceResult) txInfo {
	info := txInfo{
		Task: t.task, ID: f.ID(), Source: f.Raw.Source(), From: letterPlace{Stream: f.Stream, Seq: f.Number}, DryRun: t.dryRun,
		Outcome: string(r.Outcome), Attempts: make([]txAttempt, 0, len(r.Attempts)), Outputs: make([]txOutput, 0, len(r.Outputs)),
		DeadLetter: r.Buried, Seconds: r.Duration.Seconds(),
	}
	if r.Err != nil {
		info.Error = &txError{string(r.Err.Phase), string(r.Err.Category), r.Err.Reason()}
	}
	if r.HandlerErr != nil {
		info.HandlerError = r.HandlerErr.Error()
	}
	for _, a := range r.Attempts {
		one := txAttempt{
			Phase: string(a.Phase), Attempt: a.Attempt, MaxAttempts: a.MaxAttempts,
			Seconds: a.Ended.Sub(a.Began).Seconds(), NextDelay: a.Delay.Seconds(),
		}
		if a.Err != nil {
			one.Category, one.Error = string(ergon.CategoryOf(a.Err)), reasonOf(a.Err)
		}
		info.Attempts = append(info.Attempts, one)
	}
	for _, o := range r.Outputs {
		out := txOutput{
			Route: o.Route, Stream: o.Stream, Subject: o.Subject, Target: o.Target, ID: o.ID(),
			Stored: o.Stored, Duplicate: o.Duplicate, Headers: headersOf(o),
		}
		if o.Err != nil && !o.Stored {
			out.Error = o.Err.Error()
		}
		if utf8.Valid(o.Payload()) {
			text := string(o.Payload())
			out.Payload = &text
		} else {
			out.Base64 = o.Payload()
		}
		info.Outputs = append(info.Outputs, out)
	}
	return info
}

// reasonOf is an error's text without its category, which stands beside it.
func reasonOf(err error) string {
	if e, ok := err.(*ergon.Error); ok { //nolint:errorlint // what is wrapped in more says more
		return e.Reason()
	}
	return err.Error()
}

func (c *command) printTx(t *txRun, f app.FoundTransaction, r app.OnceResult) error {
	if c.json {
		return c.printVisibleJSON(newTxInfo(t, f, r))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "transaction %s: task %s", visible(f.ID()), t.task)
	switch f.Where {
	case app.InSource:
		fmt.Fprintf(&b, ", message %d of %s", f.Number, f.Stream)
	case app.InDeadLetters:
		fmt.Fprintf(&b, ", dead letter %d of %s", f.Number, f.Stream)
	}
	b.WriteByte('\n')
	writeAttempts(&b, r.Attempts)
	fmt.Fprintf(&b, "%s in %s\n", r.Outcome, short(r.Duration))
	if r.HandlerErr != nil {
		fmt.Fprintf(&b, "its exception handler failed too: %s\n", visible(r.HandlerErr.Error()))
	}
	switch {
	case r.Buried:
		b.WriteString("its dead letter is stored\n")
	case r.Outcome == engine.Dead && !t.deadLetter && !t.dryRun:
		b.WriteString("no dead letter was stored: --dead-letter asks for one\n")
	}
	for _, o := range r.Outputs {
		writeOutput(&b, o, t.dryRun)
	}
	return c.printf("%s", b.String())
}

func writeAttempts(b *strings.Builder, attempts []engine.AttemptRecord) {
	w := tabwriter.NewWriter(b, 0, 4, 2, ' ', 0)
	for _, a := range attempts {
		said := "ok"
		if a.Err != nil {
			said = string(ergon.CategoryOf(a.Err)) + ": " + visible(reasonOf(a.Err))
		}
		if a.Delay > 0 {
			said += ", again after " + short(a.Delay)
		}
		fmt.Fprintf(w, "  %s\t%d of %d\t%s\t%s\n", a.Phase, a.Attempt, a.MaxAttempts, short(a.Ended.Sub(a.Began)), said)
	}
	_ = w.Flush() // into memory
}

// headersOf are the headers that an output is sent with, but for those that a connector
// adds on the way.
func headersOf(o app.OnceOutput) nats.Header {
	headers := jetstream.Headers(o.Raw)
	if o.Stream == "" { // those of HTTP have the same names
		delete(headers, nats.MsgIdHdr)
	}
	return headers
}

// writeOutput writes all of an output that was not sent, and of one that was where it
// went: it can be looked at there.
func writeOutput(b *strings.Builder, o app.OnceOutput, dry bool) {
	to := fmt.Sprintf("%s → %s", o.Route, o.Subject)
	switch {
	case o.Target != "":
		to = fmt.Sprintf("%s → %s", o.Route, o.Target)
	case o.Subject == "":
		to = o.Route + " → the answer"
	}
	switch {
	case dry && o.Stream == "":
		fmt.Fprintf(b, "\nwould send %s\n", to)
	case dry:
		fmt.Fprintf(b, "\nwould send %s (stream %s)\n", to, o.Stream)
	case o.Stored && o.Stream == "":
		fmt.Fprintf(b, "sent %s as %s\n", to, visible(o.ID()))
	case o.Duplicate:
		fmt.Fprintf(b, "stored %s as %s: %s had it already\n", to, visible(o.ID()), o.Stream)
	case o.Stored:
		fmt.Fprintf(b, "stored %s as %s\n", to, visible(o.ID()))
	case o.Err != nil:
		fmt.Fprintf(b, "not stored: %s: %s\n", to, visible(o.Err.Error()))
	default:
		fmt.Fprintf(b, "not known to be stored: %s as %s\n", to, visible(o.ID()))
	}
	if !dry {
		return
	}
	headers := headersOf(o)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		for _, v := range headers[name] {
			fmt.Fprintf(b, "  %s: %s\n", visible(name), visible(v))
		}
	}
	b.WriteByte('\n')
	if payload := o.Payload(); isText(payload) {
		b.WriteString(visibleText(string(payload)))
		b.WriteByte('\n')
	} else {
		b.WriteString(hex.Dump(payload))
	}
}
