package http

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// The headers of Standard Webhooks.
const (
	webhookID        = "Webhook-Id"
	webhookTimestamp = "Webhook-Timestamp"
	webhookSignature = "Webhook-Signature"
)

// signer signs as Standard Webhooks has it: HMAC-SHA256 of "id.timestamp.body", by
// each of its keys, so that a receiver may change to a new one.
type signer struct{ keys [][]byte }

const secretPrefix = "whsec_"

// newSigner reads secrets: "whsec_" and 24 to 64 bytes in base64.
func newSigner(secrets []string) (*signer, error) {
	s := &signer{}
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, secretPrefix))
		if err != nil { // which would show where, and with it a part of the secret
			return nil, errors.New(`a secret is not in base64: it is "whsec_" and the base64 of 24 to 64 random bytes`)
		}
		if len(key) < 24 || len(key) > 64 {
			return nil, errors.New(`a secret has too few or too many bytes: it is "whsec_" and the base64 of 24 to 64 random bytes`)
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// sign returns the values of the three headers. A full stop separates what is
// signed, so none may stand in the ID.
func (s *signer) sign(id string, at time.Time, body []byte) (msgID, timestamp, signature string) {
	msgID = strings.ReplaceAll(id, ".", "%2E")
	timestamp = strconv.FormatInt(at.Unix(), 10)
	var b strings.Builder
	for i, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(msgID + "." + timestamp + "."))
		mac.Write(body)
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("v1,")
		b.WriteString(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return msgID, timestamp, b.String()
}
