package engine

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/ergon-framework/ergon"
)

// output is one encoded output before it has an identity.
type output struct {
	route, key, contentType string
	metadata                ergon.Metadata
	payload                 []byte
	single                  bool // the task's only output
}

// decodeError marks that the payload, not the task, is at fault.
type decodeError struct{ err error }

// undecodable is the error of a payload that no attempt would decode better.
func undecodable(err error) error {
	return &ergon.Error{Category: ergon.CategoryBusiness, Err: &decodeError{err}}
}

func (e *decodeError) Error() string { return e.err.Error() }
func (e *decodeError) Unwrap() error { return e.err }

// decoder returns what makes a typed transaction of a raw one. Each call
// decodes anew: what one attempt does to a map, the next does not see.
func decoder[In any](codecs []ergon.Codec) func(ergon.Raw) (ergon.Transaction[In], error) {
	asBytes := reflect.TypeFor[In]() == reflect.TypeFor[[]byte]()
	return func(raw ergon.Raw) (ergon.Transaction[In], error) {
		var in In
		codec := ergon.Bytes
		if !asBytes {
			var err error
			if codec, err = codecFor(codecs, raw.ContentType()); err != nil {
				return ergon.Transaction[In]{}, undecodable(err)
			}
		}
		if err := unmarshal(codec, raw.Payload(), &in); err != nil {
			return ergon.Transaction[In]{}, undecodable(fmt.Errorf("decode %d bytes of %s into %v: %w",
				len(raw.Payload()), contentTypeName(raw.ContentType()), reflect.TypeFor[In](), err))
		}
		return ergon.With(raw, in), nil
	}
}

// unmarshal contains the panics of a codec or of a type's own UnmarshalJSON:
// bytes that make it panic are bytes that it can't decode.
func unmarshal(codec ergon.Codec, data []byte, v any) (err error) {
	defer ergon.Recover(&err)
	return codec.Unmarshal(data, v)
}

func codecFor(codecs []ergon.Codec, contentType string) (ergon.Codec, error) {
	media := ergon.MediaType(contentType)
	for _, c := range codecs {
		if c.Accepts(media) {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no codec reads content type %q: publish JSON as application/json, or register the task with engine.Codecs(…)", contentType)
}

func contentTypeName(contentType string) string {
	if contentType == "" {
		return "JSON"
	}
	return contentType
}

// encode makes outputs of the task's result, appended to buf. It happens once, so
// every attempt of produce sends the same bytes.
func (t *Task) encode(result any, buf []output) ([]output, error) {
	switch {
	case t.silent:
		return nil, nil
	case t.many:
		all, _ := result.(ergon.Outputs)
		for i, o := range all {
			out, err := encode(t.codec, o.Payload)
			if err != nil {
				return nil, fmt.Errorf("encode output %d for route %q: %w", i+1, o.Route, err)
			}
			out.route, out.key, out.metadata = o.Route, o.Key, o.Metadata
			buf = append(buf, out)
		}
		return buf, nil
	case isNil(result):
		return nil, nil
	}
	out, err := encode(t.codec, result)
	if err != nil {
		return nil, fmt.Errorf("encode output: %w", err)
	}
	out.single = true
	return append(buf, out), nil
}

// encode copies a []byte: the task may keep its slice and change it while the
// first one is on its way.
func encode(codec ergon.Codec, v any) (out output, err error) {
	defer ergon.Recover(&err)
	if b, ok := v.([]byte); ok {
		return output{payload: slices.Clone(b), contentType: ergon.Bytes.ContentType()}, nil
	}
	data, err := codec.Marshal(v)
	return output{payload: data, contentType: codec.ContentType()}, err
}

// isNil reports a nil pointer (or no value at all), which sends nothing. A nil
// slice or map is a value like any other.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}
