package spec

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/ergon-framework/ergon/policy"
)

var (
	bucketName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
)

// faults collects what is wrong. No message quotes a value that may hold a secret.
type faults policy.Faults

func (f *faults) add(path, format string, args ...any) {
	*f = append(*f, policy.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (f *faults) between(path string, n, least, most int64) {
	if n < least || n > most {
		f.add(path, "%d is not between %d and %d", n, least, most)
	}
}

func (f *faults) atLeast(path string, n, least int64) {
	if n < least {
		f.add(path, "%d is below %d", n, least)
	}
}

// web checks the address of something that speaks HTTP.
func (f *faults) web(text string) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		f.add("url", "an address is required: https://host/path")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		f.add("url", "it is not an address: write https://host/path")
	case u.User != nil:
		f.add("url", "who asks does not stand in the address, where it would be seen: give it by the keys beside it")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		f.add("url", "an address that all requests begin with has no query and no fragment: remove it")
	}
}

// line checks what is sent in a header.
func (f *faults) line(path, text string) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		f.add(path, "it is sent in a header, so it has no line ends and other controls: take them out")
	}
}

// Validate returns every fault, as policy.Faults, or nil. It asks nobody and reads no
// file.
func (k KV) Validate() error {
	var f faults
	switch {
	case k.Bucket == "":
		f.add("bucket", "the name of a bucket is required")
	case !bucketName.MatchString(k.Bucket):
		f.add("bucket", "%q is not the name of a bucket: it is letters, digits, dashes and underscores", k.Bucket)
	}
	if k.TTL < 0 {
		f.add("ttl", "%s is below 0", k.TTL)
	}
	f.between("history", int64(k.History), 1, 64)
	f.between("replicas", int64(k.Replicas), 1, 5)
	f.atLeast("cache_bytes", k.CacheBytes, 1)
	return policy.Faults(f).Err()
}

// Validate returns every fault, as policy.Faults, or nil. It asks nobody and reads no
// file.
func (h HTTP) Validate() error {
	var f faults
	f.web(h.URL)
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		if !headerName.MatchString(name) {
			f.add("headers", "%q is not the name of a header", name)
		}
		f.line("headers", h.Headers[name])
		if strings.EqualFold(name, "authorization") && (h.Bearer != "" || h.User != "") {
			f.add("headers", "%s says who asks, and so does another key: keep one", name)
		}
	}
	f.line("bearer", h.Bearer)
	if h.Bearer != "" && h.User != "" {
		f.add("bearer", "a user stands beside it, and both say who asks: keep one")
	}
	if h.Password != "" && h.User == "" {
		f.add("password", "a password is a user's: give user too")
	}
	if strings.Contains(h.User, ":") {
		f.add("user", "it ends at the first colon where it is sent: take another")
	}
	switch {
	case h.Cert != "" && h.Key == "":
		f.add("cert", "cert and key need each other")
	case h.Cert == "" && h.Key != "":
		f.add("key", "cert and key need each other")
	}
	if u, err := url.Parse(h.Proxy); h.Proxy != "" && h.Proxy != "environment" &&
		(err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme)) {
		f.add("proxy", "it is not an address: write http://host:port, or environment")
	}
	f.atLeast("connections", int64(h.Connections), 1)
	f.atLeast("max_response", h.MaxResponse, 1)
	return policy.Faults(f).Err()
}

// Validate returns every fault, as policy.Faults, or nil. It asks nobody and reads no
// file.
func (s SQL) Validate() error {
	var f faults
	scheme, rest, _ := strings.Cut(s.URL, ":")
	switch {
	case s.URL == "":
		f.add("url", "an address is required: postgres://host:5432/database, or sqlite: and a file's path")
	case scheme == "sqlite" && rest != "":
		if s.Password != "" {
			f.add("password", "a file has no password: remove it")
		}
	case scheme == "postgres" || scheme == "postgresql":
		u, err := url.Parse(s.URL)
		if err != nil || !strings.HasPrefix(rest, "//") {
			f.add("url", "it is not an address: write postgres://host:5432/database, with what is special in a name as %%XX")
			break
		}
		if _, has := u.User.Password(); has && s.Password != "" {
			f.add("password", "the URL has one as well: keep one")
		}
	default:
		f.add("url", "it is not a database that is known here: write postgres://host:5432/database, or sqlite: and a file's path")
	}
	f.atLeast("connections", int64(s.Connections), 1)
	f.atLeast("idle", int64(s.Idle), 0)
	if s.Lifetime < 0 {
		f.add("lifetime", "%s is below 0", s.Lifetime)
	}
	return policy.Faults(f).Err()
}

// Validate returns every fault, as policy.Faults, or nil. It asks nobody.
func (l LLM) Validate() error {
	var f faults
	f.web(l.URL)
	f.line("api_key", l.APIKey)
	if l.Model == "" {
		f.add("model", "the name of a model is required")
	}
	if !(l.Temperature >= 0 && l.Temperature <= 2) { // which a NaN is not either
		f.add("temperature", "%v is not between 0 and 2", l.Temperature)
	}
	f.atLeast("max_tokens", int64(l.MaxTokens), 0)
	return policy.Faults(f).Err()
}

// Validate returns every fault, as policy.Faults, or nil.
func (s Service) Validate() error {
	var f faults
	switch kinds := s.kinds(); len(kinds) {
	case 0:
		f.add("", "what it is is required: write one of %s below it, with its keys", strings.Join(Kinds(), ", "))
	case 1:
	default:
		f.add(kinds[1], "%s stands beside it, and a service is one thing: keep one", kinds[0])
	}
	of := func(path string, err error) {
		if all, ok := errors.AsType[policy.Faults](policy.Prefix(path, err)); ok {
			f = append(f, all...)
		}
	}
	if s.KV != nil {
		of("kv", s.KV.Validate())
	}
	if s.HTTP != nil {
		of("http", s.HTTP.Validate())
	}
	if s.SQL != nil {
		of("sql", s.SQL.Validate())
	}
	if s.LLM != nil {
		of("llm", s.LLM.Validate())
	}
	of("policy", s.Policy.Validate())
	return policy.Faults(f).Err()
}
