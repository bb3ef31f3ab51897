package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// admissible says whether a server may listen on an address: anywhere with a token, or
// where that was allowed expressly, and else on loopback alone. The error says what to
// do.
func admissible(listen string, token, allowInsecure bool) error {
	if token || allowInsecure || isLoopback(listen) {
		return nil
	}
	return errors.New("that is not loopback, and without a token everybody who reaches it could ask what runs here: " +
		"set a token (admin.token, ERGON_ADMIN_TOKEN), listen on 127.0.0.1, or set allow_insecure (ERGON_ADMIN_ALLOW_INSECURE=true) where the network keeps others out")
}

// isLoopback takes a name other than localhost for another machine's.
func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// secret is a token as it is compared: by its hash, so that neither its bytes nor its
// length show in the time that it takes.
type secret [sha256.Size]byte

func newSecret(token string) *secret {
	s := secret(sha256.Sum256([]byte(token)))
	return &s
}

func (s *secret) is(token string) bool {
	given := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(s[:], given[:]) == 1
}

// authorised reports whether a request may see everything.
func (s *Server) authorised(r *http.Request) bool {
	if s.secret == nil {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && s.secret.is(strings.TrimSpace(token))
}

// foreign reports whether a request may be a web page's, whose name was made to resolve
// to this machine: a browser would hand its scripts the answer.
func (s *Server) foreign(r *http.Request) bool {
	if s.secret != nil || !s.local {
		return false
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	if strings.EqualFold(host, "localhost") || host == "" { // HTTP/1.0 names none, and no browser speaks it
		return false
	}
	_, err = netip.ParseAddr(host)
	return err != nil
}
