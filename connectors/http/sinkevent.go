package http

import (
	"encoding/base64"
	"encoding/json"
	nethttp "net/http"
	"strings"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/identity"
	"github.com/ergon-framework/ergon/internal/percent"
	"github.com/ergon-framework/ergon/internal/semconv"
)

const (
	jsonType       = "application/json"
	structuredType = "application/cloudevents+json; charset=utf-8"
	idempotencyKey = "Idempotency-Key"
)

// headerSet builds a request's headers. The values of all share one array, for most
// have one.
type headerSet struct {
	h    nethttp.Header
	room []string
}

func newHeaderSet(n int) headerSet {
	return headerSet{h: make(nethttp.Header, n), room: make([]string, 0, n)}
}

// set sets a header under its canonical name. An empty one is not written.
func (s *headerSet) set(name, value string) {
	if value == "" {
		return
	}
	if len(s.room) == cap(s.room) {
		s.room = make([]string, 0, 8)
	}
	s.room = append(s.room, value)
	n := len(s.room)
	s.h[name] = s.room[n-1 : n : n]
}

// setTrace passes the trace on, so that the receiver's spans join it.
func (s *headerSet) setTrace(t ergon.Trace) {
	if !identity.ValidTraceParent(t.Parent) {
		return
	}
	s.set("Traceparent", t.Parent)
	if validValue(t.State) && isASCII(t.State) {
		s.set("Tracestate", t.State)
	}
}

// setEvent writes the envelope in CloudEvents binary mode. Optional attributes are
// written only where they say something. The content type is the request's own
// (CloudEvents HTTP binding §3.1.1).
func (s *headerSet) setEvent(e ergon.Envelope) {
	s.set("Ce-Specversion", semconv.CEVersion)
	s.set("Ce-Id", percent.Value(e.ID))
	s.set("Ce-Source", percent.Value(e.Source))
	s.set("Ce-Type", percent.Value(e.Type))
	if !e.CreatedAt.IsZero() {
		s.set("Ce-Time", e.CreatedAt.UTC().Format(time.RFC3339Nano))
	}
	s.set("Ce-Subject", percent.Value(e.Key))
	s.set("Ce-Causationid", percent.Value(e.CausationID))
	if e.CorrelationID != e.ID {
		s.set("Ce-Correlationid", percent.Value(e.CorrelationID))
	}
}

// addMetadata writes every entry, empty ones too.
func (s *headerSet) addMetadata(m ergon.Metadata) {
	for name, value := range m.All() {
		s.h.Add(semconv.MetaPrefix+percent.Name(name), percent.Value(value))
	}
}

// structured is the transaction as one JSON object (CloudEvents JSON format). The
// payload is put in as it stands if it is JSON, else in base64.
func structured(e ergon.Envelope, payload []byte) ([]byte, error) {
	event := struct {
		SpecVersion     string     `json:"specversion"`
		ID              string     `json:"id"`
		Source          string     `json:"source,omitempty"`
		Type            string     `json:"type,omitempty"`
		Time            *time.Time `json:"time,omitempty"`
		Subject         string     `json:"subject,omitempty"`
		DataContentType string     `json:"datacontenttype,omitempty"`
		CausationID     string     `json:"causationid,omitempty"`
		CorrelationID   string     `json:"correlationid,omitempty"`
		TraceParent     string     `json:"traceparent,omitempty"`
		TraceState      string     `json:"tracestate,omitempty"`
	}{
		SpecVersion: semconv.CEVersion, ID: e.ID, Source: e.Source, Type: e.Type, Subject: e.Key,
		DataContentType: e.ContentType, CausationID: e.CausationID,
	}
	if e.CorrelationID != e.ID {
		event.CorrelationID = e.CorrelationID
	}
	if !e.CreatedAt.IsZero() {
		at := e.CreatedAt.UTC()
		event.Time = &at
	}
	if identity.ValidTraceParent(e.Trace.Parent) {
		event.TraceParent, event.TraceState = e.Trace.Parent, e.Trace.State
	}
	body, err := json.Marshal(event)
	if err != nil {
		return nil, ergon.Business("cloudevents: %w", err) // a time in the year 10000
	}
	if len(payload) == 0 {
		return body, nil
	}
	body = body[:len(body)-1]
	if isJSON(e.ContentType) && json.Valid(payload) {
		body = append(append(body, `,"data":`...), payload...)
	} else {
		body = append(body, `,"data_base64":"`...)
		body = append(base64.StdEncoding.AppendEncode(body, payload), '"')
	}
	return append(body, '}'), nil
}

func isJSON(contentType string) bool {
	media := ergon.MediaType(contentType)
	return media == "" || media == jsonType || strings.HasSuffix(media, "+json")
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
