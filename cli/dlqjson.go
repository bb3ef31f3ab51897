package cli

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon/bus"
)

// letterInfo is a dead letter as `ergon dlq` shows it in JSON.
type letterInfo struct {
	Stream       string      `json:"stream"`
	Seq          uint64      `json:"seq"`
	Subject      string      `json:"subject"`
	StoredAt     string      `json:"stored_at"`
	ID           string      `json:"id,omitempty"`
	Task         string      `json:"task,omitempty"`
	Phase        string      `json:"phase,omitempty"`
	Category     string      `json:"category,omitempty"`
	Reason       string      `json:"reason,omitempty"`
	HandlerError string      `json:"handler_error,omitempty"`
	Attempts     int         `json:"attempts,omitempty"`
	Deliveries   int         `json:"deliveries,omitempty"`
	Outputs      string      `json:"outputs,omitempty"`
	FirstSeen    string      `json:"first_seen,omitempty"`
	FailedAt     string      `json:"failed_at,omitempty"`
	Source       letterPlace `json:"source,omitzero"`
	TraceID      string      `json:"trace_id,omitempty"`
	Requeue      int         `json:"requeue,omitempty"`
	Bytes        int         `json:"bytes"` // as stored in the letter
	Encoding     string      `json:"encoding,omitempty"`
	Object       string      `json:"object,omitempty"`
	Dropped      []string    `json:"dropped_headers,omitempty"`
	Faults       []string    `json:"faults,omitempty"`
	*letterWhole             // of `show`
}

// letterPlace is where the original was stored.
type letterPlace struct {
	Stream  string `json:"stream,omitempty"`
	Subject string `json:"subject,omitempty"`
	Seq     uint64 `json:"seq,omitempty"`
}

// letterWhole is what a listing leaves out. One of the last three is there.
type letterWhole struct {
	Headers nats.Header `json:"headers"`
	Payload *string     `json:"payload,omitempty"`
	Base64  []byte      `json:"payload_base64,omitempty"` // what is not UTF-8
	Error   string      `json:"payload_error,omitempty"`
}

func newLetterInfo(r bus.DeadRecord) letterInfo {
	l := r.Letter
	return letterInfo{
		Stream: r.Stream, Seq: r.Sequence, Subject: r.Subject, StoredAt: stamp(r.StoredAt), ID: r.TransactionID,
		Task: l.Task, Phase: l.Phase, Category: l.Category, Reason: l.Reason, HandlerError: l.HandlerError,
		Attempts: l.Attempts, Deliveries: l.Deliveries, Outputs: l.Outputs,
		FirstSeen: stamp(l.FirstSeen), FailedAt: stamp(l.FailedAt),
		Source: letterPlace{l.Stream, l.Subject, l.Sequence}, TraceID: l.TraceID, Requeue: l.Requeue,
		Bytes: r.Size, Encoding: r.Encoding, Object: r.Object, Dropped: r.Dropped, Faults: r.Faults,
	}
}

func newLetterWhole(r bus.DeadRecord, payload []byte, err error) *letterWhole {
	w := &letterWhole{Headers: r.Header}
	switch {
	case err != nil:
		w.Error = err.Error()
	case utf8.Valid(payload):
		text := string(payload)
		w.Payload = &text
	default:
		w.Base64 = payload
	}
	return w
}

// stamp is not time.Time's own JSON, which refuses a year that a letter may claim.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// printVisibleJSON prints JSON of what strangers wrote: what is not printable is
// escaped, beyond what encoding/json does.
func (c *command) printVisibleJSON(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return c.printf("%s\n", visibleJSON(string(data)))
}
