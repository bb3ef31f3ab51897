package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/httpapi"
	"github.com/ergon-framework/ergon/services/httpapi/httpapitest"
)

// Every status has a category, and is tried again in place or not.
func TestStatuses(t *testing.T) {
	const later, final, wrong = "later", "final", "wrong"
	for status, is := range map[int]string{
		200: "", 201: "", 299: "", 300: wrong, 301: final, 302: final, 303: final, 304: wrong, 307: final,
		308: final, 400: wrong, 401: final, 402: wrong, 403: final, 404: wrong, 407: final,
		408: later, 409: wrong, 410: wrong, 418: wrong, 422: wrong, 425: later, 429: later, 451: wrong, 500: later, 501: later,
		502: later, 503: later, 504: later, 599: later,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			api := httpapitest.New(t)
			api.Handle("/", httpapitest.Status(status, `{"id":"no such\n\tcustomer"}`))
			c := customers(t, api.Setup("customers"))
			_, err := c.Of(t.Context(), "17")
			if status == 304 { // which has no body
				require.ErrorContains(t, err, "304 Not Modified")
			}
			var failed *httpapi.StatusError
			switch is {
			case "":
				require.NoError(t, err)
				require.Len(t, api.Requests(), 1)
				return
			case wrong:
				require.ErrorIs(t, err, ergon.CategoryBusiness)
				require.Len(t, api.Requests(), 1)
			case final:
				require.ErrorIs(t, err, ergon.CategorySystem)
				require.Len(t, api.Requests(), 1)
			case later:
				want := ergon.CategorySystem
				if status == 408 || status == 504 {
					want = ergon.CategoryTimeout
				}
				require.ErrorIs(t, err, want)
				require.Len(t, api.Requests(), 3)
				require.ErrorContains(t, err, "after 3 attempts")
			}
			require.ErrorAs(t, err, &failed)
			require.Equal(t, status, failed.Status)
			require.Equal(t, "customers/17", failed.Path)
			require.ErrorIs(t, failed, ergon.CategoryOf(err), "by itself it says the same")
			if status != 304 {
				require.Equal(t, `{"id":"no such\n\tcustomer"}`, failed.Body)
			}
		})
	}
}

// What a server asks its callers to wait reaches the engine, in both forms and capped.
func TestRetryAfter(t *testing.T) {
	now := time.Now().UTC()
	for name, c := range map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"seconds": {http.Header{"Retry-After": {"120"}}, 2 * time.Minute},
		"date":    {http.Header{"Retry-After": {now.Add(time.Minute).Format(http.TimeFormat)}, "Date": {now.Format(http.TimeFormat)}}, time.Minute},
		"a date by the server's clock, which is wrong": {
			http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:00:30 GMT"}, "Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}}, 30 * time.Second},
		"for ever": {http.Header{"Retry-After": {"99999999999999999999"}}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			api := httpapitest.New(t)
			api.Handle("POST /customers", func(w http.ResponseWriter, _ *http.Request) {
				for name, values := range c.header {
					w.Header()[name] = values
				}
				w.WriteHeader(http.StatusServiceUnavailable)
			})
			_, err := customers(t, api.Setup("customers")).Add(t.Context(), ann)
			require.ErrorIs(t, err, ergon.CategorySystem)
			after, ok := ergon.RetryAfterOf(err)
			require.True(t, ok)
			require.Equal(t, c.want, after)
		})
	}
}

// In place no wait is longer than the policy's cap, whatever the server says.
func TestRetryAfterInPlace(t *testing.T) {
	api := httpapitest.New(t)
	api.Handle("/", httpapitest.InTurn(httpapitest.RetryAfter(429, time.Hour), httpapitest.JSON(ann)))
	got, err := customers(t, api.Setup("customers")).Of(t.Context(), "17")
	require.NoError(t, err)
	require.Equal(t, ann, got)
	require.Len(t, api.Requests(), 2)
}

// A connection that fails is SYSTEM, one that says nothing TIMEOUT, and both are tried again.
func TestConnections(t *testing.T) {
	api := httpapitest.New(t)
	for name, c := range map[string]struct {
		answer   httpapitest.Answer
		category ergon.Category
		is       error
	}{
		"reset":      {httpapitest.Reset(), ergon.CategorySystem, syscall.ECONNRESET},
		"stall":      {api.Stall(), ergon.CategoryTimeout, nil},
		"half":       {httpapitest.Cut(`{"id":"17","na`), ergon.CategorySystem, io.ErrUnexpectedEOF},
		"half stall": {stallIn(`{"id":"17","na`), ergon.CategoryTimeout, nil},
	} {
		t.Run(name, func(t *testing.T) {
			api := httpapitest.New(t)
			client := customers(t, api.Setup("customers"), func(s *setup) { s.Policy.Retry.Timeout = policy.Duration(100 * time.Millisecond) })
			api.Handle("GET /customers/bad", c.answer)
			api.Handle("GET /customers/well", httpapitest.InTurn(c.answer, httpapitest.JSON(ann)))
			_, err := client.Of(t.Context(), "bad")
			require.ErrorIs(t, err, c.category)
			require.ErrorContains(t, err, "GET customers/bad")
			require.ErrorContains(t, err, "after 3 attempts")
			require.NotContains(t, err.Error(), "fields=all", "what was asked for is not told")
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			got, err := client.Of(t.Context(), "well")
			require.NoError(t, err)
			require.Equal(t, ann, got)
		})
	}
	gone := api.Setup("customers")
	gone.Config.URL = "http://127.0.0.1:1"
	_, err := customers(t, gone).Of(t.Context(), "17")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.ErrorIs(t, err, ergon.CategorySystem)
}

// stallIn begins an answer and says no more.
func stallIn(begin string) httpapitest.Answer {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, begin)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// An answer is read up to a bound, as it is after decompression; it is not asked for again.
func TestTooLong(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.Copy(z, io.LimitReader(spaces{}, 8<<20))
	require.NoError(t, z.Close())
	for name, answer := range map[string]httpapitest.Answer{
		"endless": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, spaces{}) },
		"bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := httpapitest.New(t)
			api.Handle("/", answer)
			_, err := customers(t, api.Setup("customers"), func(s *setup) { s.Config.MaxResponse = 1000 }).Of(t.Context(), "17")
			require.EqualError(t, err, "SYSTEM: customers.of: GET customers/17: read the answer: the answer is too long: over 1000 bytes: max_response says how long it may be")
			require.Len(t, api.Requests(), 1)
		})
	}
	api := httpapitest.New(t)
	api.Handle("/", httpapitest.Status(200, `{"id":"17"}`))
	_, err := customers(t, api.Setup("customers"), func(s *setup) { s.Config.MaxResponse = 11 }).Of(t.Context(), "17")
	require.NoError(t, err, "as long as it may be")
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// An answer that is not what was asked for says where, and is not asked for again.
func TestAnswersThatAreNotJSON(t *testing.T) {
	long := strings.Repeat("x", 500)
	for body, want := range map[string]string{
		"": `the answer, 200 OK, is empty: a httpapi_test.Customer was asked for, and httpapi.None takes an empty one`,
		`<html>` + long: `decode the answer ("application/json", 506 bytes) as a httpapi_test.Customer: at byte 1: ` +
			`invalid character '<' looking for beginning of value, near "<html>` + long[:35] + `"`,
		`{"id":"1","age":"x"}`: `decode the answer ("application/json", 20 bytes) as a httpapi_test.Customer: at byte 19: ` +
			`json: cannot unmarshal string into Go struct field Customer.age of type int, near "{\"id\":\"1\",\"age\":\"x\"}"`,
		`{"id":"1"`:   `decode the answer ("application/json", 9 bytes) as a httpapi_test.Customer: at byte 9: unexpected end of JSON input, near "{\"id\":\"1\""`,
		`{"id":"1"}{`: `at byte 11: invalid character '{' after top-level value, near "{\"id\":\"1\"}{"`,
	} {
		api := httpapitest.New(t)
		api.Handle("/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		})
		got, err := customers(t, api.Setup("customers")).Of(t.Context(), "17")
		require.ErrorContains(t, err, "SYSTEM: customers.of: GET customers/17: ")
		require.ErrorContains(t, err, want)
		require.Zero(t, got)
		require.Len(t, api.Requests(), 1)
		_, err = httpapi.Get[httpapi.None](t.Context(), customers(t, api.Setup("other")).Operation("check", services.Idempotent), "x")
		require.NoError(t, err, "None takes any")
	}
}
