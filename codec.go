package ergon

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Codec turns payloads into bytes and back. It must be safe for concurrent use
// and must not keep the bytes it is given.
type Codec interface {
	// ContentType is the media type it writes.
	ContentType() string
	// Accepts reports whether it reads a media type, which is given in lower
	// case and without parameters.
	Accepts(mediaType string) bool
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

// JSON reads and writes application/json with encoding/json. It reads
// text/json and every +json type too, and what has no content type at all.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) ContentType() string { return "application/json" }

func (jsonCodec) Accepts(mediaType string) bool {
	switch mediaType {
	case "", "application/json", "text/json":
		return true
	}
	return strings.HasSuffix(mediaType, "+json")
}

func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return withoutValue(json.Unmarshal(data, v)) }

// withoutValue takes the number out of an error that it did not fit a field: it is part
// of the payload, and errors are shown where payloads are not.
func withoutValue(err error) error {
	wrong, ok := err.(*json.UnmarshalTypeError)
	if !ok {
		return err
	}
	what, _, _ := strings.Cut(wrong.Value, " ")
	where := "the value"
	if wrong.Field != "" {
		where = "field " + wrong.Field
	}
	return fmt.Errorf("json: %s is a %s that does not fit %s, up to byte %d", where, what, wrong.Type, wrong.Offset)
}

// Bytes passes bytes through untouched, whatever their content type: a task
// whose In is []byte, or an output that is one. Decoding copies.
var Bytes Codec = bytesCodec{}

type bytesCodec struct{}

func (bytesCodec) ContentType() string { return "application/octet-stream" }
func (bytesCodec) Accepts(string) bool { return true }

func (bytesCodec) Marshal(v any) ([]byte, error) {
	data, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("encode %T as bytes: only []byte is", v)
	}
	return data, nil
}

func (bytesCodec) Unmarshal(data []byte, v any) error {
	to, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("decode bytes into %T: only *[]byte takes them", v)
	}
	*to = slices.Clone(data)
	return nil
}

// MediaType returns a content type in lower case without its parameters:
// "application/json" for "Application/JSON; charset=utf-8".
func MediaType(contentType string) string {
	if contentType == "" || contentType == "application/json" {
		return contentType
	}
	base, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(base))
}
