package bus

import (
	"bytes"
	"encoding/json"
)

var (
	streamKey    = []byte(`"stream":`)
	seqKey       = []byte(`"seq":`)
	duplicateKey = []byte(`"duplicate":`)
	errorKey     = []byte(`"error":`)
)

// parsePubAck reads a confirmation such as
//
//	{"stream":"ORDERS","domain":"hub","seq":17,"duplicate": true}
//
// without decoding it. The keys cannot be part of a stream's name: a quote in a
// name is escaped, so the name holds \"seq\": and never "seq":. It reports
// false for whatever is not a confirmation.
func parsePubAck(data []byte) (seq uint64, duplicate, ok bool) {
	if len(data) == 0 || data[0] != '{' || !bytes.Contains(data, streamKey) || bytes.Contains(data, errorKey) {
		return 0, false, false
	}
	rest, found := after(data, seqKey)
	if !found {
		return 0, false, false
	}
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	if seq, ok = parseUint(rest[:n]); !ok {
		return 0, false, false
	}
	if v, found := after(data, duplicateKey); found {
		duplicate = bytes.HasPrefix(v, []byte("true"))
	}
	return seq, duplicate, true
}

// after returns what follows key and white space.
func after(data, key []byte) ([]byte, bool) {
	_, rest, found := bytes.Cut(data, key)
	return bytes.TrimLeft(rest, " \t\r\n"), found
}

// parseRefusal decodes an error, or returns nil if data is none.
func parseRefusal(data []byte) *APIError {
	var resp struct {
		Error *APIError `json:"error"`
	}
	if !bytes.Contains(data, errorKey) || json.Unmarshal(data, &resp) != nil {
		return nil
	}
	return resp.Error
}

func ackFrom(data []byte, stream string) bool {
	const head = `{"stream":"`
	if n := len(head) + len(stream); len(data) > n && data[n] == '"' && string(data[:len(head)]) == head && string(data[len(head):n]) == stream {
		return true
	}
	return ackStream(data) == stream // written otherwise, or another one's
}

func ackStream(data []byte) string {
	var ack struct {
		Stream string `json:"stream"`
	}
	if json.Unmarshal(data, &ack) != nil {
		return ""
	}
	return ack.Stream
}
