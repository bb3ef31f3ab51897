package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/ergon-framework/ergon/policy"
)

// MarshalYAML makes a document of the whole configuration, defaults included,
// secrets hidden. Parse reads it back, but for the secrets.
func (c Config) MarshalYAML() (any, error) {
	c = c.redacted()
	return c.document(), nil
}

// MarshalJSON is MarshalYAML for JSON.
func (c Config) MarshalJSON() ([]byte, error) {
	document, err := yaml.Marshal(c)
	if err != nil {
		return nil, err
	}
	return yaml.YAMLToJSON(document)
}

// redacted is c without its secrets.
func (c Config) redacted() Config {
	c.Bus, c.Admin, c.Telemetry.OTLP = c.Bus.Redacted(), c.Admin.Redacted(), c.Telemetry.OTLP.Redacted()
	c.Services, c.Tasks = c.redactedServices(), c.redactedTasks()
	return c
}

func (c Config) document() any { return encode(reflect.ValueOf(c)) }

// encode is the way back from decode. What is zero is left out where zero is the
// default, which it is in all but the policies, the dead letters, the runner, and the
// numbers of services.
func encode(v reflect.Value) any {
	switch value := v.Interface().(type) {
	case policy.Consumer:
		value = value.Clone()
		value.Fetch.Extra, _ = escape(value.Fetch.Extra).(map[string]any)
		return value
	case policy.Producer:
		value = value.Clone()
		value.Fetch.Extra, _ = escape(value.Fetch.Extra).(map[string]any)
		return value
	case policy.Phase:
		return value
	case policy.Duration:
		return value.String()
	case time.Duration:
		return policy.Duration(value).String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		return encode(v.Elem())
	case reflect.String:
		return escape(v.String())
	case reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = encode(v.Index(i))
		}
		return out
	case reflect.Map:
		out := yaml.MapSlice{}
		entries := make(map[string]reflect.Value, v.Len())
		for _, k := range v.MapKeys() {
			entries[k.String()] = v.MapIndex(k)
		}
		for _, k := range slices.Sorted(maps.Keys(entries)) {
			out = append(out, yaml.MapItem{Key: k, Value: encode(entries[k])})
		}
		return out
	case reflect.Struct:
		whole := v.Type() == reflect.TypeFor[DeadLetters]() || v.Type() == reflect.TypeFor[Runner]()
		out := yaml.MapSlice{}
		for _, f := range fieldsOf(v.Type()) {
			field := v.FieldByIndex(f.index)
			if number := field.CanInt() || field.CanFloat(); whole || !field.IsZero() || number && isService(v.Type()) {
				out = append(out, yaml.MapItem{Key: f.key, Value: encode(field)})
			}
		}
		return out
	default:
		return v.Interface()
	}
}

// escape keeps text from being taken for a variable, all the way down.
func escape(value any) any {
	switch v := value.(type) {
	case string:
		return strings.ReplaceAll(v, "${", "$${")
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = escape(v[i])
		}
		return out
	case map[string]any:
		if v == nil {
			return v
		}
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = escape(v[k])
		}
		return out
	default:
		return value
	}
}
