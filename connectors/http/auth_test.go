package http_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/connectors/http"
)

// A request without the right token gets 401, and no word on what is wrong with it. What
// is in its body is not looked at.
func TestBearer(t *testing.T) {
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/in", MaxBody: 10, Auth: http.Auth{
		Bearer: []http.Bearer{{Principal: "alice", Token: token}, {Principal: "alice", Token: "0123456789abcdef-next"}},
	}})
	var refusals []string
	for _, headers := range [][]string{
		nil, {"Authorization", ""}, {"Authorization", "Bearer"}, {"Authorization", "Bearer " + token + "x"},
		{"Authorization", "Bearer " + token[:len(token)-1]}, {"Authorization", "Basic " + token}, {"Authorization", token},
		{"Authorization", "Bearer " + token, "Authorization", "Bearer " + token},
	} {
		resp := r.post("/in", strings.Repeat("x", 11), headers...)
		resp.problem(t, 401, "")
		require.Equal(t, "Bearer", resp.Header.Get("WWW-Authenticate"))
		refusals = append(refusals, resp.body)
	}
	for _, body := range refusals {
		require.Equal(t, refusals[0], body, "no hints")
	}
	require.Equal(t, 202, r.post("/in", "x", "Authorization", "Bearer "+token).StatusCode)
	require.Equal(t, 202, r.post("/in", "x", "authorization", "bEARER  0123456789abcdef-next").StatusCode)
	require.Len(t, s.stored(), 2)
}

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func webhookSignature(secret, id, timestamp, body string) string {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Standard Webhooks: id, time and body are signed, with one of the secrets, and not long
// ago. Its id is the request's key.
func TestStandardWebhooks(t *testing.T) {
	const next = "c2VjcmV0LXNlY3JldC1uZXh0LXNlY3JldA=="
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/hooks", Auth: http.Auth{Signature: &http.Signature{
		Kind: http.StandardWebhooks, Principal: "shop", Secrets: []http.Secret{webhookSecret, next}, Tolerance: time.Minute,
	}}})
	at := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	now := at(0)
	good := webhookSignature(webhookSecret, "msg_1", now, "x")
	send := func(id, timestamp, body string, signatures ...string) response {
		headers := []string{"webhook-id", id, "webhook-timestamp", timestamp}
		for _, s := range signatures {
			headers = append(headers, "webhook-signature", s)
		}
		return r.post("/hooks", body, headers...)
	}
	one := send("msg_1", now, "x", good)
	require.Equal(t, 202, one.StatusCode, one.body)
	again := r.post("/hooks", "x", "webhook-id", "msg_1", "webhook-timestamp", now, "webhook-signature", good, "Idempotency-Key", "another")
	require.Equal(t, one.transaction(t), again.transaction(t), "who repeats a signed request can't make it another one")
	require.Len(t, s.stored(), 1)

	for _, resp := range []response{
		send("msg_2", now, "x", "v1,"+strings.Repeat("A", 43)+"= "+webhookSignature(next, "msg_2", now, "x")),
		send("msg_3", now, "x", "v1a,abc", webhookSignature(webhookSecret, "msg_3", now, "x")),
		send("msg_4", at(-50*time.Second), "x", webhookSignature(webhookSecret, "msg_4", at(-50*time.Second), "x")),
	} {
		require.Equal(t, 202, resp.StatusCode, resp.body)
	}
	old, ahead := at(-2*time.Minute), at(2*time.Minute)
	for what, resp := range map[string]response{
		"body":      send("msg_1", now, "y", good),
		"id":        send("msg_9", now, "x", good),
		"time":      send("msg_1", at(time.Second), "x", good),
		"old":       send("msg_1", old, "x", webhookSignature(webhookSecret, "msg_1", old, "x")),
		"ahead":     send("msg_1", ahead, "x", webhookSignature(webhookSecret, "msg_1", ahead, "x")),
		"dot":       send("a.1", now, "x", webhookSignature(webhookSecret, "a.1", now, "x")),
		"sign":      send("msg_1", "+"+now, "x", webhookSignature(webhookSecret, "msg_1", "+"+now, "x")),
		"no id":     send("", now, "x", webhookSignature(webhookSecret, "", now, "x")),
		"version":   send("msg_1", now, "x", "v2"+good[2:]),
		"unsigned":  send("msg_1", now, "x"),
		"nothing":   r.post("/hooks", "x"),
		"two ids":   r.post("/hooks", "x", "webhook-id", "msg_1", "webhook-id", "msg_2", "webhook-timestamp", now, "webhook-signature", good),
		"no secret": send("msg_1", now, "x", webhookSignature("", "msg_1", now, "x")),
	} {
		require.Equal(t, 401, resp.StatusCode, what)
		resp.problem(t, 401, "")
	}
	require.Len(t, s.stored(), 4)
}

// GitHub signs the body alone, and names a delivery without signing that.
func TestGitHubSignature(t *testing.T) {
	const secret = "It's a Secret to Everybody"
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/hooks", Headers: []string{"X-GitHub-Event"}, Auth: http.Auth{
		Signature: &http.Signature{Kind: http.GitHub, Secrets: []http.Secret{"another secret, of before", secret}},
	}})
	sign := func(body string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		return "sha256=" + hex.EncodeToString(mac.Sum(nil))
	}
	// The example of GitHub's documentation.
	require.Equal(t, "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", sign("Hello, World!"))
	send := func(body, signature, delivery string) response {
		return r.post("/hooks", body, "X-Hub-Signature-256", signature, "X-GitHub-Delivery", delivery, "X-GitHub-Event", "push")
	}
	one := send("Hello, World!", sign("Hello, World!"), "d1")
	require.Equal(t, 202, one.StatusCode, one.body)
	require.Equal(t, one.transaction(t), send("Hello, World!", sign("Hello, World!"), "d1").transaction(t))
	require.Len(t, s.stored(), 1)
	require.Equal(t, "push", s.stored()[0].Metadata().Get("x-github-event"))
	for _, bad := range []string{"", "sha256=", "sha1=abc", sign("another"), sign("Hello, World!")[7:], sign("Hello, World!") + "00"} {
		send("Hello, World!", bad, "d2").problem(t, 401, "")
	}
	require.Len(t, s.stored(), 1)
}

func TestAuthValidate(t *testing.T) {
	secrets := []http.Secret{webhookSecret}
	for want, auth := range map[string]http.Auth{
		"nothing else may be set": {Anonymous: true, Bearer: []http.Bearer{{Principal: "a", Token: token}}},
		"bearer 1 needs":          {Bearer: []http.Bearer{{Principal: "a", Token: "short"}}},
		"a principal":             {Bearer: []http.Bearer{{Token: token}}},
		"no header has":           {Bearer: []http.Bearer{{Principal: "a", Token: "a token with spaces"}}},
		"there is no signature":   {Signature: &http.Signature{Kind: "md5", Secrets: secrets}},
		"needs a secret":          {Signature: &http.Signature{Kind: http.GitHub}},
		"is not base64":           {Signature: &http.Signature{Kind: http.StandardWebhooks, Secrets: []http.Secret{"whsec_???????????????????"}}},
		"is shorter than":         {Signature: &http.Signature{Kind: http.GitHub, Secrets: []http.Secret{"", webhookSecret}}},
		"is negative":             {Signature: &http.Signature{Kind: http.GitHub, Secrets: secrets, Tolerance: -1}},
	} {
		err := http.Route{Path: "/x", Auth: auth}.Validate()
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "???")
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	route := http.Route{Path: "/x", Auth: http.Auth{
		Bearer:    []http.Bearer{{Principal: "alice", Token: token}},
		Signature: &http.Signature{Kind: http.GitHub, Secrets: []http.Secret{webhookSecret}},
	}}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", http.Secret(token), "route", route)
	for _, shown := range []string{
		fmt.Sprintf("%v %+v %#v", route, route, route), fmt.Sprintf("%v %#v %q", route.Auth.Signature.Secrets, *route.Auth.Signature, route.Auth.Bearer[0].Token), log.String(),
	} {
		require.NotContains(t, shown, token)
		require.NotContains(t, shown, webhookSecret)
	}
}

// Whoever prints an Auth, by whichever verb, gets what it demands and no secret.
func TestAuthPrintsWithoutSecrets(t *testing.T) {
	a := http.Auth{
		Bearer:      []http.Bearer{{Principal: "till", Token: "hunter2hunter2hunter2"}},
		Signature:   &http.Signature{Kind: http.GitHub, Secrets: []http.Secret{"hunter2hunter2hunter2"}},
		Certificate: &http.Certificate{},
	}
	route := http.Route{Path: "/in", Auth: a}
	sink := http.SinkOptions{URL: "https://h/in?key=hunter2", Bearer: "hunter2", Headers: map[string]string{"x-key": "hunter2"}}
	for _, verb := range "vsdtqxXUb" {
		for _, flag := range []string{"", "+", "#"} {
			for _, value := range []any{a, route, a.Bearer, *a.Signature, sink, &sink, struct{ O http.SinkOptions }{sink}} {
				require.NotContains(t, fmt.Sprintf("%"+flag+string(verb), value), "hunter2", "%"+flag+string(verb))
			}
		}
	}
	require.Equal(t, "[bearer of till, signature github, certificate]", a.String())
	require.Equal(t, "POST https://h/in", fmt.Sprintf("%d", sink))
	require.Equal(t, "[anonymous]", http.Auth{Anonymous: true}.String())
}
