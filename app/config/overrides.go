package config

import "slices"

// Override is an environment variable that wins over a key of the file, without
// being named in the file.
type Override struct {
	// Var is the variable. Set to nothing, it counts as unset.
	Var string
	// Path is the key whose value it replaces, read as if it stood in the file
	// outside quotes. A ${ in it is text.
	Path string
	// Doc is what it is for, in one line.
	Doc string
}

// Overrides lists those of bus and admin, with what each is for; [Variables] lists all.
// Some replace more than their own key of the file,
// since what it says beside it would contradict them: ERGON_BUS_CONTEXT replaces
// every key that a context may say, ERGON_BUS_URL=embedded the context, and a
// variable that says who to be the keys that say it in another way.
func Overrides() []Override {
	return []Override{
		{Var: "ERGON_BUS_URL", Path: "bus.url", Doc: "the NATS servers, or embedded"},
		{Var: "ERGON_BUS_CONTEXT", Path: "bus.context", Doc: "a context of the nats CLI: its name, or its file"},
		{Var: "ERGON_BUS_NAME", Path: "bus.name", Doc: "the connections' name in the server's monitoring"},
		{Var: "ERGON_BUS_CREDS", Path: "bus.creds", Doc: "the user's .creds file"},
		{Var: "ERGON_BUS_NKEY", Path: "bus.nkey", Doc: "the file with the user's nkey seed"},
		{Var: "ERGON_BUS_USER", Path: "bus.user", Doc: "the user"},
		{Var: "ERGON_BUS_PASSWORD", Path: "bus.password", Doc: "the user's password"},
		{Var: "ERGON_BUS_TOKEN", Path: "bus.token", Doc: "the token"},
		{Var: "ERGON_BUS_CA", Path: "bus.ca", Doc: "the PEM file of the authorities to trust"},
		{Var: "ERGON_BUS_CERT", Path: "bus.cert", Doc: "the PEM file of the client's certificate"},
		{Var: "ERGON_BUS_KEY", Path: "bus.key", Doc: "the PEM file of its key"},
		{Var: "ERGON_BUS_TLS_FIRST", Path: "bus.tls_first", Doc: "true to begin with the TLS handshake"},
		{Var: "ERGON_BUS_DOMAIN", Path: "bus.domain", Doc: "the JetStream domain"},
		{Var: "ERGON_BUS_API_PREFIX", Path: "bus.api_prefix", Doc: "the prefix of JetStream's API, in the place of $JS.API"},
		{Var: "ERGON_BUS_INBOX_PREFIX", Path: "bus.inbox_prefix", Doc: "the prefix of inboxes, in the place of _INBOX"},
		{Var: "ERGON_BUS_CONNECT_TIMEOUT", Path: "bus.connect_timeout", Doc: "how long to try to reach a server the first time"},
		{Var: "ERGON_BUS_STORE", Path: "bus.store", Doc: "the directory of an embedded server's streams"},
		{Var: "ERGON_BUS_LISTEN", Path: "bus.listen", Doc: "the address of an embedded server, host:port, or off"},
		{Var: "ERGON_ADMIN_LISTEN", Path: "admin.listen", Doc: "the address of the admin server, host:port, or off"},
		{Var: "ERGON_ADMIN_TOKEN", Path: "admin.token", Doc: "what who asks it has to bring"},
		{Var: "ERGON_ADMIN_PPROF", Path: "admin.pprof", Doc: "true to serve profiles of the process"},
		{Var: "ERGON_ADMIN_ALLOW_INSECURE", Path: "admin.allow_insecure", Doc: "true to listen beyond loopback without a token"},
		{Var: "ERGON_ADMIN_TRAIL", Path: "admin.trail", Doc: "how many deliveries are remembered"},
	}
}

// identity is the ways to say who to be; the keys of one go together.
var identity = [][]string{{"bus.creds"}, {"bus.nkey"}, {"bus.user", "bus.password"}, {"bus.token"}}

// inContext is what a context of the nats CLI may say.
var inContext = []string{
	"bus.url", "bus.creds", "bus.nkey", "bus.user", "bus.password", "bus.token", "bus.ca", "bus.cert", "bus.key",
	"bus.tls_first", "bus.domain", "bus.api_prefix", "bus.inbox_prefix",
}

// ruleOut empties the keys that what is said outside of the file contradicts.
func (l *loader) ruleOut() {
	out := func(by override, paths ...string) {
		for _, p := range paths {
			if _, set := l.overrides[p]; !set {
				l.overrides[p] = override{at: by.at}
			}
		}
	}
	for i, own := range identity {
		for _, key := range own {
			if by, ok := l.overrides[key]; ok && by.rules() {
				for _, other := range slices.Delete(slices.Clone(identity), i, i+1) {
					out(by, other...)
				}
			}
		}
	}
	if by, ok := l.overrides["bus.context"]; ok && by.rules() {
		out(by, inContext...)
	}
	if by := l.overrides["bus.url"]; by.value == Embedded {
		out(by, "bus.context")
	}
}
