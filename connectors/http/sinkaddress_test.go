package http_test

import (
	"context"
	"io"
	"log"
	"net"
	nethttp "net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// names is a resolver for which every name means the address that it is told.
func names(t *testing.T, ip *atomic.Pointer[net.IP]) *net.Resolver {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for b := make([]byte, 512); ; {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(dnsAnswer(b[:n], *ip.Load()), from)
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-ended })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", c.LocalAddr().String())
	}}
}

// dnsAnswer answers a query for A with the address, and any other with nothing.
func dnsAnswer(query []byte, ip net.IP) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	kind := int(query[end+1])<<8 | int(query[end+2])
	a := append([]byte(nil), query[:end+5]...) // header and question
	a[2], a[3] = 0x81, 0x80
	clear(a[6:12])
	if kind == 1 {
		a[7] = 1
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		a = append(a, ip.To4()...)
	}
	return a
}

// What counts is the address that is connected to, each time: a name that meant an
// allowed one and means another now leads nowhere.
func TestSinkIsNotRebound(t *testing.T) {
	r := newReceiverUnstarted(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) { w.Header().Set("Connection", "close") })
	_ = r.Listener.Close()
	var err error
	r.Listener, err = net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	r.Start()
	_, port, err := net.SplitHostPort(r.Listener.Addr().String())
	require.NoError(t, err)
	allowed, loopback := net.IPv4(127, 0, 0, 2), net.IPv4(127, 0, 0, 1)
	var ip atomic.Pointer[net.IP]
	ip.Store(&allowed)
	for name, c := range map[string]struct {
		options http.SinkOptions
		want    ergon.Category
	}{
		"fixed":     {http.SinkOptions{URL: "http://api.test:" + port, PrivateAddresses: "deny"}, ergon.CategorySystem},
		"from data": {http.SinkOptions{URL: "http://{meta.host}:" + port, HostFromData: true}, ergon.CategoryBusiness},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.options
			o.Resolver, o.ExceptAddresses = names(t, &ip), []string{"127.0.0.2/32"}
			s := newSink(t, o)
			tx := order(ergon.WithMetadata("host", "api.test"))
			before := len(r.requests())
			ip.Store(&allowed)
			require.NoError(t, send(t, s, tx))
			ip.Store(&loopback)
			err := send(t, s, tx)
			require.Equal(t, c.want, category(err))
			require.ErrorContains(t, err, "127.0.0.1 is a private or special address")
			require.Len(t, r.requests(), before+1)

			o.PrivateAddresses, o.ExceptAddresses = "allow", nil
			require.NoError(t, send(t, newSink(t, o), tx), "it is the check that denies it")
		})
	}
}

func TestSinkDeniesAddresses(t *testing.T) {
	for _, host := range []string{
		"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "localhost", "0.0.0.0", "[::]", "169.254.169.254", "10.0.0.1",
		"[fe80::1%25lo]", "[fd00:ec2::254]", "100.100.100.200",
	} {
		err := send(t, newSink(t, http.SinkOptions{URL: "http://" + host + ":1/", PrivateAddresses: "deny"}), order())
		require.ErrorContains(t, err, "private or special", host)
		require.Equal(t, ergon.CategorySystem, category(err))
	}
	s := newSink(t, http.SinkOptions{URL: "http://{meta.h}:1/", HostFromData: true})
	for _, host := range []string{"127.0.0.1", "localhost"} {
		err := send(t, s, order(ergon.WithMetadata("h", host)))
		require.ErrorContains(t, err, "private or special", host)
		require.Equal(t, ergon.CategoryBusiness, category(err))
	}
	for _, host := range []string{"", "a.example/x", "a.example:80", "u@a.example", "a.example#", "a..b", ".a", "a.", "[::1]", "a%2eb", "é.example"} {
		err := send(t, s, order(ergon.WithMetadata("h", host)))
		require.ErrorContains(t, err, "url: meta.h is", host)
		require.Equal(t, ergon.CategoryBusiness, category(err))
	}
}
