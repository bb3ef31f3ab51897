package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/services/httpapi"
	"github.com/ergon-framework/ergon/services/httpapi/httpapitest"
	"github.com/ergon-framework/ergon/services/spec"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// No credential is in an error, also where a server sends back what it got; nor in what a
// client prints as.
func TestSecretsAreNotShown(t *testing.T) {
	const secret = `s3"cr/et+key`
	quoted, err := json.Marshal(secret)
	require.NoError(t, err)
	hidden := []string{secret, strings.Trim(string(quoted), `"`), "czNcImNyL2V0K2tleQ==", "me:" + secret, "bWU6cz", `s3"`, `s3\"`}
	for name, config := range map[string]spec.HTTP{
		"bearer":   {Bearer: secret},
		"password": {User: "me", Password: secret},
		"header":   {Headers: map[string]string{"X-Api-Key": secret}},
		"scheme":   {Headers: map[string]string{"Authorization": "Token " + secret}},
	} {
		t.Run(name, func(t *testing.T) {
			api := httpapitest.New(t)
			api.Handle("/raw/", func(w http.ResponseWriter, r *http.Request) {
				text, _ := httputil.DumpRequest(r, true)
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write(text)
			})
			api.Handle("/json/", func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusForbidden)
				_ = json.NewEncoder(w).Encode(r.Header)
			})
			api.Handle("/broken/", func(w http.ResponseWriter, r *http.Request) {
				sent := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key")
				at := strings.LastIndex(sent, " ") + 1
				_, _ = fmt.Fprintf(w, "[oops%s%s", strings.Repeat(".", 29), sent[at:]) // an excerpt ends within it
			})
			c := customers(t, api.Setup("customers"), func(s *setup) {
				config.URL = s.Config.URL
				s.Config = config
			})
			texts := []string{fmt.Sprintf("%v", c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%+v", *c.Client), fmt.Sprintf("%#v", *c.Client)}
			var log strings.Builder
			slog.New(slog.NewJSONHandler(&log, nil)).Info("made", "client", c.Client)
			texts = append(texts, log.String())
			for _, path := range []string{"raw/", "json/", "broken/"} {
				_, err := httpapi.Get[Customer](t.Context(), c.of, path)
				require.Error(t, err)
				texts = append(texts, err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err))
			}
			require.Contains(t, strings.Join(texts, "\n"), "…")
			for _, text := range texts {
				for _, h := range hidden {
					require.NotContains(t, text, h)
				}
			}
		})
	}
}

// What is wrong with a configuration is said at once, by its setting, and without its value.
func TestConfigurations(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	missing := filepath.Join(dir, "missing.pem")
	for want, c := range map[string]spec.HTTP{
		"url: there is none":                           {},
		"url: it is no URL":                            {URL: "http://me:s3cret/x@host"},
		"url: it begins neither with":                  {URL: "ftp://host"},
		"url: it holds credentials":                    {URL: "http://me:s3cret@host"},
		"url: it has a query":                          {URL: "http://host?key=s3cret"},
		"bearer, user and headers: more than one":      {URL: "http://host", Bearer: "s3cret", User: "me"},
		"bearer: it can't stand":                       {URL: "http://host", Bearer: "s3cret\n"},
		`headers: "X-Key" can't be one's name, or its`: {URL: "http://host", Headers: map[string]string{"X-Key": "s3cret\n"}},
		`headers: "X Key" can't be one's name`:         {URL: "http://host", Headers: map[string]string{"X Key": "s3cret"}},
		`headers: "accept-encoding" can't be set`:      {URL: "http://host", Headers: map[string]string{"accept-encoding": "br"}},
		"connections and max_response":                 {URL: "http://host", Connections: -1},
		"ca: open " + missing:                          {URL: "http://host", CA: missing},
		"ca: " + empty + " has no certificate":         {URL: "http://host", CA: empty},
		"cert and key: one without":                    {URL: "http://host", Cert: empty},
		"cert and key: tls: failed to find":            {URL: "http://host", Cert: empty, Key: empty},
		"proxy: it is neither":                         {URL: "http://host", Proxy: "http://me:s3cret/@proxy"},
		`proxy: its scheme is "ftp"`:                   {URL: "http://host", Proxy: "ftp://me:s3cret@proxy"},
	} {
		_, err := httpapi.New(setup{Name: "customers", Config: c})
		require.ErrorContains(t, err, `service "customers": `+want)
		require.NotContains(t, err.Error(), "s3cret")
	}
	_, err := httpapi.New(setup{Name: "Customers", Config: spec.HTTP{URL: "http://host"}})
	require.ErrorContains(t, err, `service "Customers"`)
}
