package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ergon-framework/ergon"
)

// Payload is a JSON value as expressions see it. A Transform's Codec decodes it.
type Payload struct {
	value any
	raw   json.RawMessage // the bytes, where they are what is sent
}

// encoded is an output that is JSON already. It is no []byte: the engine would
// take that for bytes of no particular type.
type encoded []byte

// codec reads and writes JSON, its numbers untouched.
type codec struct {
	keep bool // the payload's bytes
}

func (codec) ContentType() string           { return ergon.JSON.ContentType() }
func (codec) Accepts(mediaType string) bool { return ergon.JSON.Accepts(mediaType) }

func (codec) Marshal(v any) ([]byte, error) {
	switch v := v.(type) {
	case encoded:
		return v, nil
	case Payload:
		return v.raw, nil
	}
	return nil, fmt.Errorf("encode %T: a transform sends what it made itself", v)
}

func (c codec) Unmarshal(data []byte, v any) error {
	p, ok := v.(*Payload)
	if !ok {
		return fmt.Errorf("decode into %T: a transform reads a transform.Payload", v)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&p.value); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("there is nothing: a JSON value is expected")
		}
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the JSON value: a transaction is one value")
	}
	if c.keep {
		p.raw = bytes.Clone(data)
	}
	return nil
}
