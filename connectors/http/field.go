package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/ergon-framework/ergon"
)

// A field is something of a transaction that a template may name.
type field struct {
	name string
	// envelope reads it, for what is not metadata or payload.
	envelope func(ergon.Raw) string
	meta     string   // a name in the metadata
	path     []string // into the payload
}

// parseField reads what stands between the braces.
func parseField(name string) (*field, error) {
	f := &field{name: name}
	switch name {
	case "id":
		f.envelope = ergon.Raw.ID
	case "source":
		f.envelope = ergon.Raw.Source
	case "type":
		f.envelope = ergon.Raw.Type
	case "key":
		f.envelope = ergon.Raw.Key
	case "correlation_id":
		f.envelope = ergon.Raw.CorrelationID
	case "causation_id":
		f.envelope = ergon.Raw.CausationID
	default:
		if meta, ok := strings.CutPrefix(name, "meta."); ok && meta != "" {
			f.meta = meta
			return f, nil
		}
		path, ok := strings.CutPrefix(name, "payload.")
		if !ok || strings.Contains("."+path+".", "..") {
			return nil, fmt.Errorf("{%.40s} is no field: there are id, source, type, key, correlation_id, causation_id, "+
				"meta.NAME and payload.PATH", name)
		}
		f.path = strings.Split(path, ".")
	}
	return f, nil
}

// fields reads the fields of one transaction. The payload is parsed once, when the
// first template asks for it.
type fields struct {
	tx      ergon.Raw
	parsed  bool
	payload any
	err     error
}

// value is a field's text. Without one the transaction can't be sent, now or later:
// the error is BUSINESS, and says where the field was to stand.
func (s *fields) value(f *field, where string) (string, error) {
	switch {
	case f.envelope != nil:
		if v := f.envelope(s.tx); v != "" {
			return v, nil
		}
		return "", ergon.Business("%s: the transaction has no %s", where, f.name)
	case f.meta != "":
		if v := s.tx.Metadata().Get(f.meta); v != "" {
			return v, nil
		}
		if len(s.tx.Metadata().Values(f.meta)) == 0 {
			return "", ergon.Business("%s: the transaction has no %s", where, f.name)
		}
		return "", nil
	}
	if !s.parsed {
		s.payload, s.err = parsePayload(s.tx.Payload())
		s.parsed = true
	}
	if s.err != nil {
		return "", ergon.Business("%s: {%s} needs a payload in JSON, and this one is none: %w", where, f.name, s.err)
	}
	v, err := follow(s.payload, f.path)
	if err != nil {
		return "", ergon.Business("%s: %s %w", where, f.name, err)
	}
	return v, nil
}

// parsePayload keeps numbers as they are written: an ID of 20 digits is no float.
func parsePayload(payload []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// follow is the text of what the path leads to. A name that is a number counts into
// an array.
func follow(v any, path []string) (string, error) {
	for _, name := range path {
		switch in := v.(type) {
		case map[string]any:
			v = in[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(in) {
				return "", fmt.Errorf("is not in the payload")
			}
			v = in[i]
		default:
			return "", fmt.Errorf("is not in the payload")
		}
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	case nil:
		return "", fmt.Errorf("is not in the payload")
	}
	return "", fmt.Errorf("is an object or an array: name a value in it")
}
