package bus_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/internal/natstest"
)

// contexts is a nats CLI's directory of them, which is the current one's for the
// test.
func contexts(t *testing.T) func(name, text string) string {
	t.Helper()
	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	dir := filepath.Join(config, "nats", "context")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	return func(name, text string) string {
		file := filepath.Join(dir, name+".json")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
}

// saved is a context as "nats context save" writes it: all keys, most of them
// blank.
func saved(t *testing.T, set map[string]any) string {
	t.Helper()
	all := map[string]any{
		"description": "a server", "url": "", "socks_proxy": "", "token": "", "user": "", "password": "", "creds": "", "nkey": "",
		"cert": "", "key": "", "ca": "", "nsc": "", "jetstream_domain": "", "jetstream_api_prefix": "", "jetstream_event_prefix": "",
		"inbox_prefix": "", "user_jwt": "", "user_seed": "", "color_scheme": "cyan", "tls_first": false, "windows_cert_store": "",
		"windows_cert_match_by": "", "windows_cert_match": "", "windows_ca_certs_match": nil,
	}
	for k, v := range set {
		all[k] = v
	}
	text, err := json.MarshalIndent(all, "", "  ")
	require.NoError(t, err)
	return string(text)
}

func TestContext(t *testing.T) {
	save := contexts(t)
	a := natstest.NewAuthority(t)
	cert, key := a.Issue("client", nil)
	pair, err := nkeys.CreateUser()
	require.NoError(t, err)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SECRETS", home)
	require.NoError(t, os.WriteFile(filepath.Join(home, "user.nk"), []byte(natstest.SeedOf(t, pair)), 0o600))
	o := newOperator(t)
	require.NoError(t, os.WriteFile(filepath.Join(home, "user.creds"), []byte(o.creds(time.Time{})), 0o600))
	jwt, seed := o.User(time.Time{}, nil)
	bearer, _ := o.User(time.Time{}, map[string]any{"bearer_token": true})
	withUser := plainServer(t, func(o *natsserver.Options) {
		o.JetStream = true
		o.Users = []*natsserver.User{{Username: "u", Password: "p4ss", Permissions: &natsserver.Permissions{
			Subscribe: &natsserver.SubjectPermission{Allow: []string{"mine.>"}},
		}}}
	})
	withToken := plainServer(t, func(o *natsserver.Options) { o.JetStream, o.Authorization = true, "t0ken" })
	withNKey := plainServer(t, func(o *natsserver.Options) {
		o.JetStream, o.JetStreamDomain = true, "hub"
		o.Nkeys = []*natsserver.NkeyUser{{Nkey: natstest.PublicKey(t, pair)}}
	})
	secured := tlsServer(t, a, func(o *natsserver.Options) { o.TLSHandshakeFirst = true })

	file := save("user", saved(t, map[string]any{"url": withUser.ClientURL(), "user": "u", "password": "p4ss", "inbox_prefix": "mine"}))
	save("bare", saved(t, map[string]any{"user": "u", "inbox_prefix": "mine"}))
	save("other", saved(t, map[string]any{"url": "nats://127.0.0.1:1", "token": "wr0ng"}))
	save("token", saved(t, map[string]any{"url": withToken.ClientURL(), "token": "t0ken"}))
	save("nkey.v1", saved(t, map[string]any{"url": withNKey.ClientURL(), "nkey": "~/user.nk", "jetstream_domain": "hub"}))
	save("prefix", saved(t, map[string]any{"url": withNKey.ClientURL(), "nkey": "file://" + home + "/user.nk", "jetstream_api_prefix": "$JS.hub.API"}))
	save("creds", saved(t, map[string]any{"url": o.s.ClientURL(), "creds": "$SECRETS/user.creds"}))
	save("jwt", saved(t, map[string]any{"url": o.s.ClientURL(), "user_jwt": jwt, "user_seed": seed}))
	save("bearer", saved(t, map[string]any{"url": o.s.ClientURL(), "user_jwt": bearer}))
	save("tls", saved(t, map[string]any{"url": address(secured, "tls://localhost"), "ca": a.File, "cert": cert, "key": key, "tls_first": true}))
	withPassword, err := url.Parse(withUser.ClientURL())
	require.NoError(t, err)
	withPassword.User = url.UserPassword("u", "p4ss")

	for name, cfg := range map[string]bus.Config{
		"user":             {Context: "user"},
		"its file":         {Context: file},
		"token":            {Context: "token"},
		"nkey, domain":     {Context: "nkey.v1"},
		"API prefix":       {Context: "prefix"},
		"creds":            {Context: "creds"},
		"JWT and seed":     {Context: "jwt"},
		"a bearer's JWT":   {Context: "bearer"},
		"TLS":              {Context: "tls"},
		"URL beside":       {Context: "bare", URL: withUser.ClientURL(), Password: "p4ss"},
		"user beside":      {Context: "other", URL: withUser.ClientURL(), User: "u", Password: "p4ss", InboxPrefix: "mine"},
		"user in the URL":  {Context: "other", URL: withPassword.String(), InboxPrefix: "mine"},
		"everything there": {Context: "user", Name: "n", ConnectTimeout: patience},
	} {
		t.Run(name, func(t *testing.T) {
			b := connect(t, cfg)
			_, err := b.JetStream().AccountInfo(testContext(t))
			require.NoError(t, err)
			topology(t, b)
			fillNumbered(t, b, 3)
			require.Len(t, drain(testContext(t), t, puller(t, b, bus.PullConfig{}), 3), 3)
		})
	}
	for name, text := range map[string]string{"user": "wr0ng!!", "token": "wr0ng!!"} {
		save("bad", saved(t, map[string]any{"url": map[string]string{"user": withUser.ClientURL(), "token": withToken.ClientURL()}[name], name: text}))
		_, err := bus.Connect(testContext(t), bus.Config{Context: "bad"})
		require.ErrorContains(t, err, name+` of context "bad"`)
		if name == "token" {
			require.NotContains(t, err.Error(), text)
		}
	}
}

func TestContextFaults(t *testing.T) {
	save := contexts(t)
	missing := filepath.Join(t.TempDir(), "missing")
	_, err := bus.Connect(testContext(t), bus.Config{Context: "prod"})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, `bus.context: there is no context "prod" in `)
	require.ErrorContains(t, err, `there is none: make one with "nats context save"`)
	save("zeta", "{}")
	save("alpha.v1", "{}")
	_, err = bus.Connect(testContext(t), bus.Config{Context: "prod"})
	require.ErrorContains(t, err, "there are alpha.v1, zeta")
	_, err = bus.Connect(testContext(t), bus.Config{Context: missing})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, missing)

	for text, want := range map[string]string{
		`hunter2`:                  "no JSON object",
		`{"password": hunter2}`:    "no JSON object",
		`["hunter2"]`:              "no JSON object",
		``:                         "no JSON object",
		`{"token": 4711}`:          "token: it is not text",
		`{"tls_first": "hunter2"}`: "tls_first: it is not true or false",
		`{"socks_proxy": "socks5://u:hunter2@h"}`:     "socks_proxy: ergon does not support a SOCKS proxy",
		`{"nsc": "nsc://o/a/u"}`:                      "nsc: ergon does not support looking a user up with nsc: export it",
		`{"windows_cert_store": "user"}`:              "windows_cert_store: ergon does not support",
		`{"windows_ca_certs_match": ["x"]}`:           "windows_ca_certs_match: ergon does not support",
		`{"quantum": "hunter2"}`:                      "quantum: ergon does not know this key",
		`{"user": "u", "password": "op://hunter2"}`:   "password: ergon does not support looking it up (op:)",
		`{"creds": "data:;base64,hunter2"}`:           "creds: ergon does not support looking it up (data:): name a file",
		`{"user": "u", "token": "hunter2"}`:           "exclude one another",
		`{"user_jwt": "hunter2", "token": "hunter2"}`: "exclude one another",
		`{"user_seed": "hunter2"}`:                    "user_seed without user_jwt",
		`{"cert": "c"}`:                               "cert and key need each other",
		`{"password": "hunter2"}`:                     "password without user",
		`{"url": "http://u:hunter2@h"}`:               `scheme "http" is unknown`,
		`{"url": "ws://h", "tls_first": true}`:        "use wss://",
		`{"creds": "` + missing + `"}`:                `creds of context "bad": open ` + missing,
		`{"ca": "` + missing + `"}`:                   `ca of context "bad"`,
	} {
		save("bad", text)
		_, err := bus.Connect(testContext(t), bus.Config{Context: "bad"})
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, `"bad"`)
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), "4711")
	}
	for _, name := range []string{"a/b", "../a", `a\b`, "x..y"} {
		require.ErrorContains(t, bus.Config{Context: name}.Validate(), "neither the name of a context")
	}
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("HOME", t.TempDir())
	_, err = bus.Connect(testContext(t), bus.Config{Context: "prod"})
	require.ErrorContains(t, err, filepath.Join(".config", "nats", "context"))
}

// Passwords and tokens in a context are read again, as files are.
func TestContextIsReadAgain(t *testing.T) {
	save := contexts(t)
	for name, set := range map[string]func(o *natsserver.Options, secret string) map[string]any{
		"password": func(o *natsserver.Options, secret string) map[string]any {
			o.Username, o.Password = "u", secret
			return map[string]any{"user": "u", "password": secret}
		},
		"token": func(o *natsserver.Options, secret string) map[string]any {
			o.Authorization = secret
			return map[string]any{"token": secret}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var options *natsserver.Options
			var says map[string]any
			s := plainServer(t, func(o *natsserver.Options) {
				o.JetStream = true
				says, options = set(o, "hunter2"), o
			})
			says["url"] = s.ClientURL()
			save("c", saved(t, says))
			var log logBook
			b := connect(t, bus.Config{Context: "c"}, bus.WithLogger(log.logger()))
			changed := options.Clone()
			says = set(changed, "hunter3")
			require.NoError(t, s.ReloadOptions(changed))
			eventually(t, func() bool { return strings.Contains(log.String(), "refused") })
			says["url"] = s.ClientURL()
			save("c", saved(t, says))
			eventually(t, func() bool { return b.Status().Connected })
			require.NoError(t, b.Flush(testContext(t)))
			require.NotContains(t, log.String(), "hunter")
		})
	}
}
