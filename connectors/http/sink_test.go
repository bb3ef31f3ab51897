package http_test

import (
	"fmt"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestSinkSendsTheWholeTransaction(t *testing.T) {
	r := newReceiver(t, nil)
	s := newSink(t, http.SinkOptions{
		URL: r.URL + "/orders?key=sesame", Method: "PUT", User: "shop", Password: "pw",
		Headers: map[string]string{"X-Flow": "of {correlation_id}", "user-agent": "shop/1"},
	})
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	tx := order(ergon.WithKey("customer 7"), ergon.WithCausationID("cause"), ergon.WithCorrelationID("flow"),
		ergon.WithCreatedAt(at), ergon.WithMetadata("tenant", "a"), ergon.WithMetadata("tenant", "b c"),
		ergon.WithContentType("application/vnd.order+json"), ergon.WithTrace(ergon.Trace{Parent: trace, State: "v=1"}))
	require.NoError(t, send(t, s, tx))
	q := r.only(t)
	require.Equal(t, "PUT", q.Method)
	require.Equal(t, "/orders?key=sesame", q.RequestURI)
	require.Equal(t, string(tx.Payload()), q.Body)
	user, password, _ := q.BasicAuth()
	require.Equal(t, "shop pw", user+" "+password)
	got := q.Header.Clone()
	got.Del("Authorization")
	require.Equal(t, nethttp.Header{
		"Accept-Encoding": {"gzip"}, "Content-Length": {fmt.Sprint(len(q.Body))}, "User-Agent": {"shop/1"},
		"Content-Type": {"application/vnd.order+json"}, "Idempotency-Key": {"tx-1"}, "X-Flow": {"of flow"},
		"Ce-Specversion": {"1.0"}, "Ce-Id": {"tx-1"}, "Ce-Source": {"/shop"}, "Ce-Type": {"placed"},
		"Ce-Time": {"2026-01-02T03:04:05.000006Z"}, "Ce-Subject": {"customer%207"},
		"Ce-Causationid": {"cause"}, "Ce-Correlationid": {"flow"}, "Ergon-Meta-Tenant": {"a", "b%20c"},
		"Traceparent": {trace}, "Tracestate": {"v=1"},
	}, got)
}

func TestSinkWithoutCloudEvents(t *testing.T) {
	r := newReceiver(t, nil)
	s := newSink(t, http.SinkOptions{URL: r.URL, CloudEvents: "off", Bearer: "token"})
	require.NoError(t, send(t, s, order(ergon.WithMetadata("tenant", "a"))))
	q := r.only(t)
	require.Equal(t, nethttp.Header{
		"Accept-Encoding": {"gzip"}, "Content-Length": {fmt.Sprint(len(q.Body))}, "User-Agent": {"ergon"},
		"Content-Type": {"application/json"}, "Idempotency-Key": {"tx-1"}, "Authorization": {"Bearer token"},
	}, q.Header)
}

func TestSinkDeletesWithoutABody(t *testing.T) {
	r := newReceiver(t, nil)
	s := newSink(t, http.SinkOptions{URL: r.URL + "/orders/{payload.order.id}", Method: "DELETE"})
	require.NoError(t, send(t, s, order()))
	q := r.only(t)
	require.Equal(t, "DELETE /orders/A%207", q.Method+" "+q.RequestURI)
	require.Empty(t, q.Body)
	require.NotContains(t, q.Header, "Content-Type")
}

func TestSinkTemplates(t *testing.T) {
	r := newReceiver(t, nil)
	for _, c := range []struct {
		url, value, want, fault string // value is that of {meta.v}
	}{
		{url: "/o/{payload.order.id}?n={payload.order.total}&p={payload.order.paid}", want: "/o/A%207?n=12345678901234567890&p=true"},
		{url: "/o/{payload.order.lines.0.sku}", want: "/o/x"},
		{url: "/{source}/{type}?{id}={correlation_id}", want: "/%2Fshop/placed?tx-1=tx-1"},
		{url: "/a/{meta.v}/b", value: "x/y?z#é%&=+", want: "/a/x%2Fy%3Fz%23%C3%A9%25&=+/b"},
		{url: "/a?q={meta.v}&b=1", value: "x/y?z#é%&=+ ", want: "/a?q=x%2Fy%3Fz%23%C3%A9%25%26%3D%2B+&b=1"},
		{url: "/a?q={meta.v}", value: "", want: "/a?q="},
		{url: "/a/{meta.v}", value: "\r\nX: y\x00", want: "/a/%0D%0AX:%20y%00"},
		{url: "/a/{meta.v}", value: "", fault: "meta.v is empty"},
		{url: "/a/{meta.v}/b", value: "..", fault: `meta.v is "..", which leads to another path`},
		{url: "/a/{meta.v}", value: `..\b`, fault: "leads to another path"},
		{url: "/a/{meta.v}", value: "b/./c", fault: "leads to another path"},
		{url: "/a/{meta.v}", value: "..b", want: "/a/..b"},
		{url: "/a/{meta.none}", fault: "url: the transaction has no meta.none"},
		{url: "/a?k={key}", fault: "url: the transaction has no key"},
		{url: "/a?k={payload.order.none}", fault: "payload.order.none is not in the payload"},
		{url: "/a?k={payload.order.note}", fault: "payload.order.note is not in the payload"},
		{url: "/a?k={payload.order.lines.1.sku}", fault: "is not in the payload"},
		{url: "/a?k={payload.order.id.x}", fault: "is not in the payload"},
		{url: "/a?k={payload.order}", fault: "is an object or an array"},
	} {
		t.Run(c.url+" "+c.value, func(t *testing.T) {
			before := len(r.requests())
			s := newSink(t, http.SinkOptions{URL: r.URL + c.url})
			err := send(t, s, order(ergon.WithMetadata("v", c.value)))
			if c.fault != "" {
				require.ErrorContains(t, err, c.fault)
				require.Equal(t, ergon.CategoryBusiness, category(err))
				require.Len(t, r.requests(), before)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, r.requests()[before].RequestURI)
		})
	}
}

func TestSinkNeedsJSONOnlyForTemplates(t *testing.T) {
	r := newReceiver(t, nil)
	tx := ergon.New([]byte("no JSON"), ergon.WithContentType("text/plain"))
	require.NoError(t, send(t, newSink(t, http.SinkOptions{URL: r.URL + "/{id}"}), tx))
	err := send(t, newSink(t, http.SinkOptions{URL: r.URL + "/{payload.id}"}), tx)
	require.ErrorContains(t, err, "url: {payload.id} needs a payload in JSON")
	require.Equal(t, ergon.CategoryBusiness, category(err))
}

func TestSinkKeepsHeadersWhole(t *testing.T) {
	r := newReceiver(t, nil)
	s := newSink(t, http.SinkOptions{URL: r.URL, Headers: map[string]string{"X-V": "{{{meta.v}}}"}})
	require.NoError(t, send(t, s, order(ergon.WithMetadata("v", "a\tb é"))))
	require.Equal(t, "{a\tb é}", r.only(t).Header.Get("X-V"))
	for _, bad := range []string{"a\r\nX-Other: b", "a\nb", "\x00", "\x7f"} {
		err := send(t, s, order(ergon.WithMetadata("v", bad)))
		require.ErrorContains(t, err, "header X-V: a control character stands in meta.v")
		require.Equal(t, ergon.CategoryBusiness, category(err))
	}
	err := send(t, s, order(ergon.WithMetadata("v", ""), ergon.WithContentType("text/plain\r\nX: y")))
	require.ErrorContains(t, err, "Content-Type")
	require.Len(t, r.requests(), 1)
}

func TestSinkOptionsFaults(t *testing.T) {
	secret := "whsec_" + strings.Repeat("QUFB", 10)
	for _, c := range []struct {
		options http.SinkOptions
		fault   string // "" for none
	}{
		{http.SinkOptions{URL: "https://a.example/{id}"}, ""},
		{http.SinkOptions{URL: "https://[2001:db8::1]:8443/{id}"}, ""},
		{http.SinkOptions{URL: "https://{meta.r}.a.example:8443/", HostFromData: true, Bearer: "t"}, ""},
		{http.SinkOptions{URL: "https://{meta.h}/", HostFromData: true, SigningSecrets: []string{secret}}, ""},
		{http.SinkOptions{}, "url: it is missing"},
		{http.SinkOptions{URL: "a.example"}, "url: it has to begin with https"},
		{http.SinkOptions{URL: "{meta.s}://a.example"}, "url: it has to begin with https"},
		{http.SinkOptions{URL: "ftp://a.example"}, `url: the scheme "ftp" is unknown`},
		{http.SinkOptions{URL: "https:///x"}, "has no host"},
		{http.SinkOptions{URL: "https://u:geheim@a.example"}, "url: a user or a password"},
		{http.SinkOptions{URL: "https://a.example/#x"}, "url: it has a #"},
		{http.SinkOptions{URL: "https://a.example/a b"}, "percent-encode it"},
		{http.SinkOptions{URL: "https://a.example/%zz"}, "is no URL"},
		{http.SinkOptions{URL: "https://a.example/{{id}}"}, "percent-encode it"},
		{http.SinkOptions{URL: "https://a.example/{id"}, "is not closed"},
		{http.SinkOptions{URL: "https://a.example/{a{id}}"}, "is not closed"},
		{http.SinkOptions{URL: "https://a.example/id}"}, "a } without its {"},
		{http.SinkOptions{URL: "https://a.example/{}"}, "{} is no field"},
		{http.SinkOptions{URL: "https://a.example/{meta.}"}, "is no field"},
		{http.SinkOptions{URL: "https://a.example/{payload.a..b}"}, "is no field"},
		{http.SinkOptions{URL: "https://a.example/{payload}"}, "is no field"},
		{http.SinkOptions{URL: "https://{meta.h}/"}, "url: a field stands in the host"},
		{http.SinkOptions{URL: "https://a.example:{meta.p}/", HostFromData: true}, "stands in the port"},
		{http.SinkOptions{URL: "https://[{meta.a}]/", HostFromData: true}, "stands in the port or in an address"},
		{http.SinkOptions{URL: "https://{meta.h}/", HostFromData: true, Bearer: "t"}, "may name any host"},
		{http.SinkOptions{URL: "https://{meta.h}a.example/", HostFromData: true, User: "t"}, "may name any host"},
		{http.SinkOptions{URL: "https://{meta.h}.com/", HostFromData: true, Cert: "c", Key: "k"}, "may name any host"},
		{http.SinkOptions{URL: "https://{meta.h}/", HostFromData: true, Proxy: "http://p"}, "proxy: it resolves names itself"},
		{http.SinkOptions{URL: "https://a.example", PrivateAddresses: "deny", Proxy: "environment"}, "proxy: it resolves names itself"},
		{http.SinkOptions{URL: "https://a.example", PrivateAddresses: "no"}, "private_addresses"},
		{http.SinkOptions{URL: "https://a.example", ExceptAddresses: []string{"10.0.0.0/8"}}, "nothing is denied"},
		{http.SinkOptions{URL: "https://a.example", PrivateAddresses: "deny", ExceptAddresses: []string{"10"}}, "except_addresses"},
		{http.SinkOptions{URL: "https://a.example", Method: "GET"}, "method"},
		{http.SinkOptions{URL: "https://a.example", CloudEvents: "yes"}, "cloudevents"},
		{http.SinkOptions{URL: "https://a.example", CloudEvents: "structured", Method: "DELETE"}, "cloudevents"},
		{http.SinkOptions{URL: "https://a.example", Bearer: "a", User: "b"}, "bearer"},
		{http.SinkOptions{URL: "https://a.example", Bearer: "geheim\n"}, "bearer"},
		{http.SinkOptions{URL: "https://a.example", Password: "geheim"}, "password: it has no user"},
		{http.SinkOptions{URL: "https://a.example", User: "a:b"}, "user"},
		{http.SinkOptions{URL: "https://a.example", Cert: "c"}, "cert and key go together"},
		{http.SinkOptions{URL: "https://a.example", Cert: "none", Key: "none"}, `cert: "none"`},
		{http.SinkOptions{URL: "https://a.example", CA: "none"}, "ca: "},
		{http.SinkOptions{URL: "https://a.example", CA: "sink_test.go"}, "has no certificate"},
		{http.SinkOptions{URL: "https://a.example", Proxy: "geheim"}, "proxy: it is no URL"},
		{http.SinkOptions{URL: "https://a.example", SigningSecrets: []string{"whsec_geheim!"}}, "signing_secrets: a secret is not in base64"},
		{http.SinkOptions{URL: "https://a.example", SigningSecrets: []string{"whsec_QUFB"}}, "too few"},
		{http.SinkOptions{URL: "https://a.example", Connections: -1}, "connections"},
		{http.SinkOptions{URL: "https://a.example", Timeout: -1}, "timeout"},
		{http.SinkOptions{URL: "https://a.example", RetryStatuses: []int{500}}, "retry_statuses"},
		{http.SinkOptions{URL: "https://a.example", Headers: map[string]string{"a b": "x"}}, "is no name"},
		{http.SinkOptions{URL: "https://a.example", Headers: map[string]string{"X-A": "x\ny"}}, "control character"},
		{http.SinkOptions{URL: "https://a.example", Headers: map[string]string{"X-A": "{id"}}, "not closed"},
		{http.SinkOptions{URL: "https://a.example", Headers: map[string]string{"X-A": "x", "x-a": "y"}}, "it is there twice"},
		{http.SinkOptions{URL: "https://a.example", Headers: map[string]string{"Authorization": "geheim"}}, "use bearer"},
		{http.SinkOptions{URL: "https://a.example", Headers: map[string]string{"host": "x"}}, "URL's host"},
		{http.SinkOptions{URL: "https://a.example", Headers: map[string]string{"CE-ID": "x"}}, "the sink writes it"},
		{http.SinkOptions{URL: "https://a.example", Headers: map[string]string{"transfer-encoding": "x"}}, "belongs to the connection"},
	} {
		_, err := http.NewSink(c.options)
		if c.fault == "" {
			require.NoError(t, err, c.options.URL)
			continue
		}
		require.ErrorContains(t, err, c.fault, c.options.URL)
		require.NotContains(t, err.Error(), "geheim")
	}
	_, err := http.NewSink(http.SinkOptions{URL: "x", Method: "GET", Connections: -1})
	for _, all := range []string{"url: ", "method: ", "connections: "} {
		require.ErrorContains(t, err, all)
	}
}

func TestSinkShowsNoSecret(t *testing.T) {
	o := http.SinkOptions{
		URL: "https://a.example/x?key=geheim", User: "u", Password: "geheim",
		SigningSecrets: []string{"whsec_Z2VoZWlt" + strings.Repeat("QUFB", 10)}, Headers: map[string]string{"X-Key": "geheim"},
	}
	s := newSink(t, o)
	for _, shown := range []string{
		fmt.Sprintf("%v %+v %#v %s", o, o, o, o.LogValue()), fmt.Sprintf("%v %+v %#v", s, s, s), fmt.Sprint(struct{ O http.SinkOptions }{o}),
		http.SinkOptions{URL: "https://u:geheim@a.example/x"}.String(),
	} {
		require.NotContains(t, shown, "geheim")
		require.NotContains(t, shown, "Z2VoZWlt")
		require.Contains(t, shown, "POST https://a.example/x")
	}
}
