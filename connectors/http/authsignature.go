package http

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	nethttp "net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of signatures, as net/http spells them.
const (
	headerWebhookID        = "Webhook-Id"
	headerWebhookTimestamp = "Webhook-Timestamp"
	headerWebhookSignature = "Webhook-Signature"
	headerHubSignature     = "X-Hub-Signature-256"
	headerHubDelivery      = "X-Github-Delivery"
)

// verifier is a Signature ready for use.
type verifier struct {
	kind, principal string
	secrets         [][]byte
	tolerance       time.Duration
}

func newVerifier(s Signature) (*verifier, error) {
	if len(s.Secrets) == 0 {
		return nil, errors.New("auth: a signature needs a secret")
	}
	if s.Kind != StandardWebhooks && s.Kind != GitHub {
		return nil, fmt.Errorf("auth: there is no signature %q: it is %s or %s", s.Kind, StandardWebhooks, GitHub)
	}
	if s.Tolerance < 0 {
		return nil, errors.New("auth: a signature's tolerance is negative: 0 is the default")
	}
	v := &verifier{kind: s.Kind, principal: s.Principal, tolerance: s.Tolerance}
	orDefault(&v.principal, s.Kind)
	orDefault(&v.tolerance, DefaultTolerance)
	if !cleanText(v.principal) {
		return nil, errors.New("auth: a signature's principal has control characters in it")
	}
	for i, secret := range s.Secrets {
		key := []byte(secret)
		if s.Kind == StandardWebhooks {
			var err error
			// The error of the decoder shows a part of the secret.
			if key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(string(secret), "whsec_")); err != nil {
				return nil, fmt.Errorf("auth: secret %d of the signature is not base64", i+1)
			}
		}
		if len(key) < minToken {
			return nil, fmt.Errorf("auth: secret %d of the signature is shorter than %d bytes", i+1, minToken)
		}
		v.secrets = append(v.secrets, key)
	}
	return v, nil
}

// present says whether a request claims to be signed at all: the body of one that does
// not is not read.
func (v *verifier) present(h nethttp.Header) bool {
	if v.kind == GitHub {
		return len(h[headerHubSignature]) == 1
	}
	return len(h[headerWebhookSignature]) > 0 && len(h[headerWebhookID]) == 1 && len(h[headerWebhookTimestamp]) == 1
}

// verify says whether the body is signed with one of the secrets.
func (v *verifier) verify(h nethttp.Header, body []byte, now time.Time) bool {
	if v.kind == GitHub {
		sum, ok := parseHubSignature(h.Get(headerHubSignature))
		return ok && v.fits([][]byte{sum}, nil, body)
	}
	id, timestamp := h[headerWebhookID][0], h[headerWebhookTimestamp][0]
	if id == "" || strings.Contains(id, ".") { // which ends it in what is signed
		return false
	}
	at, ok := parseTimestamp(timestamp)
	if !ok || now.Sub(at).Abs() > v.tolerance {
		return false
	}
	sums := parseWebhookSignatures(strings.Join(h[headerWebhookSignature], " "))
	return v.fits(sums, []byte(id+"."+timestamp+"."), body)
}

// fits compares each signature with that of each secret.
func (v *verifier) fits(sums [][]byte, prefix, body []byte) (ok bool) {
	for _, secret := range v.secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write(prefix)
		mac.Write(body)
		want := mac.Sum(nil)
		for _, sum := range sums {
			ok = hmac.Equal(sum, want) || ok
		}
	}
	return ok
}

// maxSignatures is how many signatures of one request are looked at.
const maxSignatures = 16

// parseWebhookSignatures reads "v1,<base64> v1,<base64>". What is of another version, or
// malformed, is no signature of ours.
func parseWebhookSignatures(s string) (sums [][]byte) {
	for part := range strings.FieldsSeq(s) {
		encoded, ok := strings.CutPrefix(part, "v1,")
		if !ok {
			continue
		}
		if sum, err := base64.StdEncoding.DecodeString(encoded); err == nil && len(sum) == sha256.Size {
			sums = append(sums, sum)
		}
		if len(sums) == maxSignatures {
			break
		}
	}
	return sums
}

// parseHubSignature reads "sha256=<hex>".
func parseHubSignature(s string) ([]byte, bool) {
	encoded, ok := strings.CutPrefix(s, "sha256=")
	if !ok {
		return nil, false
	}
	sum, err := hex.DecodeString(encoded)
	return sum, err == nil && len(sum) == sha256.Size
}

// parseTimestamp reads seconds since 1970, in digits alone: a signature over "+1" would
// be another one than over "1".
func parseTimestamp(s string) (time.Time, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(n), 0), true
}
