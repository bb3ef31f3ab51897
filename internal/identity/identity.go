// Package identity derives what must be the same again when a transaction is
// processed again: the IDs of its outputs and the trace of a transaction that
// came without one. A change here changes identities on the wire: the golden
// test guards it.
package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// Output returns the ID of an output: a function of the input's identity, the
// task (with its application: another one's of the same name has outputs of its
// own, which the bus must not take for copies), the route and k, which tells the outputs of one route apart (SingleK,
// KeyK or PayloadK). SHA-256, because a payload may come from a stranger: two
// outputs that collide would be taken for one.
func Output(source, id, task, route, k string) string {
	var stack [256]byte
	b := stack[:0]
	for _, part := range [...]string{source, id, task, route, k} {
		// The length before each part keeps "ab"+"c" and "a"+"bc" apart.
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	var s [32]byte
	hex.Encode(s[:], sum[:16])
	return string(s[:])
}

// SingleK is the k of a task's only output.
const SingleK = "0"

// KeyK is the k of an output with a key.
func KeyK(key string) string { return "k" + key }

// PayloadK is the k of an output without a key: its bytes and how many equal
// ones came before it.
func PayloadK(payload []byte, occurrence int) string {
	sum := sha256.Sum256(payload)
	return "p" + hex.EncodeToString(sum[:16]) + "." + strconv.Itoa(occurrence)
}

// TraceIDOf is the trace ID of a transaction that came without one, as TraceParent has
// it.
func TraceIDOf(source, id string) [16]byte {
	sum := traceSum(source, id)
	return [16]byte(sum[:16])
}

func traceSum(source, id string) [sha256.Size]byte {
	var stack [256]byte
	b := binary.AppendUvarint(stack[:0], uint64(len(source)))
	b = append(b, source...)
	b = append(b, id...)
	sum := sha256.Sum256(b)
	sum[0] |= 1  // an all-zero trace ID is invalid
	sum[16] |= 1 // and so is an all-zero span ID
	return sum
}

// TraceParent returns a W3C traceparent for a transaction that came without
// one: the trace ID is a hash of the identity, so all deliveries share a trace.
// It is marked as not sampled; whoever records decides that.
func TraceParent(source, id string) string {
	sum := traceSum(source, id)
	var s [55]byte
	copy(s[:], "00-")
	hex.Encode(s[3:], sum[:16])
	s[35] = '-'
	hex.Encode(s[36:], sum[16:24])
	copy(s[52:], "-00")
	return string(s[:])
}

// ValidTraceParent reports whether a traceparent can be continued (W3C Trace
// Context §3.2.2). Longer ones of a later version can.
func ValidTraceParent(s string) bool {
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" {
		return false
	}
	if len(s) > 55 && (s[:2] == "00" || s[55] != '-') {
		return false
	}
	return isHex(s[:2]) && isHex(s[53:55]) &&
		isHex(s[3:35]) && !isZero(s[3:35]) && isHex(s[36:52]) && !isZero(s[36:52])
}

// TraceID returns the trace ID of a valid traceparent, or "".
func TraceID(traceParent string) string {
	if !ValidTraceParent(traceParent) {
		return ""
	}
	return traceParent[3:35]
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isZero(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}
