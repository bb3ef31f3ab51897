package app_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
)

// Requests are stored, and records kept, with what the page says that they need, and a
// retry can be told from another request.
func TestSecuredRequests(t *testing.T) {
	p := readPage(t)
	more := map[string][]string{
		"": {"$JS.API.STREAM.MSG.GET.RETAIL", "retail.lines"},
		", records: { bucket: REQUESTS }": {
			"retail.lines", "$JS.API.STREAM.INFO.KV_REQUESTS", "$JS.API.DIRECT.GET.KV_REQUESTS.>", "$KV.REQUESTS.>", "$JS.API.STREAM.CREATE.KV_REQUESTS",
		},
	}
	for records, subjects := range more {
		conf := p.permissions(t, "$JS.API.STREAM.MSG.GET.RETAIL")
		end := strings.LastIndex(conf, "  ]\n}")
		for _, subject := range subjects {
			conf = conf[:end] + "    \"" + subject + "\"\n" + conf[end:]
		}
		s := newSecured(t, t.TempDir(), users(conf, byPassword), nil, asAdmin)
		s.write("nats-password", password+"\n")
		text := strings.NewReplacer("nats:4222", s.url, "/run/secrets", s.dir).Replace(p.yaml[0])
		text = regexp.MustCompile(`source: \{`).ReplaceAllLiteralString(text, "source: { http: { routes: [{ path: /in }]"+records+" },")
		cfg, err := config.Parse("secured-nats.md", []byte(text), nil)
		require.NoError(t, err)
		cfg.Admin.Listen, cfg.HTTP.Address = "off", "127.0.0.1:0"
		r := start(t, cfg, func() app.Task { return app.Consume("score", scorer{}) })
		for range 2 {
			code, _, answer := ask(t, r, "POST", "/in", `"x"`, "Idempotency-Key", "k")
			require.Equal(t, 202, code, answer)
		}
		code, _, answer := ask(t, r, "POST", "/in", `"y"`, "Idempotency-Key", "k")
		require.Equal(t, 422, code, answer)
		if records != "" {
			_, header, _ := ask(t, r, "POST", "/in", `"x"`, "Idempotency-Key", "k")
			require.Eventually(t, func() bool {
				_, _, answer := ask(t, r, "GET", header.Get("Location"), "")
				return strings.Contains(answer, "succeeded")
			}, 30*time.Second, 10*time.Millisecond)
		}
		stop(t, r)
	}
}
