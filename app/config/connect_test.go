package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

func TestContext(t *testing.T) {
	c := parse(t, "bus: { context: prod }")
	require.Equal(t, bus.Config{Context: "prod"}, c.Bus.Config, "the URL is the context's, and not the embedded server")
	require.False(t, c.Bus.IsEmbedded())
	require.Equal(t, "nats://h", parse(t, "bus: { context: prod, url: nats://h }").Bus.URL)
	require.Empty(t, parse(t, "bus: { context: /etc/nats/prod.json, url: }").Bus.URL)
	require.Equal(t, "context=prod", c.Bus.String())
	checkRoundTrip(t, c)

	for text, want := range map[string][]string{
		"bus: { context: prod, url: embedded }":            {"1:17: bus.context: a context is for servers elsewhere, and url is embedded: keep one"},
		"bus: { context: a/b }":                            {`1:17: bus.context: "a/b" is neither the name of a context nor the absolute path of its file`},
		"bus: { contxt: prod }":                            {`1:8: bus.contxt: unknown key "contxt", did you mean "context"?`},
		"bus: { tls_frist: true }":                         {`1:8: bus.tls_frist: unknown key "tls_frist", did you mean "tls_first"?`},
		"bus: { context: prod, creds: a, nkey: b }":        {`1:1: bus: creds, nkey, user and token exclude one another: keep one`},
		"bus: { url: nats://h, tls_first: perhaps }":       {`1:34: bus.tls_first: "perhaps" is not true or false`},
		"bus: { url: ws://h, ca: x }":                      {`1:13: bus.url: "ws://h" has no TLS, and ca, cert and tls_first ask for it: use wss://`},
		"bus: { url: 'nats://t@h', token: u }":             {`1:13: bus.url: it names a user or a token, and so does another setting: keep one`},
		"bus: { url: nats://h, domain: a, api_prefix: b }": {`1:1: bus: domain and api_prefix exclude one another: a domain is the prefix $JS.<domain>.API`},
		"bus: { url: nats://h, api_prefix: .b }":           {`1:35: bus.api_prefix: ".b" is not the beginning of a subject`},
	} {
		require.Equal(t, want, faults(t, text), text)
	}
	made := config.Default()
	made.Bus.Context = "prod"
	require.ErrorContains(t, made.Validate(), "keep one")
}

// Each setting can be said by its variable, which wins over the file.
func TestBusVariables(t *testing.T) {
	c := parse(t, "bus: { url: nats://file, name: file, user: file, domain: file }",
		"ERGON_BUS_URL=tls://h", "ERGON_BUS_NAME=n", "ERGON_BUS_USER=u", "ERGON_BUS_PASSWORD=~", "ERGON_BUS_CA=ca.pem",
		"ERGON_BUS_CERT=c.pem", "ERGON_BUS_KEY=k.pem", "ERGON_BUS_TLS_FIRST=true", "ERGON_BUS_DOMAIN=hub",
		"ERGON_BUS_INBOX_PREFIX=mine", "ERGON_BUS_CONNECT_TIMEOUT=1m")
	require.Equal(t, bus.Config{
		URL: "tls://h", Name: "n", User: "u", Password: "~", CA: "ca.pem", Cert: "c.pem", Key: "k.pem", TLSFirst: true,
		Domain: "hub", InboxPrefix: "mine", ConnectTimeout: time.Minute,
	}, c.Bus.Config)
	require.Equal(t, "x.API", parse(t, "bus: { url: nats://h }", "ERGON_BUS_API_PREFIX=x.API").Bus.APIPrefix)
	require.Equal(t, []string{`$ERGON_BUS_TLS_FIRST: bus.tls_first: "x" is not true or false`}, faults(t, "bus: { url: nats://h }", "ERGON_BUS_TLS_FIRST=x"))
	require.Equal(t, []string{`$ERGON_BUS_CONNECT_TIMEOUT: bus.connect_timeout: "x" is not a duration: write 250ms, 1m30s or a number of seconds`},
		faults(t, "bus: { url: nats://h }", "ERGON_BUS_CONNECT_TIMEOUT=x"))
}

// A variable replaces what would contradict it, variables in there included.
func TestBusVariablesRuleOut(t *testing.T) {
	const file = "bus: { url: nats://file, creds: ${UNSET}, ca: file.pem, name: n }"
	for name, test := range map[string]struct {
		file string
		env  []string
		want bus.Config
	}{
		"another user": {file, []string{"ERGON_BUS_TOKEN=t"}, bus.Config{URL: "nats://file", Token: "t", CA: "file.pem", Name: "n"}},
		"nkey":         {file, []string{"ERGON_BUS_NKEY=k"}, bus.Config{URL: "nats://file", NKey: "k", CA: "file.pem", Name: "n"}},
		"a password alone": {"bus: { url: nats://file, user: u, password: ${UNSET} }", []string{"ERGON_BUS_PASSWORD=p"},
			bus.Config{URL: "nats://file", User: "u", Password: "p"}},
		"a context": {file, []string{"ERGON_BUS_CONTEXT=prod"}, bus.Config{Context: "prod", Name: "n"}},
		"a context and more": {file, []string{"ERGON_BUS_CONTEXT=prod", "ERGON_BUS_URL=nats://env", "ERGON_BUS_CREDS=c"},
			bus.Config{Context: "prod", URL: "nats://env", Creds: "c", Name: "n"}},
		"a context over embedded": {"bus: { url: embedded }", []string{"ERGON_BUS_CONTEXT=prod"}, bus.Config{Context: "prod"}},
		"a context over none":     {"", []string{"ERGON_BUS_CONTEXT=prod"}, bus.Config{Context: "prod"}},
		"embedded over a context": {"bus: { context: ${UNSET} }", []string{"ERGON_BUS_URL=embedded"}, bus.Config{URL: "embedded"}},
		"a URL beside a context":  {"bus: { context: prod }", []string{"ERGON_BUS_URL=nats://env"}, bus.Config{Context: "prod", URL: "nats://env"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, parse(t, test.file, test.env...).Bus.Config)
		})
	}
	require.Equal(t, []string{"$ERGON_BUS_CONTEXT: bus.context: a context is for servers elsewhere, and url is embedded: keep one"},
		faults(t, "", "ERGON_BUS_URL=embedded", "ERGON_BUS_CONTEXT=prod"))
	require.Equal(t, "bus: creds, nkey, user and token exclude one another: keep one",
		faultText(t, "", "ERGON_BUS_URL=nats://h", "ERGON_BUS_TOKEN=t", "ERGON_BUS_CREDS=c"))
	require.Equal(t, "bus.url: it names a user or a token, and so does another setting: keep one",
		faultText(t, "", "ERGON_BUS_URL=nats://u:p@h", "ERGON_BUS_USER=t", "ERGON_BUS_PASSWORD=hunter2"))
}

// faultText is the one fault, without its place.
func faultText(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	_, err := config.Parse("ergon.yaml", []byte(text), environment(pairs...))
	var e *config.Error
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Faults, 1)
	require.NotContains(t, err.Error(), "hunter2")
	return e.Faults[0].Path + ": " + e.Faults[0].Message
}
