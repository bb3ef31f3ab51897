package http_test

import (
	"compress/gzip"
	"fmt"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

func TestSinkAnswers(t *testing.T) {
	const business, system, timeout = ergon.CategoryBusiness, ergon.CategorySystem, ergon.CategoryTimeout
	date := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		status int
		after  string // Retry-After
		retry  []int
		want   ergon.Category // "" for success
		wait   time.Duration  // -1 for none that is asked for
	}{
		{status: 200}, {status: 201}, {status: 202}, {status: 204}, {status: 299},
		{status: 301, want: system, wait: -1}, {status: 304, want: system, wait: -1},
		{status: 400, want: business, wait: -1}, {status: 404, want: business, wait: -1},
		{status: 401, want: system, wait: -1}, {status: 407, want: system, wait: -1},
		{status: 403, want: business, wait: -1}, {status: 403, after: "5", want: system, wait: 5 * time.Second},
		{status: 403, retry: []int{403, 409}, want: system, wait: -1},
		{status: 409, want: business, wait: -1}, {status: 409, retry: []int{409}, after: "1", want: system, wait: time.Second},
		{status: 413, after: "5", want: business, wait: -1}, {status: 422, want: business, wait: -1},
		{status: 408, want: timeout, wait: -1}, {status: 425, want: system, wait: -1},
		{status: 429, after: "7", want: system, wait: 7 * time.Second},
		{status: 500, want: system, wait: -1}, {status: 501, want: system, wait: -1},
		{status: 502, want: system, wait: -1}, {status: 504, want: timeout, wait: -1},
		{status: 504, after: "3", want: timeout, wait: 3 * time.Second},
		{status: 503, after: " 2 ", want: system, wait: 2 * time.Second},
		{status: 503, after: "0", want: system, wait: 0},
		{status: 503, after: date.Add(9 * time.Second).Format(nethttp.TimeFormat), want: system, wait: 9 * time.Second},
		{status: 503, after: date.Add(9 * time.Second).Format(time.RFC850), want: system, wait: 9 * time.Second},
		{status: 503, after: date.Add(9 * time.Second).Format(time.ANSIC), want: system, wait: 9 * time.Second},
		{status: 503, after: date.Add(-9 * time.Second).Format(nethttp.TimeFormat), want: system, wait: 0},
		{status: 503, after: date.Add(1e6 * time.Hour).Format(nethttp.TimeFormat), want: system, wait: time.Hour},
		{status: 503, after: strings.Repeat("9", 40), want: system, wait: time.Hour},
		{status: 503, after: "-1", want: system, wait: -1}, {status: 503, after: "1.5", want: system, wait: -1},
		{status: 503, after: "soon", want: system, wait: -1},
		{status: 600, want: system, wait: -1}, {status: 999, want: system, wait: -1},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.after, c.retry), func(t *testing.T) {
			r := newReceiver(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
				w.Header().Set("Date", date.Format(nethttp.TimeFormat))
				if c.after != "" {
					w.Header().Set("Retry-After", c.after)
				}
				w.WriteHeader(c.status)
			})
			err := send(t, newSink(t, http.SinkOptions{URL: r.URL, RetryStatuses: c.retry}), order())
			r.only(t)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, c.want, category(err), "%v", err)
			want := fmt.Sprintf("%s: POST %s: %d", c.want, r.URL, c.status)
			require.True(t, strings.HasPrefix(err.Error(), want), "%q does not begin with %q", err, want)
			wait, asked := ergon.RetryAfterOf(err)
			if c.wait < 0 {
				require.False(t, asked, "%v", err)
				return
			}
			require.True(t, asked, "%v", err)
			require.Equal(t, c.wait, wait)
		})
	}
}

func TestSinkKeepsTheStartOfARefusal(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		gzip bool
		want string
	}{
		"text":       {body: `{"error":"no such sku"}`, want: `: {"error":"no such sku"}`},
		"control":    {body: "a\r\n\x1b[31mb\x00\tc\u2028d", want: ": a [31mb c d"},
		"not UTF-8":  {body: "a\xff\xfeb", want: ": a?b"},
		"long":       {body: strings.Repeat("x", 1<<20), want: ": " + strings.Repeat("x", 256) + "…"},
		"cut rune":   {body: strings.Repeat("x", 511) + "é", want: ": " + strings.Repeat("x", 256) + "…"},
		"secret":     {body: "you said Bearer sesame-token", want: ": you said …"},
		"compressed": {body: "squeezed", gzip: true, want: ": squeezed"},
		"empty":      {want: "Unprocessable Entity"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
				if c.gzip {
					w.Header().Set("Content-Encoding", "gzip")
					w.WriteHeader(422)
					z := gzip.NewWriter(w)
					_, _ = z.Write([]byte(c.body))
					_ = z.Close()
					return
				}
				w.WriteHeader(422)
				_, _ = w.Write([]byte(c.body))
			})
			err := send(t, newSink(t, http.SinkOptions{URL: r.URL + "?key=query", Bearer: "sesame-token"}), order())
			require.Equal(t, ergon.CategoryBusiness, category(err))
			require.True(t, strings.HasSuffix(err.Error(), c.want), "%q does not end in %q", err, c.want)
			require.NotContains(t, err.Error(), "sesame")
			require.NotContains(t, err.Error(), "query")
		})
	}
}

func TestSinkRedirects(t *testing.T) {
	other := newReceiver(t, nil)
	r := newReceiver(t, func(w nethttp.ResponseWriter, q *nethttp.Request) {
		to, status := "", 307
		switch q.URL.Path {
		case "/307":
			to = "/end?a=b#f"
		case "/308":
			to, status = "//u:p@"+q.Host+"/end", 308
		case "/302":
			to, status = "/end", 302
		case "/303":
			to, status = "/end", 303
		case "/other":
			to = other.URL + "/x?secret=yes"
		case "/scheme":
			to = "https://" + q.Host + "/end"
		case "/file":
			to = "file:///etc/passwd"
		case "/bad":
			to = "http://[::1"
		case "/none":
		case "/loop":
			to = "/loop"
		default:
			return
		}
		if to != "" {
			w.Header().Set("Location", to)
		}
		w.WriteHeader(status)
	})
	for path, c := range map[string]struct {
		requests int
		fault    string
	}{
		"/307":    {2, ""},
		"/308":    {2, ""},
		"/302":    {1, "302 Found, and it leads to " + r.URL + "/end, and would make it another request"},
		"/303":    {1, "would make it another request"},
		"/other":  {1, "it leads to " + other.URL + "/x, which is not where the transaction was to go"},
		"/scheme": {1, "which is not where"},
		"/file":   {1, "which is not where"},
		"/bad":    {1, "it leads nowhere"},
		"/none":   {1, "it leads nowhere"},
		"/loop":   {6, "it redirects again and again"},
	} {
		t.Run(path, func(t *testing.T) {
			before := len(r.requests())
			err := send(t, newSink(t, http.SinkOptions{URL: r.URL + path, Bearer: "token"}), order())
			seen := r.requests()[before:]
			require.Len(t, seen, c.requests)
			for _, q := range seen { // all of it goes to each hop
				require.Equal(t, "POST", q.Method)
				require.Equal(t, string(order().Payload()), q.Body)
				require.Equal(t, "Bearer token", q.Header.Get("Authorization"))
				require.Equal(t, "tx-1", q.Header.Get("Idempotency-Key"))
				require.Empty(t, q.Header.Get("Referer"))
			}
			if c.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.fault)
			require.NotContains(t, err.Error(), "secret")
			require.Equal(t, ergon.CategorySystem, category(err))
		})
	}
	require.Empty(t, other.requests())
}
