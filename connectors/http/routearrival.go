package http

import (
	"errors"
	nethttp "net/http"
	"strings"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// arrival is a request that was let in, read and understood.
type arrival struct {
	tx    ergon.Raw
	keyed bool   // its caller may send it again, under the same ID
	owner string // the principal
	route *handler
}

// arrival makes a transaction of a request.
func (h *handler) arrival(r *nethttp.Request, body []byte, who caller, now time.Time) (*arrival, *problem) {
	e, err := readEvent(r.Header, body, h.route.Peer)
	if errors.Is(err, errMedia) {
		return nil, refuse(nethttp.StatusUnsupportedMediaType, err.Error())
	}
	var key requestKey
	if err == nil {
		key, err = keyOf(r.Header, e, who.signed)
	}
	var values []string // of the path's wildcards
	if err == nil {
		values, err = h.pathValues(r)
	}
	var metadata []string
	if err == nil {
		metadata, err = h.metadata(r.Header, e, values)
	}
	if err != nil {
		return nil, refuse(nethttp.StatusBadRequest, err.Error())
	}
	a := &arrival{keyed: key != requestKey{}, owner: who.principal, route: h}
	keep := h.route.Peer && e.id != ""
	env := ergon.Envelope{
		Source: h.source, Type: e.kind, Key: e.subject, ContentType: e.contentType,
		CausationID: e.causation, CorrelationID: e.correlation, CreatedAt: now.UTC(), Trace: trace(r.Header),
	}
	orDefault(&env.Type, h.route.Type)
	if !e.time.IsZero() {
		env.CreatedAt = e.time.UTC()
	}
	if len(metadata) > 0 {
		env.Metadata = ergon.NewMetadata(func(yield func(string, string) bool) {
			for i := 0; i < len(metadata); i += 2 {
				if !yield(metadata[i], metadata[i+1]) {
					return
				}
			}
		})
	}
	switch {
	case keep:
		env.ID, env.Source = e.id, e.source
		a.tx = ergon.Make(env, e.payload)
	case a.keyed:
		env.ID = keyedID(h.route.Name, values, who.principal, key)
		a.tx = ergon.Make(env, e.payload)
	default:
		a.tx = ergon.New(e.payload, func(made *ergon.Envelope) {
			env.ID = made.ID
			*made = env
		})
	}
	return a, nil
}

func (h *handler) pathValues(r *nethttp.Request) (values []string, err error) {
	for _, name := range h.wildcards {
		value := r.PathValue(name)
		if !cleanText(value) {
			return nil, errors.New("the path is not UTF-8, or has control characters in it")
		}
		values = append(values, value)
	}
	return values, nil
}

// metadata is names and values in turn.
func (h *handler) metadata(header nethttp.Header, e event, values []string) (metadata []string, err error) {
	unclean := ""
	add := func(name, value string) {
		if !cleanText(value) {
			unclean = name
		}
		metadata = append(metadata, name, value)
	}
	for i, name := range h.wildcards {
		add("path."+name, values[i])
	}
	if e.id != "" && !h.route.Peer { // it got an ID of ours
		add(semconv.CEID, e.id)
		add(semconv.CESource, e.source)
	}
	for _, a := range h.headers {
		if a.extension == "" {
			for _, value := range header[a.header] {
				add(a.name, value)
			}
			continue
		}
		value, there := e.extensions[a.extension]
		if e.extensions == nil { // then it is a header
			if value, err = attribute(header, a.header); err != nil {
				return nil, err
			}
			there = header[a.header] != nil
		}
		if there {
			add(a.name, value)
		}
	}
	if h.route.Peer {
		if err := peerMetadata(header, add); err != nil {
			return nil, err
		}
	}
	if unclean != "" {
		return nil, errors.New("header " + unclean + " is not UTF-8, or has control characters in it")
	}
	return metadata, nil
}

// peerMetadata is that of a transaction of another program of Ergon.
func peerMetadata(header nethttp.Header, add func(name, value string)) error {
	for name, values := range header {
		encoded, ok := strings.CutPrefix(name, headerMetaPrefix)
		if !ok {
			continue
		}
		name, err := unescape(strings.ToLower(encoded))
		if err != nil || !cleanText(name) {
			return errors.New("the name of an entry of metadata is malformed")
		}
		for _, value := range values {
			if value, err = unescape(value); err != nil {
				return errors.New("the value of an entry of metadata is malformed")
			}
			add(name, value)
		}
	}
	return nil
}
