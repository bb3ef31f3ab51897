package http

import (
	"encoding/json"
	"fmt"
	nethttp "net/http"
	"strings"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/identity"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// The headers of CloudEvents in binary mode and of traces, as net/http spells them.
const (
	headerCEID          = "Ce-Id"
	headerCESource      = "Ce-Source"
	headerCEType        = "Ce-Type"
	headerCEVersion     = "Ce-Specversion"
	headerCETime        = "Ce-Time"
	headerCESubject     = "Ce-Subject"
	headerCECausation   = "Ce-Causationid"
	headerCECorrelation = "Ce-Correlationid"
	headerTraceParent   = "Traceparent"
	headerTraceState    = "Tracestate"
	headerContentType   = "Content-Type"
	headerMetaPrefix    = "Ergon-Meta-"

	structuredJSON = "application/cloudevents+json"
)

// maxAttribute is how long an attribute of an event may be, in bytes.
const maxAttribute = 4 << 10

// event is what a request says, before it is anybody's transaction.
type event struct {
	id, source, kind string // "" in a plain request
	subject          string
	causation        string
	correlation      string
	time             time.Time
	contentType      string
	payload          []byte
	// extensions are all attributes by their names, in structured mode.
	extensions map[string]string
}

// readEvent reads a request in whichever mode it is. The error is for the caller: it
// names what is wrong and shows no value.
func readEvent(h nethttp.Header, body []byte, peer bool) (event, error) {
	contentType, err := single(h, headerContentType)
	if err != nil {
		return event{}, err
	}
	if len(contentType) > 255 || !cleanText(contentType) {
		return event{}, fmt.Errorf("the content type is too long, or has control characters in it")
	}
	if len(contentType) >= len("application/cloudevents") && strings.EqualFold(contentType[:len("application/cloudevents")], "application/cloudevents") {
		if media := ergon.MediaType(contentType); media != structuredJSON {
			return event{}, fmt.Errorf("%w: of CloudEvents only single ones in binary mode or as %s are taken", errMedia, structuredJSON)
		}
		return readStructured(body, peer)
	}
	e := event{contentType: contentType, payload: body}
	if h[headerCEVersion] == nil && h[headerCEID] == nil && h[headerCESource] == nil && h[headerCEType] == nil {
		if err := e.optional(func(name string) (string, error) { return attribute(h, name) }); err != nil {
			return event{}, err
		}
		return e, nil
	}
	return e, e.attributes(func(name string) (string, error) { return attribute(h, name) }, peer)
}

// errMedia is what is told with 415.
var errMedia = fmt.Errorf("unsupported media type")

// attributes reads those of an event, which get gives by the names of headers. A
// transaction of a peer's need not have a type.
func (e *event) attributes(get func(string) (string, error), peer bool) error {
	version, err := get(headerCEVersion)
	if err != nil {
		return err
	}
	if version != semconv.CEVersion {
		return fmt.Errorf("specversion is not %s", semconv.CEVersion)
	}
	// Apart from their names, which go where the compiler loses sight of them: e would be
	// allocated, for every request.
	to := [...]*string{&e.id, &e.source, &e.kind}
	for i, name := range [...]string{headerCEID, headerCESource, headerCEType} {
		if *to[i], err = get(name); err != nil {
			return err
		}
		if *to[i] == "" && !(peer && name == headerCEType) {
			return fmt.Errorf("%s is missing, which every event has", strings.ToLower(name))
		}
	}
	return e.optional(get)
}

// optional are the attributes that plain requests may have as well.
func (e *event) optional(get func(string) (string, error)) (err error) {
	if e.subject, err = get(headerCESubject); err != nil {
		return err
	}
	if e.causation, err = get(headerCECausation); err != nil {
		return err
	}
	if e.correlation, err = get(headerCECorrelation); err != nil {
		return err
	}
	at, err := get(headerCETime)
	if err != nil || at == "" {
		return err
	}
	if e.time, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return fmt.Errorf("ce-time is not a time of RFC 3339")
	}
	return nil
}

// single is a header that may be there once: of two, another program on the way may have
// looked at the other.
func single(h nethttp.Header, name string) (string, error) {
	switch values := h[name]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", fmt.Errorf("%s is there more than once", strings.ToLower(name))
}

// attribute is an attribute of an event in binary mode.
func attribute(h nethttp.Header, name string) (string, error) {
	value, err := single(h, name)
	if err != nil || value == "" {
		return "", err
	}
	if value, err = unescape(value); err != nil {
		return "", fmt.Errorf("%s: %w", strings.ToLower(name), err)
	}
	return value, checkAttribute(name, value)
}

func checkAttribute(name, value string) error {
	if len(value) > maxAttribute || !cleanText(value) {
		return fmt.Errorf("%s is longer than 4 KiB, is not UTF-8, or has control characters in it", strings.ToLower(name))
	}
	return nil
}

// readStructured reads an event in structured mode. It goes by tokens: a struct would
// take "ID" for "id", and the last of two.
func readStructured(body []byte, peer bool) (e event, err error) {
	members, err := jsonMembers(body)
	if err != nil {
		return event{}, err
	}
	data, hasData := members["data"]
	encoded, hasEncoded := members["data_base64"]
	delete(members, "data")
	delete(members, "data_base64")
	texts := make(map[string]string, len(members))
	for name, raw := range members {
		if !attributeName(name) {
			return event{}, fmt.Errorf("an attribute's name is not of lower case letters and digits alone")
		}
		text, err := attributeText(raw)
		if err == nil {
			err = checkAttribute(name, text)
		}
		if err != nil {
			return event{}, fmt.Errorf("attribute %s: %w", name, err)
		}
		texts[name] = text
	}
	get := func(header string) (string, error) {
		return texts[strings.ToLower(header[len(semconv.CEPrefix):])], nil
	}
	if err := e.attributes(get, peer); err != nil {
		return event{}, err
	}
	if e.contentType = texts["datacontenttype"]; e.contentType == "" {
		e.contentType = "application/json"
	}
	e.extensions = texts
	switch {
	case hasData && hasEncoded:
		return event{}, fmt.Errorf("data and data_base64 are both there")
	case hasEncoded:
		if err := json.Unmarshal(encoded, &e.payload); err != nil { // as a []byte, which is base64
			return event{}, fmt.Errorf("data_base64 is not a string of base64")
		}
	case hasData:
		e.payload = data
		var text string
		// What is no JSON stands in JSON as a string of itself.
		if !ergon.JSON.Accepts(ergon.MediaType(e.contentType)) {
			if err := json.Unmarshal(data, &text); err != nil {
				return event{}, fmt.Errorf("data is not a string, and datacontenttype not JSON")
			}
			e.payload = []byte(text)
		}
	}
	return e, nil
}

// trace is what a request continues. A trace state means nothing without its parent.
func trace(h nethttp.Header) ergon.Trace {
	parent := h[headerTraceParent]
	if len(parent) != 1 || !identity.ValidTraceParent(parent[0]) {
		return ergon.Trace{}
	}
	state := strings.Join(h[headerTraceState], ",")
	if len(state) > maxAttribute || !printableASCII(state) {
		state = ""
	}
	return ergon.Trace{Parent: parent[0], State: state}
}
