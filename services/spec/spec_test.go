package spec_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is in force where nothing is said has no fault but what is required.
func TestDefaults(t *testing.T) {
	kv, http, sql, llm := spec.DefaultKV(), spec.DefaultHTTP(), spec.DefaultSQL(), spec.DefaultLLM()
	for kind, s := range map[string]spec.Service{"kv": {KV: &kv}, "http": {HTTP: &http}, "sql": {SQL: &sql}, "llm": {LLM: &llm}} {
		require.Equal(t, kind, s.Kind())
		s.Policy = spec.DefaultPolicy(kind)
		want := map[string]string{
			"kv":   "kv.bucket: the name of a bucket is required",
			"http": "http.url: an address is required: https://host/path",
			"sql":  "sql.url: an address is required: postgres://host:5432/database, or sqlite: and a file's path",
			"llm":  "llm.url: an address is required: https://host/path\nllm.model: the name of a model is required",
		}
		require.EqualError(t, s.Validate(), want[kind])
	}
	kv.Bucket, sql.URL = "B", "sqlite::memory:"
	require.NoError(t, kv.Validate())
	require.NoError(t, sql.Validate())
	both := spec.Service{KV: &kv, SQL: &sql, Policy: spec.DefaultPolicy("")}
	require.Empty(t, both.Kind())
	require.EqualError(t, both.Validate(), "sql: kv stands beside it, and a service is one thing: keep one")
}

// Each text of a configuration that holds a secret, filled with one, is in nothing that is
// printed of it; a text that holds none, such as a bucket's name, is.
func TestSecretsAreNotPrinted(t *testing.T) {
	const secret = "hunter2"
	secrets := map[string]bool{
		"HTTP.Bearer": true, "HTTP.Password": true, "HTTP.Headers": true, "HTTP.URL": true, "HTTP.Proxy": true,
		"SQL.Password": true, "SQL.URL": true, "LLM.APIKey": true, "LLM.URL": true,
	}
	seen := 0
	for _, kind := range []any{&spec.KV{}, &spec.HTTP{}, &spec.SQL{}, &spec.LLM{}} {
		of := reflect.TypeOf(kind).Elem()
		for i := range of.NumField() {
			f, name := reflect.New(of).Elem(), of.Name()+"."+of.Field(i).Name
			switch field := f.Field(i); {
			case field.Kind() == reflect.Map:
				field.Set(reflect.ValueOf(map[string]string{"x": secret}))
			case field.Kind() != reflect.String:
				continue
			case strings.HasSuffix(name, "URL"), strings.HasSuffix(name, "Proxy"):
				field.SetString("scheme://u:" + secret + "@" + secret + "@host/path?x=1&password=" + secret + "&api_key=" + secret)
			default:
				field.SetString(secret)
			}
			seen++
			service := spec.Service{}
			at := reflect.ValueOf(&service).Elem().FieldByName(of.Name())
			at.Set(f.Addr())
			for _, value := range []any{f.Interface(), f.Addr().Interface(), service, &service, setup(f.Interface())} {
				require.Equal(t, !secrets[name], strings.Contains(everyWay(t, value), secret), "%s in %T", name, value)
			}
		}
	}
	require.Equal(t, 1+9+2+3, seen, "a new text of a service: is it a secret?")
}

// setup is what a service is made of, which must not print it either.
func setup(config any) any {
	switch c := config.(type) {
	case spec.KV:
		return services.Setup[spec.KV]{Name: "s", Config: c}
	case spec.HTTP:
		return services.Setup[spec.HTTP]{Name: "s", Config: c}
	case spec.SQL:
		return services.Setup[spec.SQL]{Name: "s", Config: c}
	default:
		return services.Setup[spec.LLM]{Name: "s", Config: c.(spec.LLM)}
	}
}

// everyWay prints a value in all the ways that people do.
func everyWay(t *testing.T, value any) string {
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", value)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("m", "value", value)
	j, err := json.Marshal(value)
	require.NoError(t, err)
	b.Write(j)
	return b.String()
}
