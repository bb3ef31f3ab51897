package config

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
)

// What an Admin says where the file says nothing.
const (
	DefaultAdminListen = "127.0.0.1:9400"
	DefaultTrail       = 1024
)

// mostTrail keeps a slip of the finger from taking all memory.
const mostTrail = 1_000_000

// Admin is the HTTP server that tells how the process is. It prints without its token.
type Admin struct {
	// The address, host:port, that it listens on, or off for no server; port 0 takes a
	// free one. An address beyond loopback needs a token. Default 127.0.0.1:9400, and
	// none where that is taken.
	Listen string `yaml:"listen"`
	// What who asks has to bring, as Authorization: Bearer …. A secret. Default none.
	Token string `yaml:"token"`
	// Whether profiles of the process are served at /debug/pprof/. Default false.
	Pprof bool `yaml:"pprof"`
	// The second word that an address beyond loopback needs without a token. Default
	// false.
	AllowInsecure bool `yaml:"allow_insecure"`
	// How many deliveries that did not simply do well are remembered, for ergon why;
	// from 1 to 1000000. Default 1024.
	Trail int `yaml:"trail"`
}

// Address is where it listens; chosen says that somebody wrote so, and did not leave
// it to the default.
func (a Admin) Address() (listen string, chosen bool) {
	return cmp.Or(a.Listen, DefaultAdminListen), a.Listen != ""
}

// IsOff says that there is to be no server.
func (a Admin) IsOff() bool { return a.Listen == ListenOff }

func (v *validator) admin(p path, a Admin) {
	listen, _ := a.Address()
	if v.listen(p.key("listen"), listen) && a.Token == "" && !a.AllowInsecure && !loopback(listen) {
		v.need(p.key("listen"), "%s is not loopback, and without a token everybody who reaches it could ask what runs here: set token, listen on 127.0.0.1, or set allow_insecure where the network keeps others out",
			quote(listen))
	}
	if strings.ContainsFunc(a.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		v.fail(p.key("token"), "it is sent in a header, so it has no spaces and no letters beyond ASCII: take another")
	}
	if a.Trail < 1 || a.Trail > mostTrail {
		v.fail(p.key("trail"), "%d is not between 1 and %d", a.Trail, mostTrail)
	}
}

// loopback takes a name other than localhost for another machine's, as the server does.
func loopback(listen string) bool {
	host, _, _ := net.SplitHostPort(listen)
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// Redacted is a without its token.
func (a Admin) Redacted() Admin {
	if a.Token != "" {
		a.Token = hidden
	}
	return a
}

// MarshalJSON writes it without its token.
func (a Admin) MarshalJSON() ([]byte, error) {
	document, err := yaml.Marshal(a)
	if err != nil {
		return nil, err
	}
	return yaml.YAMLToJSON(document)
}

// MarshalYAML writes it without its token.
func (a Admin) MarshalYAML() (any, error) { return encode(reflect.ValueOf(a.Redacted())), nil }

// Format keeps the token out of every verb of package fmt.
func (a Admin) Format(f fmt.State, verb rune) {
	text := a.String()
	if verb == 'v' && f.Flag('#') {
		text = a.GoString()
	}
	_, _ = io.WriteString(f, text)
}

// String describes it without its token.
func (a Admin) String() string {
	listen, _ := a.Address()
	s := "listen=" + listen
	if a.Token != "" {
		s += " token=" + hidden
	}
	for _, f := range []struct {
		name string
		on   bool
	}{{"pprof", a.Pprof}, {"allow_insecure", a.AllowInsecure}} {
		if f.on {
			s += " " + f.name
		}
	}
	return fmt.Sprintf("%s trail=%d", s, a.Trail)
}

// GoString keeps the token out of %#v.
func (a Admin) GoString() string { return "config.Admin{" + a.String() + "}" }

// LogValue keeps the token out of logs.
func (a Admin) LogValue() slog.Value { return slog.StringValue(a.String()) }
