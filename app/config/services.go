package config

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services/spec"
)

// serviceName is what services.New takes, but for dots: one separates a service from its
// operation.
var serviceName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// blankService is a service that says nothing but what it is.
func blankService(n *node) spec.Service {
	kind := ""
	for _, e := range n.entries {
		if slices.Contains(spec.Kinds(), e.name) {
			kind = e.name
		}
	}
	return spec.Service{Policy: spec.DefaultPolicy(kind)}
}

// blank fills in what a new value of a service's kind, or of an http source, says where nothing is said.
func blank(into any) {
	switch of := into.(type) {
	case *HTTPSource:
		of.Mode = ModeStored
	case *Records:
		of.TTL = policy.Duration(DefaultRecordsTTL)
	case *spec.KV:
		*of = spec.DefaultKV()
	case *spec.HTTP:
		*of = spec.DefaultHTTP()
	case *spec.SQL:
		*of = spec.DefaultSQL()
	case *spec.LLM:
		*of = spec.DefaultLLM()
	}
}

// isService says whether a type is one of those above, all of which is written out: zero
// is not their default.
func isService(t reflect.Type) bool {
	return t.PkgPath() == reflect.TypeFor[spec.Service]().PkgPath()
}

func (v *validator) service(p path, name string, s spec.Service) {
	if !serviceName.MatchString(name) {
		v.fail(p, "%s is not the name of a service: it is 1 to 63 small letters, digits, dashes and underscores, and begins with a letter", quote(name))
	}
	faults, _ := errors.AsType[policy.Faults](s.Validate())
	for _, f := range faults {
		at := p
		if f.Path != "" {
			at = slices.Concat(p, strings.Split(f.Path, "."))
		}
		v.fail(at, "%s", f.Message)
		// What is required is not there where its key is misspelt.
		v.found[len(v.found)-1].follows = f.Path == "" || facts[at.pattern()].required
	}
}

// redactedServices are those of c without their secrets.
func (c Config) redactedServices() map[string]spec.Service {
	if c.Services == nil {
		return nil
	}
	out := make(map[string]spec.Service, len(c.Services))
	for name, s := range c.Services {
		out[name] = s.Redacted()
	}
	return out
}
