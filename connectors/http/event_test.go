package http_test

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/connectors/http"
)

var binary = []string{
	"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t",
}

func with(headers []string, more ...string) []string {
	return append(append([]string(nil), headers...), more...)
}

// Events in binary mode: their attributes are headers.
func TestBinaryEvents(t *testing.T) {
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/in", Headers: []string{"ce-tenant"}})
	resp := r.post("/in", `{"a":1}`, with(binary, "ce-time", "2026-01-02T03:04:05.6+01:00", "ce-subject", "%E4%B8%96%25",
		"ce-causationid", "cause", "ce-correlationid", "flow", "Content-Type", "application/json; charset=utf-8",
		"ce-tenant", `"acme \"ltd\" 100%25"`, "ce-unknown", "x", "ce-datacontenttype", "text/x-not-looked-at")...)
	require.Equal(t, 202, resp.StatusCode, resp.body)
	tx := s.stored()[0]
	require.Equal(t, "t", tx.Type())
	require.Equal(t, "世%", tx.Key())
	require.Equal(t, "cause", tx.CausationID())
	require.Equal(t, "flow", tx.CorrelationID())
	require.Equal(t, "application/json; charset=utf-8", tx.ContentType())
	require.Equal(t, time.Date(2026, 1, 2, 2, 4, 5, 6e8, time.UTC), tx.CreatedAt())
	require.Equal(t, map[string]string{"ce-id": "1", "ce-source": "/s", "ce-tenant": `acme "ltd" 100%`}, first(tx.Metadata()))

	for want, headers := range map[string][]string{
		"specversion is not 1.0":         with(binary[2:], "ce-specversion", "0.3"),
		"ce-id is missing":               with(binary[:2], binary[4:]...),
		"ce-source is missing":           with(binary[:4], binary[6:]...),
		"ce-type is missing":             binary[:6],
		"ce-time is not a time":          with(binary, "ce-time", "yesterday"),
		"ce-id is there more than once":  with(binary, "ce-id", "2"),
		"ce-subject: a % begins":         with(binary, "ce-subject", "100%"),
		"ce-subject: a quote is not":     with(binary, "ce-subject", `"abc`),
		"ce-subject is longer than":      with(binary, "ce-subject", "a%0Ab"),
		"ce-correlationid is longer":     with(binary, "ce-correlationid", "%FF"),
		"ce-tenant is longer than 4 KiB": with(binary, "ce-tenant", "%7F"),
		"specversion is not":             {"ce-id", "1"},
		"the content type":               with(binary, "Content-Type", "a\x80"),
	} {
		r.post("/in", "x", headers...).problem(t, 400, want)
	}
	require.Len(t, s.stored(), 1)
}

// Events in structured mode: all of them is one JSON object.
func TestStructuredEvents(t *testing.T) {
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/in", Headers: []string{"ce-tenant", "ce-n", "ce-ok"}})
	send := func(body string) response {
		return r.post("/in", body, "Content-Type", "application/CloudEvents+json; charset=utf-8", "ce-tenant", "not-looked-at")
	}
	event := func(more string) string { return `{"specversion":"1.0","id":"1","source":"/s","type":"t"` + more + `}` }
	last := func(body string) (contentType, payload string) {
		s.change(func(s *shelf) { s.all = nil })
		resp := send(body)
		require.Equal(t, 202, resp.StatusCode, resp.body)
		tx := s.stored()[0]
		return tx.ContentType(), string(tx.Payload())
	}
	contentType, payload := last(event(`,"time":"2026-01-02T03:04:05Z","subject":"k","tenant":"acme","n":-7,"ok":true,"none":null,"data":{ "a" : [1.0] }`))
	require.Equal(t, []string{"application/json", `{ "a" : [1.0] }`}, []string{contentType, payload})
	tx := s.stored()[0]
	require.Equal(t, "k", tx.Key())
	require.Equal(t, "2026-01-02T03:04:05Z", tx.CreatedAt().Format(time.RFC3339))
	require.Equal(t, map[string]string{"ce-id": "1", "ce-source": "/s", "ce-tenant": "acme", "ce-n": "-7", "ce-ok": "true"}, first(tx.Metadata()))

	encoded := base64.StdEncoding.EncodeToString([]byte("\x00\xff"))
	contentType, payload = last(event(`,"datacontenttype":"application/protobuf","data_base64":"` + encoded + `"`))
	require.Equal(t, []string{"application/protobuf", "\x00\xff"}, []string{contentType, payload})
	_, payload = last(event(`,"datacontenttype":"text/plain","data":"a\nb"`))
	require.Equal(t, "a\nb", payload)
	_, payload = last(event(`,"data":"a string"`))
	require.Equal(t, `"a string"`, payload, "it is JSON")
	_, payload = last(event(``))
	require.Empty(t, payload)

	s.change(func(s *shelf) { s.all = nil })
	binaryID := r.post("/in", `{ "a" : [1.0] }`, with(binary, "Content-Type", "application/json")...)
	require.Equal(t, tx.ID(), binaryID.transaction(t), "the same event in another mode is the same transaction")

	for _, bad := range []struct{ want, body string }{
		{"not an object", ``}, {"not an object", `[]`}, {"not an object", `{`}, {"not an object", event(``) + "x"},
		{"not an object", event(``) + event(``)}, {"not an object", `{"id":}`}, {"not UTF-8", "{\"id\":\"\xff\"}"},
		{"a member twice", event(`,"id":"2"`)}, {"an attribute's name", `{"specversion":"1.0","ID":"1","source":"/s","type":"t"}`},
		{"specversion is not 1.0", `{"id":"1","source":"/s","type":"t"}`}, {"ce-type is missing", `{"specversion":"1.0","id":"1","source":"/s","type":""}`},
		{"both there", event(`,"data":1,"data_base64":"AA=="`)}, {"not a string of base64", event(`,"data_base64":"?"`)},
		{"not a string of base64", event(`,"data_base64":7`)}, {"data is not a string", event(`,"datacontenttype":"text/plain","data":{}`)},
		{"control characters", event(`,"tenant":"a\u0000"`)}, {"neither a string", event(`,"tenant":{}`)}, {"neither a string", event(`,"tenant":1.5`)},
		{"an attribute's name", event(`,"Tenant":"x"`)}, {"not a time", event(`,"time":"x"`)},
	} {

		send(bad.body).problem(t, 400, bad.want)
	}
}
