package http

import (
	"context"
	"encoding/json"
	nethttp "net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// headerTransaction tells the caller of a [Source] the ID of its transaction.
const headerTransaction = "Ergon-Transaction"

// reply is how a request ended: with outputs or a problem.
type reply struct {
	outputs []ergon.Raw
	problem *problem
}

// problemOf is what a caller is told of a failure. What BUSINESS says is the domain's
// word, unless a sink said it; that and the other reasons tell of what stands behind the
// task, which is nobody's business.
func problemOf(id string, failed *ergon.Error) *problem {
	p := &problem{status: nethttp.StatusServiceUnavailable, id: id, detail: "it can't be done now"}
	if failed == nil {
		return p
	}
	switch failed.Category {
	case ergon.CategoryBusiness:
		p.status, p.detail = nethttp.StatusUnprocessableEntity, failed.Reason()
		if failed.Phase == ergon.PhaseProduce {
			p.detail = "what it caused was refused"
		}
		return p
	case ergon.CategoryTimeout:
		p.status, p.detail = nethttp.StatusGatewayTimeout, "it took too long"
	}
	p.retryAfter, _ = ergon.RetryAfterOf(failed)
	return p
}

// answer writes what a request ended with. Several callers may have waited for it, each
// with a route of its own.
func (p *pending) answer(w nethttp.ResponseWriter, a *arrival) *problem {
	if failed := p.reply.problem; failed != nil {
		own := *failed
		if own.status == nethttp.StatusServiceUnavailable {
			orDefault(&own.retryAfter, a.route.route.RetryAfter)
		}
		return &own
	}
	outputs := p.reply.outputs
	if name := a.route.route.Reply; name != "" {
		outputs = nil
		for _, out := range p.reply.outputs {
			if out.Type() == name {
				outputs = append(outputs, out)
			}
		}
	}
	h := w.Header()
	if id := p.tx.ID(); printableASCII(id) {
		h[headerTransaction] = []string{id}
	}
	h["Cache-Control"] = []string{"no-store"}
	switch len(outputs) {
	case 0:
		w.WriteHeader(nethttp.StatusNoContent)
	case 1:
		contentType := outputs[0].ContentType()
		orDefault(&contentType, "application/json")
		writeBody(w, contentType, outputs[0].Payload())
	default:
		body, err := batch(outputs)
		if err != nil {
			// What the engine encoded as JSON and is none: a codec of the user's.
			failed := refuse(nethttp.StatusInternalServerError, "an output is not what its content type says")
			failed.id = p.tx.ID()
			return failed
		}
		writeBody(w, "application/cloudevents-batch+json", body)
	}
	return nil
}

func writeBody(w nethttp.ResponseWriter, contentType string, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{contentType}
	h["X-Content-Type-Options"] = []string{"nosniff"} // it may repeat what a stranger sent
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(nethttp.StatusOK)
	_, _ = w.Write(body) // the client has left
}

// batch is several outputs as CloudEvents.
func batch(outputs []ergon.Raw) ([]byte, error) {
	type event struct {
		Version     string          `json:"specversion"`
		ID          string          `json:"id"`
		Source      string          `json:"source"`
		Type        string          `json:"type"`
		Time        string          `json:"time,omitempty"`
		Subject     string          `json:"subject,omitempty"`
		ContentType string          `json:"datacontenttype"`
		Data        json.RawMessage `json:"data,omitempty"`
		Bytes       []byte          `json:"data_base64,omitempty"`
	}
	events := make([]event, len(outputs))
	for i, out := range outputs {
		e := event{
			Version: semconv.CEVersion, ID: out.ID(), Source: out.Source(), Type: out.Type(),
			Subject: out.Key(), ContentType: out.ContentType(),
		}
		orDefault(&e.ContentType, "application/json")
		if at := out.CreatedAt(); !at.IsZero() {
			e.Time = at.Format(time.RFC3339Nano)
		}
		if ergon.JSON.Accepts(ergon.MediaType(out.ContentType())) {
			e.Data = out.Payload()
		} else {
			e.Bytes = out.Payload()
		}
		events[i] = e
	}
	return json.Marshal(events)
}

// ReplySink is where the outputs of a task go whose caller is given them anyway: it
// confirms each and keeps none. Bind a route to it whose outputs are an answer and
// nothing more.
func ReplySink() ergon.Sink { return &replySink{} }

type replySink struct{ closed atomic.Bool }

// Send confirms.
func (s *replySink) Send(ctx context.Context, _ ergon.Raw, done func(error)) {
	if s.closed.Load() {
		done(ergon.ErrClosed)
		return
	}
	done(ctx.Err())
}

// Close is the end of it.
func (s *replySink) Close(context.Context) error {
	s.closed.Store(true)
	return nil
}
