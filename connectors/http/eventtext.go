package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// cleanText says whether s is UTF-8 without control characters, which CloudEvents
// forbids in attributes and which have no place in metadata, logs and headers.
func cleanText(s string) bool {
	ascii := true
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f {
			return false
		} else if c > 0x7f {
			ascii = false
		}
	}
	if ascii {
		return true
	}
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 && c < 0xa0 })
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// attributeName says whether it is one of an attribute (CloudEvents 1.0 §3.1).
func attributeName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// unescape reads a header's value as the HTTP binding writes one (§3.1.3.2): it may be
// quoted, and is percent-encoded. What is not is refused, and not guessed.
func unescape(s string) (string, error) {
	if strings.HasPrefix(s, `"`) {
		var err error
		if s, err = unquote(s); err != nil {
			return "", err
		}
	}
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) || hexValue(s[i+1]) < 0 || hexValue(s[i+2]) < 0 {
			return "", errors.New("a % begins no escape: it is written %25")
		}
		b = append(b, byte(hexValue(s[i+1])<<4|hexValue(s[i+2])))
		i += 2
	}
	return string(b), nil
}

// unquote undoes a quoted-string of RFC 9110 §5.6.4.
func unquote(s string) (string, error) {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", errors.New("a quote is not closed")
	}
	s = s[1 : len(s)-1]
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return "", errors.New("a quote is closed before its end")
		case s[i] == '\\':
			if i++; i == len(s) {
				return "", errors.New("a quote is not closed")
			}
		}
		b = append(b, s[i])
	}
	return string(b), nil
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// jsonMembers are those of an object, which is all there is. None may be there twice.
func jsonMembers(body []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(body) { // which the decoder would mend in silence
		return nil, errors.New("the event is not UTF-8")
	}
	malformed := errors.New("the event is not an object in JSON")
	dec := json.NewDecoder(bytes.NewReader(body))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, malformed
	}
	members := make(map[string]json.RawMessage, 8)
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, malformed
		}
		if _, twice := members[name]; twice {
			return nil, errors.New("the event has a member twice")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, malformed
		}
		members[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, malformed
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed
	}
	return members, nil
}

// attributeText is an attribute's value, which is a string, a truth value or an integer.
// null is as if it were not there.
func attributeText(raw json.RawMessage) (string, error) {
	switch c := raw[0]; {
	case c == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case c == 'n':
		return "", nil
	case c == '{', c == '[', bytes.ContainsAny(raw, ".eE") && c != 't' && c != 'f':
		return "", fmt.Errorf("it is neither a string, a truth value nor an integer")
	}
	return string(raw), nil
}
