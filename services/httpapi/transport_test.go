package httpapi_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/httpapi"
)

// counting is a server that counts its connections, all and those open at once.
func counting(t *testing.T, h http.HandlerFunc) (s *httptest.Server, made, most *atomic.Int64) {
	t.Helper()
	made, most = new(atomic.Int64), new(atomic.Int64)
	var open atomic.Int64
	s = httptest.NewUnstartedServer(h)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			made.Add(1)
			most.Store(max(most.Load(), open.Add(1))) // accepted by one goroutine, so one stores
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s, made, most
}

// A connection is used again, also after answers that failed, were not wanted, or could not
// be read; and there are no more at once than were allowed.
func TestConnectionsAreUsedAgain(t *testing.T) {
	var n atomic.Int64
	api, made, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) % 4 {
		case 0:
			http.Error(w, "no such customer", http.StatusNotFound)
		case 1:
			_, _ = w.Write(make([]byte, 50_000)) // no JSON
		case 2:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(make([]byte, 50_000)) // more than an excerpt is made of
		default:
			_, _ = io.WriteString(w, `{"id":"17"}`)
		}
	})
	c := customers(t, setup{Name: "customers"}, func(s *setup) { s.Config.URL = api.URL })
	failed := 0
	for range 40 {
		if _, err := c.Of(t.Context(), "17"); err != nil {
			failed++
		}
	}
	require.Positive(t, failed)
	require.Greater(t, n.Load(), int64(40))
	require.EqualValues(t, 1, made.Load())
}

func TestConnectionsAreBounded(t *testing.T) {
	arrived, leave := make(chan struct{}, 100), make(chan struct{})
	api, made, most := counting(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-leave
		_, _ = io.WriteString(w, `{"id":"17"}`)
	})
	c := customers(t, setup{Name: "customers"}, func(s *setup) { s.Config.URL, s.Config.Connections = api.URL, 3 })
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			_, err := c.Of(context.Background(), "17")
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range 3 {
		<-arrived
	}
	close(leave)
	calls.Wait()
	require.EqualValues(t, 3, most.Load())
	require.EqualValues(t, 3, made.Load(), "and each was used again")
}

// What may happen once is sent once, also by the transport, which sends again what it finds
// a key on when a connection that was used before breaks.
func TestOnceIsSentOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var reads, writes atomic.Int64
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = conn.Close() }()
				from := bufio.NewReader(conn)
				for first := true; ; first = false {
					r, err := http.ReadRequest(from)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					count := &reads
					if r.Method == http.MethodPost {
						count = &writes
					}
					count.Add(1)
					if !first {
						return // it came, and no answer goes back
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				}
			})
		}
	})
	c := customers(t, setup{Name: "customers"}, func(s *setup) {
		s.Config.URL, s.Config.Connections, s.Policy.Retry.MaxAttempts = "http://"+l.Addr().String(), 1, 1
	})
	t.Cleanup(func() {
		_ = l.Close()
		_ = c.Stop(context.Background())
		all.Wait()
	})
	for _, body := range []any{ann, nil} {
		reads.Store(0)
		writes.Store(0)
		_, err = c.Of(t.Context(), "17")
		require.NoError(t, err)
		_, err = httpapi.Post[Customer](t.Context(), c.add, "customers", body)
		require.ErrorIs(t, err, ergon.CategorySystem)
		require.EqualValues(t, 1, writes.Load())
	}
	reads.Store(0)
	_, err = c.Of(t.Context(), "17")
	require.NoError(t, err)
	_, err = c.Of(t.Context(), "17")
	require.NoError(t, err, "a read is sent again")
	require.EqualValues(t, 3, reads.Load())
}

// Redirects are followed within the origin, where the method stays; credentials go nowhere
// else.
func TestRedirects(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		_, _ = io.WriteString(w, `{"id":"stolen"}`)
	}))
	defer other.Close()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, status := r.URL.Query().Get("to"), http.StatusTemporaryRedirect
		switch {
		case to == "loop":
			to = r.URL.String()
		case to == "":
			_, _ = io.WriteString(w, `{"id":"`+r.Method+` `+r.Header.Get("Authorization")+`"}`)
			return
		case r.Method == http.MethodPost:
			status = http.StatusFound
		}
		http.Redirect(w, r, to, status)
	}))
	defer api.Close()
	c := customers(t, setup{Name: "customers"}, func(s *setup) { s.Config.URL, s.Config.Bearer = api.URL, "t0ken" })
	get, change := c.Operation("get", services.Idempotent), c.Operation("change", services.Idempotent)

	got, err := httpapi.Get[Customer](t.Context(), get, "a", httpapi.Query("to", "/b"))
	require.NoError(t, err)
	require.Equal(t, "GET Bearer t0ken", got.ID)
	for what, err := range map[string]error{
		"another host":   second(httpapi.Get[Customer](t.Context(), get, "a", httpapi.Query("to", other.URL+"/b"))),
		"another scheme": second(httpapi.Get[Customer](t.Context(), get, "a", httpapi.Query("to", "https"+api.URL[len("http"):]))),
		"a loop":         second(httpapi.Get[Customer](t.Context(), get, "a", httpapi.Query("to", "loop"))),
		"another method": second(httpapi.Post[Customer](t.Context(), change, "a", ann, httpapi.Query("to", "/b"))),
		"a host, once":   second(httpapi.Post[Customer](t.Context(), c.add, "a", ann, httpapi.Query("to", other.URL))),
	} {
		require.ErrorIs(t, err, ergon.CategorySystem, what)
		require.ErrorContains(t, err, "redirects are followed on the host of url alone", what)
	}
	require.Zero(t, elsewhere.Load())
}

func second[T any](_ T, err error) error { return err }

// HTTP/2 over TLS, with an authority of the service's own and a certificate of the client's.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	cert, keyFile := write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", private)

	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"id":"`+r.Proto+`"}`)
	}))
	api.EnableHTTP2 = true
	api.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	api.Config.ErrorLog = quietLog()
	api.StartTLS()
	defer api.Close()
	ca := write("ca.pem", "CERTIFICATE", api.Certificate().Raw)
	secured := func(s *setup) { s.Config.URL, s.Config.CA, s.Config.Cert, s.Config.Key = api.URL, ca, cert, keyFile }

	c := customers(t, setup{Name: "customers"}, secured)
	got, err := c.Of(t.Context(), "17")
	require.NoError(t, err)
	require.Equal(t, "HTTP/2.0", got.ID)
	_, err = c.Add(t.Context(), ann)
	require.NoError(t, err)
	_, err = httpapi.Post[Customer](t.Context(), c.add, "x", nil)
	require.NoError(t, err)

	_, err = customers(t, setup{Name: "customers"}, secured, func(s *setup) { s.Config.CA = "" }).Of(t.Context(), "17")
	require.ErrorAs(t, err, new(x509.UnknownAuthorityError))
	_, err = customers(t, setup{Name: "customers"}, secured, func(s *setup) { s.Config.Cert, s.Config.Key = "", "" }).Of(t.Context(), "17")
	require.ErrorIs(t, err, ergon.CategorySystem)
}

// What goes through a proxy is asked of it.
func TestProxy(t *testing.T) {
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.String() + " " + r.Header.Get("Proxy-Authorization"))
		_, _ = io.WriteString(w, `{"id":"17"}`)
	}))
	defer proxy.Close()
	c := customers(t, setup{Name: "customers"}, func(s *setup) {
		s.Config.URL, s.Config.Proxy = "http://customers.invalid/v1", "http://me:pass@"+proxy.URL[len("http://"):]
	})
	_, err := c.Of(t.Context(), "17")
	require.NoError(t, err)
	require.Equal(t, "http://customers.invalid/v1/customers/17?fields=all Basic bWU6cGFzcw==", asked.Load())
}
