package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// notOurs are the keys of a context that change nothing here: they are about the
// nats CLI, or about advisories, which a bus does not read.
var notOurs = []string{"name", "description", "color_scheme", "jetstream_event_prefix"}

// unsupported are the keys that would have to change something, with what to do
// instead. To leave one aside would connect differently than the nats CLI does.
var unsupported = map[string]string{
	"nsc":                    "looking a user up with nsc: export it (nsc generate creds), and name the file in creds",
	"socks_proxy":            "a SOCKS proxy: connect without one, or run ergon where the server can be reached",
	"windows_cert_store":     "the Windows certificate store: export the certificate, and name the files in cert and key",
	"windows_cert_match_by":  "the Windows certificate store: export the certificate, and name the files in cert and key",
	"windows_cert_match":     "the Windows certificate store: export the certificate, and name the files in cert and key",
	"windows_ca_certs_match": "the Windows certificate store: export the authorities, and name the file in ca",
}

// lookups are the schemes by which a context may name a secret that stands
// elsewhere.
var lookups = []string{"op", "nsc", "env", "data"}

// readContext reads what the nats CLI has stored under a name, or in a file. The
// errors hold nothing of what is in there but the keys.
func readContext(name string) (target, error) {
	file := atHome(name)
	if !isPath(name) {
		dir, err := contextDir()
		if err != nil {
			return target{}, err
		}
		file = filepath.Join(dir, name+".json")
	}
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !isPath(name):
		return target{}, unknownContext(name, filepath.Dir(file), err)
	case err != nil:
		return target{}, err
	}
	s, err := parseContext(data)
	if err != nil {
		return target{}, fmt.Errorf("%q in %q: %w", name, file, err)
	}
	return s, nil
}

// parseContext reads a context's JSON, and refuses whatever it would have to
// leave aside.
func parseContext(data []byte) (target, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil { // whose text may quote a value
		return target{}, errors.New("it is no JSON object, as \"nats context save\" writes them")
	}
	var s target
	texts := map[string]*string{
		"url": &s.URL, "user": &s.User, "inbox_prefix": &s.InboxPrefix,
		"jetstream_domain": &s.Domain, "jetstream_api_prefix": &s.APIPrefix,
	}
	secrets := map[string]*string{"password": &s.Password, "token": &s.Token, "user_jwt": &s.jwt, "user_seed": &s.seed}
	paths := map[string]*string{"creds": &s.Creds, "nkey": &s.NKey, "ca": &s.CA, "cert": &s.Cert, "key": &s.Key}
	maps.Copy(texts, secrets)
	maps.Copy(texts, paths)

	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		value := keys[key]
		into, isText := texts[key]
		switch {
		case slices.Contains(notOurs, key), isBlank(value):
		case unsupported[key] != "":
			fault("%s: ergon does not support %s", key, unsupported[key])
		case isText && json.Unmarshal(value, into) != nil:
			fault("%s: it is not text", key)
		case isText:
		case key == "tls_first":
			if json.Unmarshal(value, &s.TLSFirst) != nil {
				fault("%s: it is not true or false", key)
			}
		default:
			fault("%s: ergon does not know this key: remove it, or write bus.url and the rest without a context", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(secrets)) {
		if scheme := lookup(*secrets[key]); scheme != "" {
			fault("%s: ergon does not support looking it up (%s:): set it beside the context, as ${VARIABLE}", key, scheme)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(paths)) {
		into := paths[key]
		if scheme := lookup(*into); scheme != "" {
			fault("%s: ergon does not support looking it up (%s:): name a file", key, scheme)
		}
		*into = atHome(os.ExpandEnv(strings.TrimPrefix(*into, "file://")))
	}
	if s.jwt != "" && s.identities() > 0 {
		fault("creds, nkey, user, token and user_jwt exclude one another: keep one")
	}
	if s.seed != "" && s.jwt == "" {
		fault("user_seed without user_jwt")
	}
	return s, errors.Join(faults...)
}

// isBlank reports a value that says nothing: the nats CLI writes all keys.
func isBlank(value json.RawMessage) bool {
	switch string(value) {
	case "null", `""`, "false", "[]", "{}", "0":
		return true
	}
	return false
}

func lookup(value string) string {
	scheme, _, found := strings.Cut(value, ":")
	if scheme = strings.ToLower(scheme); found && slices.Contains(lookups, scheme) {
		return scheme
	}
	return ""
}

// contextDir is where the nats CLI keeps contexts.
func contextDir() (string, error) {
	config := os.Getenv("XDG_CONFIG_HOME")
	if config == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the nats CLI's contexts: %w", err)
		}
		config = filepath.Join(home, ".config")
	}
	return filepath.Join(config, "nats", "context"), nil
}

func unknownContext(name, dir string, err error) error {
	var known []string
	entries, _ := os.ReadDir(dir) // one that isn't there holds none
	for _, e := range entries {
		if context, ok := strings.CutSuffix(e.Name(), ".json"); ok && !e.IsDir() && validContext(context) {
			known = append(known, context)
		}
	}
	advice := "there is none: make one with \"nats context save\""
	if len(known) > 0 {
		advice = "there are " + strings.Join(known, ", ")
	}
	return &scrubbed{fmt.Sprintf("there is no context %q in %q: %s", name, dir, advice), err}
}

// validContext is the nats CLI's rule for names.
func validContext(name string) bool {
	return name != "" && !strings.Contains(name, "..") && !strings.ContainsAny(name, `/\`)
}

// isPath tells a file from a name.
func isPath(name string) bool { return filepath.IsAbs(atHome(name)) }
