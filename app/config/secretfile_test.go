package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

// secretIn writes a file.
func secretIn(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestSecretFiles(t *testing.T) {
	pass, token, admin := secretIn(t, "hunter2\n"), secretIn(t, "hun ter\r\n"), secretIn(t, "null")
	headers := secretIn(t, "# of the collector\nauthorization: Bearer hunter2\n\nx-tenant:a:b\n")
	c := parse(t, "bus: { url: nats://h, user: u, password_file: "+pass+" }\nadmin: { listen: ':1', token_file: ${DIR}"+admin+" }\n"+
		"telemetry: { otlp: { headers: { x-plain: p }, headers_file: "+headers+" } }", "DIR=")
	require.Equal(t, "hunter2", c.Bus.Password)
	require.Equal(t, "null", c.Admin.Token, "it is text, whatever it looks like")
	require.Equal(t, map[string]string{"x-plain": "p", "authorization": "Bearer hunter2", "x-tenant": "a:b"}, c.Telemetry.OTLP.Headers)
	require.Equal(t, "hun ter", parse(t, "bus: { url: nats://h, token_file: "+token+" }").Bus.Token, "of two characters that end a line, both")
	require.Equal(t, "a\n", parse(t, "bus: { url: nats://h, user: u, password_file: "+secretIn(t, "a\n\n")+" }").Bus.Password, "one line end, not two")

	// A variable wins over the file, either way; what loses is not read.
	for _, text := range []string{
		"bus: { url: nats://h, user: u, password: p }", "bus: { url: nats://h, user: u, password_file: /nowhere }",
		"bus: { url: nats://h, user: u, password_file: ${UNSET} }", "bus: { url: nats://h, user: u }",
	} {
		require.Equal(t, "hunter2", parse(t, text, "ERGON_BUS_PASSWORD_FILE="+pass).Bus.Password, text)
		require.Equal(t, "x", parse(t, text, "ERGON_BUS_PASSWORD=x").Bus.Password, text)
		c := parse(t, text, "ERGON_BUS_TOKEN_FILE="+token)
		require.Equal(t, []string{"hun ter", "", ""}, []string{c.Bus.Token, c.Bus.User, c.Bus.Password}, "who to be is one thing: %s", text)
		require.Empty(t, parse(t, text, "ERGON_BUS_CONTEXT=prod").Bus.Password, text)
	}
	c = parse(t, "telemetry: { otlp: { headers: { Authorization: file, x: y } } }", "ERGON_TELEMETRY_OTLP_HEADERS_FILE="+headers)
	require.Equal(t, map[string]string{"x": "y", "authorization": "Bearer hunter2", "x-tenant": "a:b"}, c.Telemetry.OTLP.Headers)
}

// Each names the key and the file, and shows nothing of what is in it.
func TestSecretFileFaults(t *testing.T) {
	dir := t.TempDir()
	pass, empty, long := secretIn(t, "hunter2"), secretIn(t, "\n"), secretIn(t, strings.Repeat("hunter2", 10_000))
	binary := secretIn(t, "hunter2\xff")
	lines := secretIn(t, "a: b\nhunter2\nA: hunter2\n")
	for _, test := range []struct {
		text, env string
		want      []string
	}{
		{"bus: { url: nats://h, user: u, password: hunter2, password_file: " + pass + " }", "",
			[]string{"ergon.yaml:1:66: bus.password_file: password stands beside it, and both give the same secret: keep one"}},
		{"bus: { url: nats://h, user: u }", "ERGON_BUS_PASSWORD=hunter2 ERGON_BUS_PASSWORD_FILE=" + pass,
			[]string{"$ERGON_BUS_PASSWORD_FILE: bus.password: ERGON_BUS_PASSWORD is set as well, and both give the same secret: unset one of them"}},
		{"bus: { url: nats://h, token_file: nowhere/x }", "",
			[]string{`ergon.yaml:1:35: bus.token_file: read it from "nowhere/x": there is no such file: check the name, which counts from the directory that the program was started in`}},
		{"admin: { listen: ':1' }", "ERGON_ADMIN_TOKEN_FILE=" + dir,
			[]string{`$ERGON_ADMIN_TOKEN_FILE: admin.token_file: read it from "` + dir + `": it is a directory: name the file in it`}},
		{"admin: { token_file: " + empty + " }", "", []string{`ergon.yaml:1:22: admin.token_file: read it from "` + empty + `": it is empty: write the secret to it`}},
		{"admin: { token_file: " + long + " }", "", []string{`ergon.yaml:1:22: admin.token_file: read it from "` + long + `": it is longer than 64 KiB, which no secret is: check the name`}},
		{"admin: { token_file: " + binary + " }", "", []string{`ergon.yaml:1:22: admin.token_file: read it from "` + binary + `": it is not UTF-8: check the name`}},
		{"admin: { token_file: [x] }", "", []string{`ergon.yaml:1:22: admin.token_file: the name of a file is expected, and this is a list`}},
		{"telemetry: { otlp: { headers_file: " + lines + " } }", "", []string{
			`ergon.yaml:1:36: telemetry.otlp.headers_file: line 2 of "` + lines + `" is not a header: write name: value`,
			`ergon.yaml:1:36: telemetry.otlp.headers_file: line 3 of "` + lines + `" gives a header twice: remove one`}},
		{"telemetry: { otlp: { headers: { A: hunter2 }, headers_file: " + secretIn(t, "a: hunter2") + " } }", "", []string{"has this header as well: keep one"}},
		{"admin: { token_fiel: " + pass + " }", "", []string{`ergon.yaml:1:10: admin.token_fiel: unknown key "token_fiel", did you mean "token_file"?`}},
	} {
		got := wrong(t, test.text, config.Inputs{Env: config.Environment{Lookup: environment(strings.Fields(test.env)...)}})
		require.Len(t, got, len(test.want), "%s: %q", test.text, got)
		for i, want := range test.want {
			require.Contains(t, got[i], want)
		}
		_, err := config.Resolve("ergon.yaml", []byte(test.text), config.Inputs{Env: config.Environment{Lookup: environment(strings.Fields(test.env)...)}})
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// A secret from a file is hidden wherever the configuration is printed.
func TestSecretFilesAreNeverPrinted(t *testing.T) {
	pass, headers := secretIn(t, "hunter2"), secretIn(t, "authorization: hunter2")
	r := resolve(t, "bus: { url: nats://h, user: u, password_file: "+pass+" }\ntelemetry: { otlp: { headers_file: "+headers+" } }\n"+
		"tasks: { t: { source: { jetstream: { stream: S, subjects: [s] } }, consumer: { fetch: { extra: { api_key: hunter2, url: 'http://u:hunter2@h' } } } } }",
		config.Inputs{Env: world("ERGON_ADMIN_TOKEN=hunter2")})
	require.NotContains(t, r.YAML(false)+r.YAML(true), "hunter2")
	values, err := json.Marshal(r.Values())
	require.NoError(t, err)
	require.NotContains(t, string(values), "hunter2")
	require.Contains(t, string(values), `{"path":"bus.password","value":"xxxxx","origin":{"kind":"file","file":"ergon.yaml","line":1,"column":47,"secret_file":"`+pass+`"}}`)
	r.Config.Tasks = nil // whose free-form settings package fmt shows
	require.NotContains(t, verbs(*r.Config)+fmt.Sprint(r.Config), "hunter2")
	require.Contains(t, r.YAML(true), "password: xxxxx # ergon.yaml:1, read from "+pass+"\n")
	require.Contains(t, r.YAML(true), "token: xxxxx # $ERGON_ADMIN_TOKEN\n")
}
