package policy

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that a policy file can hold: text such as "250ms"
// or "1m30s", or a number of seconds such as 0.25 (R086). It is never negative
// when it was decoded, and it survives encoding and decoding to the nanosecond.
type Duration time.Duration

var (
	_ json.Unmarshaler         = (*Duration)(nil)
	_ encoding.TextUnmarshaler = (*Duration)(nil)
	_ encoding.TextMarshaler   = Duration(0)
)

// The two written forms. They are matched before they are parsed so that a text
// of the right form which still fails to parse can be told apart: it is too long.
var (
	durationText = regexp.MustCompile(`^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$`)
	secondsText  = regexp.MustCompile(`^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$`)
)

// ParseDuration reads text such as "250ms" or "0.25", which is seconds. It
// refuses what is negative, what is not finite, and what is longer than a
// time.Duration can be (292 years).
func ParseDuration(text string) (Duration, error) {
	text = strings.TrimSpace(text)
	form := text
	switch {
	case durationText.MatchString(text):
	case secondsText.MatchString(text):
		// Seconds go through the decimal parser as well, not through a float64:
		// 0.1 s is 100 ms to the nanosecond, whatever its nearest float is.
		if strings.ContainsAny(text, "eE") {
			f, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return 0, tooLong(text)
			}
			form = strconv.FormatFloat(f, 'f', -1, 64)
		}
		form += "s"
	default:
		return 0, fmt.Errorf("%.60q is not a duration: write 250ms, 1m30s or a number of seconds", text)
	}
	negative := strings.HasPrefix(form, "-")
	d, err := time.ParseDuration(strings.TrimPrefix(form, "-"))
	switch {
	case err != nil:
		return 0, tooLong(text)
	case negative && d != 0:
		return 0, fmt.Errorf("%.60q is negative: a duration is zero or more", text)
	}
	return Duration(d), nil
}

func tooLong(text string) error {
	return fmt.Errorf("%.60q is too long: the longest duration is 292 years", text)
}

// D is the duration as the standard library's type.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String writes the duration as time.Duration does, without the zero units at
// the end: "5m" and not "5m0s". ParseDuration reads it back to the same value.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes the form of String, in JSON too.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDuration reads; environment variables arrive so.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// UnmarshalJSON reads a string or a number of seconds. A null changes nothing,
// as everywhere in encoding/json.
func (d *Duration) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	if string(data) == "null" {
		return nil
	}
	text := string(data)
	if len(data) > 0 && data[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	return d.UnmarshalText([]byte(text))
}

// MarshalYAML writes the form of String. The method shapes for YAML are those
// that goccy/go-yaml and go.yaml.in/yaml both know and that need no import.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }

// UnmarshalYAML reads a string or a number of seconds. A null changes nothing.
func (d *Duration) UnmarshalYAML(unmarshal func(any) error) error {
	var value any
	if err := unmarshal(&value); err != nil {
		return err
	}
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		return d.UnmarshalText([]byte(v))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%v is not a duration: a number of seconds is finite", v)
		}
		return d.UnmarshalText([]byte(strconv.FormatFloat(v, 'f', -1, 64)))
	default: // the integer types, and what ParseDuration then refuses
		return d.UnmarshalText(fmt.Append(nil, v))
	}
}
