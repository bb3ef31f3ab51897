package http_test

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// A key that is taken is one that a header can carry, and is the same in quotes.
func FuzzIdempotencyKey(f *testing.F) {
	for _, s := range []string{"", "k", `"k"`, `"a b"`, `"a\"b"`, `"`, `"a`, "a b", "a,b", "é", "\x00", `"\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := http.ParseIdempotencyKey(s)
		if err != nil {
			require.Empty(t, key)
			return
		}
		require.True(t, key != "" && len(key) <= 255)
		for i := range len(key) {
			require.True(t, key[i] >= ' ' && key[i] < 0x7f)
		}
		again, err := http.ParseIdempotencyKey(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`)
		require.NoError(t, err)
		require.Equal(t, key, again)
	})
}

// What is taken for a signature has the length of one; there are not many.
func FuzzSignatures(f *testing.F) {
	for _, s := range []string{
		"", "v1,", "v1,AAAA", webhookSignature(webhookSecret, "a", "1", "x"), "v1a,x v1,y", "sha256=", "sha256=00", "sha1=00", "1", "+1", "-1", "99999999999999999999",
		"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", strings.Repeat(webhookSignature(webhookSecret, "a", "1", "x")+" ", 20),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sums := http.ParseWebhookSignatures(s)
		require.LessOrEqual(t, len(sums), 16)
		for _, sum := range sums {
			require.Len(t, sum, sha256.Size)
		}
		if sum, ok := http.ParseHubSignature(s); ok {
			require.Len(t, sum, sha256.Size)
		}
		if at, ok := http.ParseTimestamp(s); ok {
			require.GreaterOrEqual(t, at.Unix(), int64(0))
			require.Equal(t, strings.Trim(s, "0123456789"), "")
		}
	})
}

// An attribute that was escaped is the same again, and nothing else ends the program.
func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"", "a", "%", "%2", "%zz", "%41", `"a"`, `"a\"b"`, `"`, `a"b`, "é", "\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = http.Unescape(s)
		again, err := http.Unescape(escape(s))
		require.NoError(t, err)
		require.Equal(t, s, again)
	})
}

// An event that is taken has an identity that can be shown, and a payload that is what its
// content type says; encoding/json sees the same event.
func FuzzStructured(f *testing.F) {
	for _, s := range []string{
		"", "{}", "[]", "null", `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`, `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":[1,2]}}`,
		`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"x","datacontenttype":"text/plain"}`, `{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AA=="}`,
		`{"specversion":"1.0","id":"1","id":"2"}`, `{"specversion":"1.0","id":"\ud800","source":"/s","type":"t"}`, `{"specversion":"1.0","id":"1","source":"/s","type":"t","x":1e3}`,
		`{"specversion":"1.0","id":"1","source":"/s","type":"t","x":null,"y":true}x`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		id, source, contentType, payload, err := http.ReadStructured(body)
		if err != nil {
			require.True(t, http.CleanText(err.Error()), "it goes to the caller")
			return
		}
		require.True(t, id != "" && source != "" && http.CleanText(id) && http.CleanText(source))
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(body, &members))
		var want string
		if json.Unmarshal(members["id"], &want) == nil {
			require.Equal(t, want, id)
		}
		if _, encoded := members["data_base64"]; !encoded && payload != nil && ergon.JSON.Accepts(ergon.MediaType(contentType)) {
			require.True(t, json.Valid(payload))
		}
	})
}
