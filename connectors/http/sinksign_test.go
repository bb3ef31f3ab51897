package http_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// verify checks a request as the Standard Webhooks specification has it. It shares
// nothing with the sink.
func verify(q seenRequest, secret string) error {
	id, timestamp := q.Header.Get("webhook-id"), q.Header.Get("webhook-timestamp")
	if id == "" || strings.Contains(id, ".") {
		return fmt.Errorf("webhook-id is %q", id)
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return fmt.Errorf("webhook-timestamp is %q", timestamp)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, q.Body)
	for signature := range strings.SplitSeq(q.Header.Get("webhook-signature"), " ") {
		version, sum, _ := strings.Cut(signature, ",")
		if got, err := base64.StdEncoding.DecodeString(sum); err == nil && version == "v1" && hmac.Equal(got, mac.Sum(nil)) {
			return nil
		}
	}
	return fmt.Errorf("no signature fits: %q", q.Header.Get("webhook-signature"))
}

func TestSinkSigns(t *testing.T) {
	old, next := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 64))
	r := newReceiver(t, nil)
	for i, o := range []http.SinkOptions{
		{SigningSecrets: []string{old}},
		{SigningSecrets: []string{next, old}},
		{SigningSecrets: []string{old, next}, CloudEvents: "structured"},
		{SigningSecrets: []string{old}, Method: "DELETE"},
	} {
		o.URL = r.URL
		require.NoError(t, send(t, newSink(t, o), order(ergon.WithID("stream.a:7"))))
		q := r.requests()[i]
		require.Equal(t, "stream%2Ea:7", q.Header.Get("webhook-id"))
		for _, secret := range o.SigningSecrets {
			require.NoError(t, verify(q, secret), i)
		}
		q.Body += " "
		require.Error(t, verify(q, old))
		q = r.requests()[i]
		require.Error(t, verify(q, "whsec_"+strings.Repeat("QUFB", 8)))
		q.Header = q.Header.Clone()
		q.Header.Set("webhook-timestamp", fmt.Sprint(time.Now().Unix()+1))
		require.Error(t, verify(q, old))
	}
}
