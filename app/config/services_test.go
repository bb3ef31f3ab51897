package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/services/spec"
)

const fourServices = `services:
  regions: { kv: { bucket: REGIONS, cache: true } }
  rates:
    http: { url: "https://rates.example/v1", bearer: hunter2, headers: { x-team: hunter2 } }
    policy: { retry: { max_attempts: 5 }, breaker: { failures: 3 } }
  orders: { sql: { url: "postgres://u:hunter2@h/db?sslkey=hunter2&sslmode=require" } }
  judge: { llm: { url: "http://127.0.0.1:11434/v1", model: tiny, api_key: hunter2 } }
`

func TestServices(t *testing.T) {
	c := parse(t, fourServices)
	require.Equal(t, []string{"judge", "orders", "rates", "regions"}, c.ServiceNames())
	require.Equal(t, spec.KV{Bucket: "REGIONS", Cache: true, History: 1, Replicas: 1, CacheBytes: 64 << 20}, *c.Services["regions"].KV)
	h := *c.Services["rates"].HTTP
	require.Equal(t, []any{64, int64(4 << 20), "hunter2"}, []any{h.Connections, h.MaxResponse, h.Headers["x-team"]})
	s := *c.Services["orders"].SQL
	require.Equal(t, []any{16, 4, "30m"}, []any{s.Connections, s.Idle, s.Lifetime.String()})
	l := *c.Services["judge"].LLM
	require.Equal(t, 1024, l.MaxTokens)

	want := spec.DefaultPolicy("http")
	require.Equal(t, want, c.Services["regions"].Policy)
	want.Retry.MaxAttempts, want.Breaker.Failures = 5, 3
	require.Equal(t, want, c.Services["rates"].Policy, "what is not said is the default")
	require.Equal(t, time.Minute, c.Services["judge"].Policy.Retry.Timeout.D(), "a model thinks for longer")
	require.Zero(t, parse(t, "services: { j: { llm: { url: http://h, model: m, max_tokens: 0 } } }").Services["j"].LLM.MaxTokens)
}

func TestServiceFaults(t *testing.T) {
	for text, want := range map[string][]string{
		"services: { r: {} }": {"1:13: services.r: what it is is required: write one of kv, http, sql, llm below it, with its keys"},
		"services: { r: { kv: { bucket: B }, sql: { url: sqlite:f } } }":                 {"1:37: services.r.sql: kv stands beside it, and a service is one thing: keep one"},
		"services: { r: { kw: { bucket: B } } }":                                         {`1:18: services.r.kw: unknown key "kw", did you mean "kv"?`},
		"services: { r: { kv: { buckt: B } } }":                                          {`1:24: services.r.kv.buckt: unknown key "buckt", did you mean "bucket"?`},
		"services: { R: { kv: { bucket: B } } }":                                         {`1:13: services.R: "R" is not the name of a service: it is 1 to 63 small letters, digits, dashes and underscores, and begins with a letter`},
		"services:\n  r:\n    kv: { bucket: B, history: 65 }":                            {"3:31: services.r.kv.history: 65 is not between 1 and 64"},
		"services: { r: { kv: { bucket: B }, policy: { retry: { max_attempts: 0 } } } }": {"1:70: services.r.policy.retry.max_attempts: 0 is below 1"},
		"services: { r: { kv: { bucket: B }, policy: { retyr: { max_attempts: 1 } } } }": {`1:47: services.r.policy.retyr: unknown key "retyr", did you mean "retry"?`},
		"services: { r: { http: { url: ftp://h } } }":                                    {"1:31: services.r.http.url: it is not an address: write https://host/path"},
		"services: { r: { http: { url: \"https://u:hunter2@h\" } } }": {
			"1:31: services.r.http.url: who asks does not stand in the address, where it would be seen: give it by the keys beside it"},
		"services: { r: { http: { url: https://h, bearer: hunter2, user: u } } }": {"1:50: services.r.http.bearer: a user stands beside it, and both say who asks: keep one"},
		"services: { r: { sql: { url: \"mysql://u:hunter2@h\" } } }": {
			"1:30: services.r.sql.url: it is not a database that is known here: write postgres://host:5432/database, or sqlite: and a file's path"},
		"services: { r: { sql: { url: \"postgres://u:hunter2@h/%zz\" } } }": {
			"1:30: services.r.sql.url: it is not an address: write postgres://host:5432/database, with what is special in a name as %XX"},
		"services: { r: { sql: { url: \"postgres://u:hunter2@h/d\", password: hunter2 } } }": {"1:68: services.r.sql.password: the URL has one as well: keep one"},
		"services: { r: { llm: { url: https://h, temperature: 3 } } }": {
			"1:18: services.r.llm.model: the name of a model is required", "1:54: services.r.llm.temperature: 3 is not between 0 and 2"},
		"services: { r: { llm: { url: https://h, model: m, api_key: \"a\\nb\" } } }": {
			"1:60: services.r.llm.api_key: it is sent in a header, so it has no line ends and other controls: take them out"},
		"services: { r: { http: { url: https://h, headers: { \"a b\": x } } } }": {`1:42: services.r.http.headers: "a b" is not the name of a header`},
	} {
		require.Equal(t, want, faults(t, text), text)
		_, err := config.Parse("ergon.yaml", []byte(text), none)
		require.NotContains(t, err.Error(), "hunter2", text)
	}
	require.Error(t, (&config.Config{App: "a", Services: map[string]spec.Service{"r": {}}}).Validate(), "of a program's own too")
}

// A service's secrets come from wherever those of the bus do, and win likewise.
func TestServiceVariables(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("from a file\n"), 0o600))
	headers := filepath.Join(t.TempDir(), "headers")
	require.NoError(t, os.WriteFile(headers, []byte("x-a: 1\n"), 0o600))
	const two = `services:
  order-db: { sql: { url: "${DB}", connections: 3, password: "${UNSET}" } }
  rates: { http: { url: https://h, bearer_file: /nowhere, headers_file: HEADERS } }
`
	text := strings.Replace(two, "HEADERS", headers, 1)
	c := resolve(t, text, config.Inputs{
		Env: world("DB=postgres://u@h/d", "ERGON_SERVICES_ORDER_DB_SQL_PASSWORD_FILE="+file, "ERGON_SERVICES_RATES_HTTP_BEARER=b",
			"ERGON_SERVICES_RATES_POLICY_RETRY_MAX_ATTEMPTS=7", "ERGON_SERVICES_ORDER_DB_SQL_IDLE=9"),
		Flags: []config.Flag{{Name: "--set", Path: "services.order-db.sql.connections", Value: "2"}},
	}).Config
	require.Equal(t, "postgres://u@h/d", c.Services["order-db"].SQL.URL)
	require.Equal(t, []any{"from a file", 2, 9}, []any{c.Services["order-db"].SQL.Password, c.Services["order-db"].SQL.Connections, c.Services["order-db"].SQL.Idle})
	require.Equal(t, "b", c.Services["rates"].HTTP.Bearer, "the file is not read where a variable wins")
	require.Equal(t, map[string]string{"x-a": "1"}, c.Services["rates"].HTTP.Headers)
	require.Equal(t, 7, c.Services["rates"].Policy.Retry.MaxAttempts)

	plain := "services: { a-b: { sql: { url: postgres://u@h/d } }, a_b: { sql: { url: postgres://u@h/d } } }"
	require.Equal(t, []string{"$ERGON_SERVICES_A_B_SQL_IDLE: it could be of services.a-b.sql.idle and of services.a_b.sql.idle, whose variables have the same name: rename one of them, or say it in the file"},
		wrong(t, plain, config.Inputs{Env: world("ERGON_SERVICES_A_B_SQL_IDLE=1")}))
	one := "services: { rates: { http: { url: https://h } } }"
	require.Equal(t, []string{"$ERGON_SERVICES_RATES_HTTP_BEARER_FILE: services.rates.http.bearer: ERGON_SERVICES_RATES_HTTP_BEARER is set as well, and both give the same secret: unset one of them"},
		wrong(t, one, config.Inputs{Env: world("ERGON_SERVICES_RATES_HTTP_BEARER=a", "ERGON_SERVICES_RATES_HTTP_BEARER_FILE="+file)}))
	require.Equal(t, []string{"$ERGON_SERVICES_RATES_HTTP_BEARR: unknown variable, did you mean ERGON_SERVICES_RATES_HTTP_BEARER?"},
		wrong(t, one, config.Inputs{Env: world("ERGON_SERVICES_RATES_HTTP_BEARR=a")}))
	require.Equal(t, []string{"$ERGON_SERVICES_RATE_HTTP_URL: unknown variable, did you mean ERGON_SERVICES_RATES_HTTP_URL?"},
		wrong(t, one, config.Inputs{Env: world("ERGON_SERVICES_RATE_HTTP_URL=a")}))
	require.Contains(t, wrong(t, one, config.Inputs{Flags: []config.Flag{{Name: "--set", Path: "services.rates.http.bearer", Value: "x"}}})[0],
		"set ERGON_SERVICES_RATES_HTTP_BEARER, or ERGON_SERVICES_RATES_HTTP_BEARER_FILE")
	_, err := config.Resolve("", nil, config.Inputs{Env: world("ERGON_SERVICES_RATES_HTTP_BEARER=a")})
	require.EqualError(t, err, "$ERGON_SERVICES_RATES_HTTP_BEARER: it is a service's, and there is no file that names the service: name the file with -f, or unset the variable")
}

// Whatever prints a configuration, or a part of it, prints no secret of a service.
func TestServicesHideSecrets(t *testing.T) {
	r := resolve(t, fourServices, config.Inputs{})
	c := r.Config
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "c", c, "s", c.Services)
	y, err := yaml.Marshal(c)
	require.NoError(t, err)
	j, err := json.Marshal(c)
	require.NoError(t, err)
	values, err := json.Marshal(r.Values())
	require.NoError(t, err)
	for _, s := range []string{log.String(), string(y), string(j), string(values), r.YAML(false), r.YAML(true), fmt.Sprintf("%v %+v %#v", *c, *c, c)} {
		require.NotContains(t, s, "hunter2")
	}
	require.Contains(t, r.YAML(true), `url: "postgres://xxxxx@h/db?sslkey=xxxxx&sslmode=require" # ergon.yaml:6`, "the rest is there")
	require.Contains(t, r.YAML(true), "x-team: xxxxx # ergon.yaml:4")
	require.Equal(t, "hunter2", c.Services["rates"].HTTP.Bearer, "and the secrets still are")

	again := parse(t, string(y))
	for name, s := range c.Services {
		require.Equal(t, s.Redacted(), again.Services[name], "%s: what was written is read again", name)
	}
	// Whatever is at fault beside a secret.
	for _, text := range []string{
		"services: { r: { http: { bearr: hunter2 } } }", "services: { r: { llm: { api_kye: hunter2, x: 1 } } }",
		"services: { r: { sql: { password: [hunter2], x: 1 } } }", "services: { r: { http: { headers: { a: [hunter2] }, x: 1 } } }",
		"services: { r: { sql: \"postgres://u:hunter2@h\" } }", "services: { r: { http: { bearer: hunter2, x: 1 } } }",
	} {
		_, err := config.Parse("ergon.yaml", []byte(text), none)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "hunter2", text)
	}
}

// The schema takes what Parse takes, and no service of two kinds.
func TestSchemaOfServices(t *testing.T) {
	check := validator(t)
	require.NoError(t, check(fourServices))
	require.NoError(t, check(resolve(t, fourServices, config.Inputs{}).YAML(false)))
	for text, where := range map[string]string{
		"services: { r: {} }": "/services/r",
		"services: { r: { kv: { bucket: B }, llm: { url: u, model: m } } }":              "/services/r",
		"services: { r: { kv: {} } }":                                                    "missing property 'bucket'",
		"services: { R: { kv: { bucket: B } } }":                                         "/services",
		"services: { r: { kv: { bucket: B, history: 0 } } }":                             "/services/r/kv/history",
		"services: { r: { kv: { bucket: B }, policy: { retry: { max_attempts: 0 } } } }": "/services/r/policy/retry/max_attempts",
		"services: { r: { sql: { url: sqlite:f, password: a, password_file: b } } }":     "/services/r/sql",
	} {
		require.ErrorContains(t, check(text), where, text)
		_, err := config.Parse("ergon.yaml", []byte(text), none)
		require.Error(t, err, text)
	}
}
