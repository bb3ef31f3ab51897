package kv

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/ergon-framework/ergon"
)

// Option is a choice of New.
type Option func(*options)

type options struct{ codec ergon.Codec }

// Codec has c turn values into bytes and back, instead of [ergon.JSON]. []byte and string
// are stored as they are, whatever c is.
func Codec(c ergon.Codec) Option { return func(o *options) { o.codec = c } }

// codec turns values of one type into bytes and back. What it returns is nobody else's.
type codec[V any] struct {
	encode func(V) ([]byte, error)
	decode func([]byte) (V, error)
	// shared: a decoded value can be given to everybody, for nobody can change it in
	// somebody else's hands.
	shared bool
}

func newCodec[V any](c ergon.Codec) codec[V] {
	if c == nil {
		c = ergon.JSON
	}
	made := codec[V]{
		encode: func(v V) ([]byte, error) { return c.Marshal(v) },
		decode: func(data []byte) (v V, err error) { err = c.Unmarshal(data, &v); return v, err },
		shared: flat(reflect.TypeFor[V]()),
	}
	var v V
	switch any(v).(type) {
	case []byte:
		made.encode = func(v V) ([]byte, error) { return slices.Clone(any(v).([]byte)), nil }
		made.decode = func(data []byte) (V, error) { return any(slices.Clone(data)).(V), nil }
	case string:
		made.encode = func(v V) ([]byte, error) { return []byte(any(v).(string)), nil }
		made.decode = func(data []byte) (V, error) { return any(string(data)).(V), nil }
	}
	return made
}

// flat reports whether a copy of a value shares nothing with it that could be changed.
func flat(t reflect.Type) bool {
	if t == reflect.TypeFor[time.Time]() {
		return true // its location is never written to
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	case reflect.Array:
		return flat(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !flat(t.Field(i).Type) {
				return false
			}
		}
	}
	return true
}

// value is a record's, decoded.
func (s *Store[V]) value(r *Record) (V, error) {
	if s.codec.shared {
		if known := r.decoded.Load(); known != nil {
			return (*known).(V), nil
		}
	}
	v, err := s.codec.decode(r.Value)
	if err != nil {
		var none V
		return none, fmt.Errorf("%w: key %q of %s into %T: %w", ErrDecode, r.Key, s.backend, none, err)
	}
	if s.codec.shared {
		known := any(v)
		r.decoded.Store(&known)
	}
	return v, nil
}
