package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/connectors/http"
)

const webTasks = `
tasks:
  in:
    source:
      http:
        routes:
          - path: /in
            auth:
              bearer:
                - { principal: a, token: hunter2hunter2hunter2 }
                - { principal: b, token_file: FILE/token }
              signature: { kind: standard-webhooks, secrets_file: FILE/secrets }
          - { path: /other, wait: 7s, auth: { signature: { kind: github, secrets: [hunter2hunter2hunter2] } } }
        records: { bucket: R }
      jetstream: { stream: S, subjects: [s] }
    routes:
      out:
        http:
          url: "https://h/{payload.id}?key=hunter2"
          headers: { x-key: hunter2 }
          headers_file: FILE/headers
          bearer_file: FILE/token
          signing_secrets_file: FILE/secrets
          proxy: http://u:hunter2@proxy:1
          retry_statuses: [409, 423]
      more: { http: { url: "https://h/", user: u, password: hunter2, timeout: 3s } }
  up:
    source: { http: { mode: result, queue: 7, routes: [{ path: /up }] } }
`

func webFile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"token":   "hunter2-of-a-file-hunter2\n",
		"secrets": "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==\n\nwhsec_aHVudGVyM2h1bnRlcjNodW50ZXIzaHVudGVyMw==\n",
		"headers": "x-other: hunter2\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return strings.ReplaceAll(webTasks, "FILE", dir)
}

// What the file says arrives, with its secrets from wherever they stand, and what it
// leaves out is filled in.
func TestHTTPIsRead(t *testing.T) {
	c := parse(t, "http: { address: '127.0.0.1:8443', cert: c, key: k, read_timeout: 4s }"+webFile(t))
	require.Equal(t, http.ServerConfig{Address: "127.0.0.1:8443", Cert: "c", Key: "k", ReadTimeout: 4 * time.Second}, c.HTTP)
	in := c.Tasks["in"].Source
	require.True(t, in.Stores())
	require.False(t, in.Answers())
	require.Equal(t, "s", in.HTTP.Subject)
	require.Equal(t, &config.Records{Bucket: "R", TTL: in.HTTP.Records.TTL}, in.HTTP.Records)
	require.Equal(t, config.DefaultRecordsTTL, in.HTTP.Records.TTL.D())
	require.Equal(t, http.Route{Path: "/in", Auth: http.Auth{
		Bearer: []http.Bearer{{Principal: "a", Token: "hunter2hunter2hunter2"}, {Principal: "b", Token: "hunter2-of-a-file-hunter2"}},
		Signature: &http.Signature{Kind: http.StandardWebhooks, Secrets: []http.Secret{
			"whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==", "whsec_aHVudGVyM2h1bnRlcjNodW50ZXIzaHVudGVyMw==",
		}},
	}}, in.HTTP.Routes[0])
	require.Equal(t, 7*time.Second, in.HTTP.Routes[1].Wait)
	out := c.Tasks["in"].Routes["out"].HTTP
	require.Equal(t, "hunter2-of-a-file-hunter2", out.Bearer)
	require.Len(t, out.SigningSecrets, 2)
	require.Equal(t, map[string]string{"x-key": "hunter2", "x-other": "hunter2"}, out.Headers)
	require.Equal(t, []int{409, 423}, out.RetryStatuses)
	require.Equal(t, 3*time.Second, c.Tasks["in"].Routes["more"].HTTP.Timeout)
	up := c.Tasks["up"].Source
	require.True(t, up.Answers())
	require.Equal(t, 7, up.HTTP.Queue)
	require.Equal(t, []string{"s"}, c.Topology()[0].Subjects)

	c = parse(t, `tasks: { t: { source: { http: { subject: a.in, routes: [{ path: / }] }, jetstream: { stream: A } } } }`)
	require.Equal(t, []string{"a.in"}, c.Topology()[0].Subjects, "the stream is made with what is stored in it")
}

// Whoever prints the configuration, in whichever way, gets no secret.
func TestHTTPPrintsWithoutSecrets(t *testing.T) {
	r, err := config.Resolve("ergon.yaml", []byte(webFile(t)), config.Inputs{})
	require.NoError(t, err)
	c := r.Config
	y, err := yaml.Marshal(c)
	require.NoError(t, err)
	j, err := json.Marshal(c)
	require.NoError(t, err)
	values, err := json.Marshal(r.Values())
	require.NoError(t, err)
	out, in := *c.Tasks["in"].Routes["out"].HTTP, c.Tasks["in"].Source.HTTP
	for _, s := range []string{
		string(y), string(j), string(values), r.YAML(false), r.YAML(true), c.String(), verbs(*c), verbs(out), verbs(*in), verbs(in.Routes[0]),
		fmt.Sprintf("%v %+v %#v", c, c, c), fmt.Sprintf("%v %+v", c.Tasks, c.Tasks["in"].Routes),
	} {
		require.NotContains(t, s, "hunter")
		require.NotContains(t, s, "aHVudGVy")
	}
	require.Contains(t, string(y), "principal: a", "the rest is there")
	require.Contains(t, r.YAML(true), "https://h/{payload.id}?xxxxx")
	require.Contains(t, r.YAML(true), "http://xxxxx@proxy:1")
	require.Equal(t, "hunter2hunter2hunter2", string(in.Routes[0].Auth.Bearer[0].Token), "and it is still there")
}

// Every mistake is told, at its place, with what to do, and without a secret.
func TestHTTPFaults(t *testing.T) {
	const js = ", jetstream: { stream: S, subjects: [s] }"
	source := func(s string) string { return "tasks: { t: { source: { " + s + " } } }" }
	route := func(s string) string {
		return "tasks: { t: { source: { jetstream: { stream: S, subjects: [s] } }, routes: { r: { " + s + " } } } }"
	}
	for text, want := range map[string]string{
		"http: { address: nowhere }":                                                                                `http.address: "nowhere" is not an address`,
		"http: { cert: c }":                                                                                         "http: cert and key belong together",
		"http: { adress: a }":                                                                                       `http.adress: unknown key "adress", did you mean "address"?`,
		source(`http: { routes: [{ path: /a }] }`):                                                                  "tasks.t.source.http: requests are stored, and nothing says where",
		source(`http: {}` + js):                                                                                     "tasks.t.source.http.routes: a route is required",
		source(`http: { mode: both, routes: [{ path: /a }] }` + js):                                                 "tasks.t.source.http.mode: \"both\" is not known here: write stored, result",
		source(`http: { mode: result, routes: [{ path: /a }] }` + js):                                               "tasks.t.source.http.mode: result stores nothing, and there is a jetstream source beside it",
		source(`http: { mode: result, subject: s, routes: [{ path: /a }] }`):                                        "tasks.t.source.http.mode: result stores nothing: remove subject and records",
		source(`http: { queue: 3, routes: [{ path: /a }] }` + js):                                                   "tasks.t.source.http.queue: only mode: result has a queue",
		source(`http: { subject: other, routes: [{ path: /a }] }` + js):                                             `tasks.t.source.http.subject: "other" is none of what the task reads`,
		source(`http: { routes: [{ path: /a }] }, jetstream: { stream: S, subjects: [s.>] }`):                       "tasks.t.source.http.subject: a subject is required",
		source(`http: { routes: [{}] }` + js):                                                                       "tasks.t.source.http.routes[0].path: a path is required",
		source(`http: { routes: [{ path: a }] }` + js):                                                              "tasks.t.source.http.routes[0]: a path begins with /",
		source(`http: { routes: [{ pth: /a }] }` + js):                                                              `tasks.t.source.http.routes[0].pth: unknown key "pth", did you mean "path"?`,
		source(`http: { routes: [{ path: /a }, { path: /a, name: b }] }` + js):                                      "tasks.t.source.http.routes[1]: http route \"/a\": ",
		source(`http: { routes: [{ path: /a, auth: { bearer: [{ principal: a, token: hunter2 }] } }] }` + js):       "tasks.t.source.http.routes[0].auth: bearer 1 needs a principal, and a token of 16 characters",
		source(`http: { routes: [{ path: /a, auth: { bearer: hunter2 } }] }` + js):                                  "tasks.t.source.http.routes[0].auth.bearer: a list is expected, and this is a value",
		source(`http: { routes: [{ path: /a, auth: { signature: { kind: github, secrets: hunter2 } } }] }` + js):    "tasks.t.source.http.routes[0].auth.signature.secrets: a list is expected, and this is a value",
		source(`http: { routes: [{ path: /a, auth: { signature: { kind: github, secrets: [hunter2] } } }] }` + js):  "tasks.t.source.http.routes[0].auth: secret 1 of the signature is shorter",
		source(`http: { routes: [{ path: /a, auth: { bearer: [{ principal: a, token_file: /no/such }] } }] }` + js): "tasks.t.source.http.routes[0].auth.bearer[0].token_file: read it from \"/no/such\": there is no such file",
		source(`http: { routes: [{ path: /a, auth: { certificate: {} } }] }` + js):                                  "tasks.t.source.http.routes[0].auth.certificate: http.client_ca does not say",
		"http: { address: ':8080' }\n" + source(`http: { routes: [{ path: /a }] }`+js):                              "tasks.t.source.http.routes[0]: it has no auth, and other machines may reach :8080",
		source(`http: { records: {}, routes: [{ path: /a }] }` + js):                                                "tasks.t.source.http.records.bucket: a bucket is required",
		source(`http: { records: { bucket: B, ttl: 0s }, routes: [{ path: /a }] }` + js):                            "tasks.t.source.http.records.ttl: 0s is not above 0",
		source(`http: { routes: [{ path: /a, reply: out }] }` + js):                                                 "tasks.t.source.http.routes[0].reply: nobody waits for an answer",
		source(`http: { routes: [{ path: /a, status: "/b/{transaction}" }] }` + js):                                 "tasks.t.source.http.routes[0].status: there is no status without records",
		route(`http: {}`):                                                      "tasks.t.routes.r.http.url: it is missing: say where to send",
		route(`http: { url: ftp://h }`):                                        `tasks.t.routes.r.http.url: the scheme "ftp" is unknown`,
		route(`http: { url: http://h, method: GET }`):                          `tasks.t.routes.r.http.method: "GET" is unknown`,
		route(`http: { url: http://h, bearer: hunter2, user: u }`):             "tasks.t.routes.r.http.bearer: there is a user or a password beside it",
		route(`http: { url: http://h, signing_secrets: [hunter2] }`):           "tasks.t.routes.r.http.signing_secrets: a secret",
		route(`http: { url: http://h, signing_secrets: hunter2 }`):             "tasks.t.routes.r.http.signing_secrets: a list is expected, and this is a value",
		route(`http: { url: http://h, bearer: a, bearer_file: /b }`):           "tasks.t.routes.r.http.bearer_file: bearer stands beside it",
		route(`http: { url: http://h }, jetstream: { stream: R, subject: r }`): "tasks.t.routes.r: a route goes to one place: keep jetstream or http",
		route(`http: { url: http://h, retry_statuses: [500] }`):                "tasks.t.routes.r.http.retry_statuses: 500 is not from 400 to 499",
		route(`http: { url: http://h, retry_statuses: 409 }`):                  "tasks.t.routes.r.http.retry_statuses: \"409\" is not a list",
		route(`http: { url: "http://{meta.h}/" }`):                             "tasks.t.routes.r.http.url: a field stands in the host",
	} {
		faults := wrong(t, text, config.Inputs{})
		require.Contains(t, strings.Join(faults, "\n"), want, text)
		require.NotContains(t, strings.Join(faults, "\n"), "hunter2", text)
		_, err := config.Parse("ergon.yaml", []byte(text), none)
		require.NotContains(t, err.Error(), "hunter2", "%s\n%v", text, err)
	}
	flag := config.Inputs{Flags: []config.Flag{{Name: "--set", Path: "tasks.t.routes.r.http.bearer", Value: "x"}}}
	require.Contains(t, strings.Join(wrong(t, route(`http: { url: http://h }`), flag), "\n"), "a command line can be read by others, and this is a secret: write bearer_file")
}
