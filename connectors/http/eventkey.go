package http

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	nethttp "net/http"
	"strings"
)

const headerIdempotencyKey = "Idempotency-Key"

// maxKey is how long an idempotency key may be.
const maxKey = 255

// requestKey is how a caller names its request. The zero value is none.
type requestKey struct{ kind, a, b string }

// keyOf is the request's key. What is signed goes before what is not: whoever repeats a
// signed request could put another key to it.
func keyOf(h nethttp.Header, e event, signed string) (requestKey, error) {
	switch signed {
	case StandardWebhooks:
		id := h[headerWebhookID][0]
		if !cleanText(id) || len(id) > maxAttribute {
			return requestKey{}, errors.New("webhook-id is too long, or has control characters in it")
		}
		return requestKey{"webhook-id", id, ""}, nil
	case GitHub:
		// Not signed, but what GitHub names a delivery by.
		if id, err := single(h, headerHubDelivery); err != nil || len(id) > maxKey || !cleanText(id) {
			return requestKey{}, errors.New("x-github-delivery is there more than once, is too long, or has control characters in it")
		} else if id != "" {
			return requestKey{"github-delivery", id, ""}, nil
		}
	}
	value, err := single(h, headerIdempotencyKey)
	switch {
	case err != nil:
		return requestKey{}, err
	case h[headerIdempotencyKey] != nil:
		key, err := parseIdempotencyKey(value)
		return requestKey{"idempotency-key", key, ""}, err
	case e.id != "":
		return requestKey{"cloudevent", e.source, e.id}, nil
	}
	return requestKey{}, nil
}

// parseIdempotencyKey reads the header Idempotency-Key: a string as RFC 9651 has it, in
// quotes, or the key as it is, which most clients send.
func parseIdempotencyKey(s string) (string, error) {
	if strings.HasPrefix(s, `"`) {
		var err error
		if s, err = unquote(s); err != nil {
			return "", errors.New("idempotency-key: its quote is not closed")
		}
	} else if strings.ContainsAny(s, " ,;\"") {
		return "", errors.New("idempotency-key has spaces, commas, semicolons or quotes in it: put it in quotes")
	}
	if s == "" || len(s) > maxKey || !printableASCII(s) {
		return "", errors.New("idempotency-key is not of 1 to 255 printable ASCII characters")
	}
	return s, nil
}

// keyedID is the ID of what has a key: a function of the route, what its path's wildcards
// stand for, the principal and the key. Its first part says which function. SHA-256,
// because keys come from strangers.
func keyedID(route string, wildcards []string, principal string, key requestKey) string {
	var stack [512]byte
	b := stack[:0]
	part := func(s string) {
		// The length before each part keeps "ab"+"c" and "a"+"bc" apart.
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	part("ergon http 1")
	part(route)
	b = binary.AppendUvarint(b, uint64(len(wildcards)))
	for _, w := range wildcards {
		part(w)
	}
	part(principal)
	part(key.kind)
	part(key.a)
	part(key.b)
	sum := sha256.Sum256(b)
	var s [3 + 32]byte
	copy(s[:], "h1-")
	hex.Encode(s[3:], sum[:16])
	return string(s[:])
}

// bodyHash is what two requests with one key are compared by: what was sent, and as what.
func bodyHash(contentType string, payload []byte) string {
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, uint64(len(contentType))) // a hash takes all
	h.Write([]byte(contentType))
	h.Write(payload)
	return hex.EncodeToString(h.Sum(nil))
}
