package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// DecodeConsumerJSON reads a policy strictly, over the defaults: a key that is
// left out keeps its default, an unknown key is an error that names the nearest
// known one, and so is a key that stands twice. The error is Faults and holds all
// of them, with the path of each. It does not validate, since more may be laid
// over the result; call Validate on what is final.
//
// A YAML file gets here by way of JSON (goccy/go-yaml has YAMLToJSON), and its
// line numbers by looking up the paths of the faults in its syntax tree.
func DecodeConsumerJSON(document []byte) (Consumer, error) {
	return DefaultConsumer().Overlay(document)
}

// DecodeProducerJSON is DecodeConsumerJSON for a producer's policy.
func DecodeProducerJSON(document []byte) (Producer, error) {
	return DefaultProducer().Overlay(document)
}

// Overlay is c with the keys that a JSON document names changed, such as one
// task's settings over those of all tasks. It is as strict as DecodeConsumerJSON.
// c itself stays as it is, and with an error the result is the zero Consumer.
func (c Consumer) Overlay(document []byte) (Consumer, error) {
	out := c.Clone()
	if err := decode(document, reflect.ValueOf(&out).Elem()); err != nil {
		return Consumer{}, err
	}
	return out, nil
}

// Overlay is p with the keys that a JSON document names changed; see
// Consumer.Overlay.
func (p Producer) Overlay(document []byte) (Producer, error) {
	out := p.Clone()
	if err := decode(document, reflect.ValueOf(&out).Elem()); err != nil {
		return Producer{}, err
	}
	return out, nil
}

// decode walks the document and the struct together. encoding/json alone would
// stop at the first error, say where in terms of Go types or not at all, take
// Max_Attempts for max_attempts, and let the second of two equal keys win.
func decode(document []byte, into reflect.Value) error {
	var raw json.RawMessage
	if err := json.Unmarshal(document, &raw); err != nil {
		return Faults{{Message: fmt.Sprintf("read policy: %v", err)}}
	}
	var d decoder
	d.object("", raw, into)
	return d.faults.Err()
}

type decoder struct{ faults Faults }

func (d *decoder) fail(path, format string, args ...any) {
	d.faults = append(d.faults, Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

// object decodes one JSON object, known to be well formed, into a struct.
func (d *decoder) object(path string, raw json.RawMessage, into reflect.Value) {
	if isNull(raw) {
		return
	}
	reader := json.NewDecoder(bytes.NewReader(raw))
	if first, err := reader.Token(); err != nil || first != json.Delim('{') {
		d.fail(path, "%.60s is not a group of keys: here belong %v", raw, keysOf(into.Type()))
		return
	}
	known := keysOf(into.Type())
	seen := make(map[string]bool, len(known))
	for reader.More() {
		token, err := reader.Token()
		if err != nil {
			d.fail(path, "%v", err)
			return
		}
		key, _ := token.(string) // the key of a well-formed object is a string
		var value json.RawMessage
		if err := reader.Decode(&value); err != nil {
			d.fail(join(path, key), "%v", err)
			return
		}
		i := slices.Index(known, key)
		switch {
		case i < 0:
			d.faults = append(d.faults, unknownKey(into.Type(), path, key))
		case seen[key]:
			d.fail(join(path, key), "the key stands twice")
		case into.Field(i).Kind() == reflect.Struct:
			d.object(join(path, key), value, into.Field(i))
		default:
			d.value(join(path, key), value, into.Field(i))
		}
		seen[key] = true
	}
}

// value decodes one field. It goes through a fresh value, so that a map replaces
// the one before it instead of being mixed with it.
func (d *decoder) value(path string, raw json.RawMessage, into reflect.Value) {
	if isNull(raw) {
		return
	}
	fresh := reflect.New(into.Type())
	err := json.Unmarshal(raw, fresh.Interface())
	if err == nil {
		into.Set(fresh.Elem())
		return
	}
	switch into.Interface().(type) {
	case bool:
		d.fail(path, "%.60s is not true or false", raw)
	case int, int64:
		d.fail(path, "%.60s is not a whole number", raw)
	case float64:
		d.fail(path, "%.60s is not a number", raw)
	case map[string]any:
		d.fail(path, "%.60s is not a group of keys", raw)
	case Mode:
		if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			err = fmt.Errorf("%.60s is not text", raw)
		}
		d.fail(path, "%v", err)
	default: // Duration says it itself
		d.fail(path, "%v", err)
	}
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }
