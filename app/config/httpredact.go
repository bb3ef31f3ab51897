package config

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/ergon-framework/ergon/connectors/http"
)

// redactedTasks are those of c without their secrets.
func (c Config) redactedTasks() map[string]Task {
	if c.Tasks == nil {
		return nil
	}
	out := make(map[string]Task, len(c.Tasks))
	for name, t := range c.Tasks {
		t.Routes = maps.Clone(t.Routes)
		for route, r := range t.Routes {
			if r.HTTP != nil {
				o := redactedSink(*r.HTTP)
				t.Routes[route] = Route{JetStream: r.JetStream, HTTP: &o}
			}
		}
		if t.Source.HTTP != nil {
			h := *t.Source.HTTP
			h.Routes = slices.Clone(h.Routes)
			for i := range h.Routes {
				h.Routes[i].Auth = redactedAuth(h.Routes[i].Auth)
			}
			t.Source.HTTP = &h
		}
		out[name] = t
	}
	return out
}

func redactedSink(o http.SinkOptions) http.SinkOptions {
	hide := func(s *string) {
		if *s != "" {
			*s = hidden
		}
	}
	hide(&o.Bearer)
	hide(&o.Password)
	o.SigningSecrets = slices.Clone(o.SigningSecrets)
	for i := range o.SigningSecrets {
		o.SigningSecrets[i] = hidden
	}
	o.Headers = maps.Clone(o.Headers)
	for name := range o.Headers {
		o.Headers[name] = hidden
	}
	if before, _, ok := strings.Cut(o.URL, "?"); ok { // where keys of APIs stand
		o.URL = before + "?" + hidden
	}
	o.URL = address.ReplaceAllString(o.URL, "://"+hidden+"@")
	if u, err := url.Parse(o.Proxy); err != nil {
		hide(&o.Proxy)
	} else if u.User != nil {
		u.User = url.User(hidden)
		o.Proxy = u.String()
	}
	return o
}

func redactedAuth(a http.Auth) http.Auth {
	a.Bearer = slices.Clone(a.Bearer)
	for i := range a.Bearer {
		a.Bearer[i].Token = hidden
	}
	if a.Signature != nil {
		s := *a.Signature
		s.Secrets = slices.Clone(s.Secrets)
		for i := range s.Secrets {
			s.Secrets[i] = hidden
		}
		a.Signature = &s
	}
	return a
}
