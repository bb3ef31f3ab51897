package http

import (
	"encoding/json"
	nethttp "net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/httpclient"
)

// One failure says nothing; nothing but failures for ten seconds does, until one
// succeeds or a minute passes.
func TestSinkHealth(t *testing.T) {
	s, err := NewSink(SinkOptions{URL: "http://a.example"})
	require.NoError(t, err)
	now := time.Unix(0, 0)
	s.now = func() time.Time { return now }
	fail := func() { s.note(ergon.System("503")) }
	fail()
	require.NoError(t, s.Health())
	now = now.Add(9 * time.Second)
	fail()
	require.NoError(t, s.Health())
	s.note(ergon.Business("400")) // is not the receiver's fault
	now = now.Add(time.Second)
	require.NoError(t, s.Health(), "the last failure was nine seconds after the first")
	fail()
	require.ErrorContains(t, s.Health(), "for 10s nothing was taken: SYSTEM: 503")
	s.note(nil)
	require.NoError(t, s.Health())

	fail()
	now = now.Add(10 * time.Second)
	fail()
	require.Error(t, s.Health())
	now = now.Add(sickFor)
	require.Error(t, s.Health())
	now = now.Add(time.Second)
	require.NoError(t, s.Health(), "nobody has tried for a minute")
	fail()
	require.NoError(t, s.Health(), "what failed long ago is no row of failures")

	open, err := NewSink(SinkOptions{URL: "http://{meta.h}", HostFromData: true})
	require.NoError(t, err)
	open.now = s.now
	for range 3 {
		open.note(ergon.System("503"))
		now = now.Add(10 * time.Second)
		require.NoError(t, open.Health(), "the data chose the host")
	}
}

func TestPrivateAddresses(t *testing.T) {
	for _, text := range []string{
		"127.0.0.1", "127.255.255.254", "::1", "0.0.0.0", "0.1.2.3", "::", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1",
		"169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "100.127.255.255", "192.0.0.192", "168.63.129.16",
		"198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fdff::1", "fd00:ec2::254",
		"ff02::1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "2001:db8::1", "100::1",
	} {
		require.True(t, isPrivate(netip.MustParseAddr(text)), text)
		if a := netip.MustParseAddr(text); a.Is4() {
			mapped := netip.AddrPortFrom(netip.AddrFrom16(a.As16()), 80).String()
			require.Error(t, guard(nil)(t.Context(), "tcp6", mapped, nil), mapped)
		}
	}
	for _, text := range []string{
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255",
		"169.253.255.255", "223.255.255.255", "2606:4700::1111", "2a00::1", "64:ff9b::101:101",
	} {
		require.False(t, isPrivate(netip.MustParseAddr(text)), text)
		require.NoError(t, guard(nil)(t.Context(), "tcp", netip.AddrPortFrom(netip.MustParseAddr(text), 80).String(), nil))
	}
	require.Error(t, guard(nil)(t.Context(), "tcp6", "[fe80::1%eth0]:80", nil))
	except := []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}
	require.NoError(t, guard(except)(t.Context(), "tcp", "10.2.3.4:80", nil))
	require.NoError(t, guard(except)(t.Context(), "tcp6", "[::ffff:10.2.3.4]:80", nil))
	require.Error(t, guard(except)(t.Context(), "tcp", "10.3.3.4:80", nil))
}

func TestStructuredKeepsBytes(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := ergon.Envelope{ID: "a", Source: "/s", Type: "t", CreatedAt: at, CorrelationID: "a"}
	const head = `{"specversion":"1.0","id":"a","source":"/s","type":"t","time":"2026-01-02T03:04:05Z"`
	for payload, want := range map[string]string{
		`{"b": 1.0,  "a":"<&>"}`: head + `,"data":{"b": 1.0,  "a":"<&>"}}`,
		``:                       head + `}`,
		`null`:                   head + `,"data":null}`,
		`{"cut":`:                head + `,"data_base64":"eyJjdXQiOg=="}`,
		`1} {`:                   head + `,"data_base64":"MX0gew=="}`,
	} {
		got, err := structured(e, []byte(payload))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		require.True(t, json.Valid(got))
	}
	e.ContentType = "text/plain"
	got, err := structured(e, []byte(`1`))
	require.NoError(t, err)
	require.Equal(t, head+`,"datacontenttype":"text/plain","data_base64":"MQ=="}`, string(got))
	e.CreatedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err = structured(e, nil)
	require.Equal(t, ergon.CategoryBusiness, ergon.CategoryOf(err))
}

// The vector that the implementations of Standard Webhooks hold themselves to.
func TestSignatureVector(t *testing.T) {
	s, err := newSigner([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	require.NoError(t, err)
	id, at, signature := s.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	require.Equal(t, "msg_p5jXN8AQM9LWM0D4loKWxJek 1614265330", id+" "+at)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", signature)
}

// Whatever a template and a value are, the value stays in its place: the URL has the
// scheme, the host and the path's length that the template gives it.
func FuzzTarget(f *testing.F) {
	for _, template := range []string{
		"https://a.example/x/{meta.v}?q={meta.v}", "http://{meta.v}.a.example:80/", "https://a.example/{payload.a.0}", "{{", "https://a.example/{id",
		"https://[::1]/{type}", "https://a.example?{key}={id}", "https://a.example/{meta.v}{meta.v}/.{id}",
	} {
		f.Add(template, "v/../w?x=y#z")
		f.Add(template, "a.b")
	}
	f.Fuzz(func(t *testing.T, template, value string) {
		c, err := compileTarget(template, true)
		if err != nil {
			return
		}
		at := func(v string) (*url.URL, error) {
			payload, _ := json.Marshal(map[string]any{"a": []string{v}})
			return c.url(&fields{tx: ergon.New(payload, ergon.WithID(v), ergon.WithKey(v), ergon.WithType(v), ergon.WithMetadata("v", v))})
		}
		plain, err := at("x")
		if err != nil {
			return // a field that is not there
		}
		u, err := at(value)
		if err != nil {
			require.Equal(t, ergon.CategoryBusiness, ergon.CategoryOf(err))
			return
		}
		require.Equal(t, plain.Scheme, u.Scheme)
		require.Nil(t, u.User)
		require.Empty(t, u.Fragment)
		require.Equal(t, plain.Port(), u.Port())
		if !c.hostFromData {
			require.Equal(t, plain.Host, u.Host)
		}
		require.Equal(t, strings.Count(plain.EscapedPath(), "/"), strings.Count(u.EscapedPath(), "/"))
		require.Equal(t, strings.Count(plain.RawQuery, "&"), strings.Count(u.RawQuery, "&"))
		require.NotContains(t, u.RequestURI(), " ")
		require.True(t, validValue(u.RequestURI()))
	})
}

func FuzzTemplate(f *testing.F) {
	for _, template := range []string{"", "a", "{id}", "{{id}}", "{{{id}}}", "a{meta.b}c}}", "{", "}", "{}", "{payload.}", "é{key}"} {
		f.Add(template)
	}
	f.Fuzz(func(t *testing.T, template string) {
		parts, err := parseTemplate(template)
		if err != nil {
			return
		}
		var again strings.Builder // the parts are the template
		for i, p := range parts {
			if p.field != nil {
				again.WriteString("{" + p.field.name + "}")
				continue
			}
			require.NotEmpty(t, p.text)
			require.False(t, i > 0 && parts[i-1].field == nil, "two pieces of text stand together")
			again.WriteString(strings.NewReplacer("{", "{{", "}", "}}").Replace(p.text))
		}
		require.Equal(t, template, again.String())
	})
}

func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, v := range []string{"", "0", "120", "-1", "1.5", "99999999999999999999", "Fri, 02 Jan 2026 03:05:05 GMT", "soon", " 3 ", "٣"} {
		f.Add(v, "Fri, 02 Jan 2026 03:04:05 GMT")
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		d, asked := httpclient.RetryAfter(nethttp.Header{"Retry-After": {value}, "Date": {date}}, now)
		require.GreaterOrEqual(t, d, time.Duration(0))
		require.LessOrEqual(t, d, httpclient.MaxRetryAfter)
		require.True(t, asked || d == 0)
	})
}
