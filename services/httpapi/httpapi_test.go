package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/httpapi"
	"github.com/ergon-framework/ergon/services/httpapi/httpapitest"
	"github.com/ergon-framework/ergon/services/spec"
)

type setup = services.Setup[spec.HTTP]

// quick is the default policy without its waits.
func quick(s *setup) {
	s.Policy = policy.DefaultService()
	s.Policy.Retry.Backoff, s.Policy.Retry.BackoffCap = policy.Duration(time.Millisecond), policy.Duration(time.Millisecond)
}

func customers(t *testing.T, s setup, change ...func(*setup)) *Customers {
	t.Helper()
	for _, c := range append([]func(*setup){quick}, change...) {
		c(&s)
	}
	c, err := NewCustomers(s)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	return c
}

var ann = Customer{ID: "a/b?c", Name: "Ann", Age: 41}

func TestGet(t *testing.T) {
	api := httpapitest.New(t)
	api.Handle("GET /v1/customers/{id}", func(w http.ResponseWriter, r *http.Request) {
		if id := r.PathValue("id"); id != "a/b?c" {
			t.Errorf("an ID is one segment, whatever it holds: it came as %q", id)
		}
		httpapitest.JSON(ann)(w, r)
	})
	c := customers(t, api.Setup("customers"), func(s *setup) {
		s.Config.URL += "/v1/"
		s.Config.Bearer = "t0ken"
		s.Config.Headers = map[string]string{"x-tenant": "shop"}
	})

	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	ctx, parent := provider.Tracer("test").Start(t.Context(), "process.attempt.1")
	got, err := c.Of(ctx, "a/b?c")
	require.NoError(t, err)
	require.Equal(t, ann, got)

	asked := api.Requests()[0]
	require.Equal(t, "fields=all", asked.Query.Encode())
	header := asked.Header.Clone()
	require.Regexp(t, "^00-"+parent.SpanContext().TraceID().String()+"-[0-9a-f]{16}-01$", header.Get("Traceparent"))
	require.NotContains(t, header.Get("Traceparent"), parent.SpanContext().SpanID().String(), "it names the call's own span")
	header.Del("Traceparent")
	require.Equal(t, http.Header{"Accept": {"application/json"}, "User-Agent": {"ergon"}, "Authorization": {"Bearer t0ken"},
		"X-Tenant": {"shop"}, "Accept-Encoding": {"gzip"}}, header, "a read carries no key")

	span := recorder.Ended()[0]
	attributes := map[string]string{}
	for _, a := range span.Attributes() {
		attributes[string(a.Key)] = a.Value.String()
	}
	require.Equal(t, map[string]string{"ergon.service": "customers", "ergon.service.operation": "customers.of",
		"http.request.method": "GET", "http.response.status_code": "200", "server.address": "127.0.0.1"}, attributes)
}

// An operation that happens once carries the same key in each attempt of the engine, and
// another one in another transaction.
func TestKeys(t *testing.T) {
	api := httpapitest.New(t)
	api.Handle("POST /customers", httpapitest.InTurn(httpapitest.Status(500, ""), httpapitest.JSON(ann)))
	c := customers(t, api.Setup("customers"), func(s *setup) { s.Config.User, s.Config.Password = "me", "pa:ss" })
	attempt := func(transaction string, n int) error {
		_, err := c.Add(ergon.WithExecution(t.Context(), &ergon.Execution{Source: "s", TransactionID: transaction, Task: "t", Phase: ergon.PhaseProcess, Attempt: n}), ann)
		return err
	}
	require.EqualError(t, attempt("1", 1), "SYSTEM: customers.add: POST customers: 500 Internal Server Error", "it is not tried again in place")
	require.NoError(t, attempt("1", 2))
	require.NoError(t, attempt("2", 1))
	_, err := c.Add(t.Context(), ann)
	require.NoError(t, err)
	_, err = httpapi.Do[httpapi.None](t.Context(), c.Operation("pay", services.Once), "POST", "customers", nil, httpapi.Key("order-17"), httpapi.Header("authorization", "other"))
	require.NoError(t, err)

	var keys []string
	for _, r := range api.Requests() {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		user, password, _ := (&http.Request{Header: r.Header}).BasicAuth()
		require.Equal(t, "me pa:ss", user+" "+password)
	}
	require.Len(t, keys, 5)
	require.NotEmpty(t, keys[0])
	require.Equal(t, keys[0], keys[1])
	require.NotEqual(t, keys[1], keys[2])
	require.NotEmpty(t, keys[3])
	require.Equal(t, "order-17", keys[4])
	require.JSONEq(t, `{"id":"a/b?c","name":"Ann","age":41}`, string(api.Requests()[0].Body))
	require.Equal(t, "application/json", api.Requests()[0].Header.Get("Content-Type"))
	require.Empty(t, api.Requests()[4].Body)
}

// What can't be asked is not: no request is made of it, and none would be of another attempt.
func TestRequestsThatAreNone(t *testing.T) {
	api := httpapitest.New(t)
	c := customers(t, api.Setup("customers"))
	for _, id := range []string{"", ".", ".."} {
		_, err := c.Of(t.Context(), id)
		require.ErrorIs(t, err, ergon.CategoryBusiness, id)
		require.ErrorContains(t, err, "customers.of: path", id)
	}
	for path, says := range map[string]string{"a?b=c": "httpapi.Query", "a#b": "fragment", "a/%2e%2E/b": "segment", "a%zz": "invalid URL escape"} {
		_, err := httpapi.Get[Customer](t.Context(), c.of, path)
		require.ErrorIs(t, err, ergon.CategoryBusiness, path)
		require.ErrorContains(t, err, says, path)
	}
	_, err := httpapi.Post[Customer](t.Context(), c.add, "customers", func() {})
	require.EqualError(t, err, "BUSINESS: customers.add: POST customers: encode a func(): json: unsupported type: func()")
	_, err = httpapi.Do[Customer](t.Context(), c.of, "GE T", "customers", nil)
	require.ErrorIs(t, err, ergon.CategoryBusiness)
	require.Empty(t, api.Requests())
}

// observer answers for one operation.
type observer struct{ asked []string }

func (o *observer) Before(_ context.Context, operation string, request any) (any, bool, error) {
	text, err := json.Marshal(request)
	o.asked = append(o.asked, operation+" "+string(text))
	return ann, true, err
}
func (o *observer) After(context.Context, string, any, any, error) {}

// An observer sees what is asked, without credentials, and may answer for it.
func TestObserver(t *testing.T) {
	api := httpapitest.New(t)
	c := customers(t, api.Setup("customers"), func(s *setup) { s.Config.Bearer = "t0ken" })
	o := &observer{}
	ctx := ergon.WithCallObserver(ergon.WithExecution(t.Context(), &ergon.Execution{TransactionID: "1"}), o)
	got, err := c.Of(ctx, "17")
	require.NoError(t, err)
	require.Equal(t, ann, got)
	_, err = c.Add(ctx, ann)
	require.NoError(t, err)
	require.Empty(t, api.Requests())
	key := ergon.NewID(ergon.WithExecution(t.Context(), &ergon.Execution{TransactionID: "1"}))
	require.Equal(t, []string{
		`customers.of {"method":"GET","path":"customers/17","query":{"fields":["all"]}}`,
		`customers.add {"method":"POST","path":"customers","key":"` + key + `","body":{"id":"a/b?c","name":"Ann","age":41}}`,
	}, o.asked)
}
