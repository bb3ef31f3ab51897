package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// route is one path. public ones need no token.
type route struct {
	path   string
	public bool
	serve  http.HandlerFunc
}

const pprofPath = "/debug/pprof/"

func (s *Server) routes() []route {
	all := []route{
		{"/livez", true, s.livez},
		{"/readyz", true, s.readyz},
		{"/startupz", true, s.startupz},
		{"/status", false, s.status},
		{"/why", false, s.why},
		{"/metrics", false, s.metrics},
	}
	if s.c.Pprof {
		all = append(all, route{pprofPath, false, servePprof})
	}
	return all
}

// handler finds the path, and says of a request that it can't answer what it could.
func (s *Server) handler() http.Handler {
	routes := s.routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if s.foreign(r) {
			say(w, http.StatusForbidden, "this server answers on this machine alone: ask for 127.0.0.1 or localhost, or give it a token (admin.token)")
			return
		}
		i := slices.IndexFunc(routes, func(to route) bool {
			return to.path == r.URL.Path || to.path == pprofPath && isPprof(r.URL.Path)
		})
		if r.ContentLength != 0 { // the server would wait for it after the answer
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTime))
			w.Header().Set("Connection", "close")
		}
		switch {
		case i < 0:
			say(w, http.StatusNotFound, notFound(r.URL.Path, routes))
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			say(w, http.StatusMethodNotAllowed, r.Method+" is not answered here: nothing can be changed, ask with GET")
		case !routes[i].public && !s.authorised(r):
			w.Header().Set("WWW-Authenticate", `Bearer realm="ergon"`)
			say(w, http.StatusUnauthorized, routes[i].path+" needs the token (admin.token): send Authorization: Bearer TOKEN")
		default:
			routes[i].serve(w, r)
		}
	})
}

func isPprof(path string) bool { return strings.HasPrefix(path+"/", pprofPath) }

func notFound(path string, routes []route) string {
	if isPprof(path) {
		return "profiles are not switched on: set admin.pprof, or run with --pprof"
	}
	var known []string
	for _, to := range routes {
		known = append(known, to.path)
	}
	return "there is nothing here: ask for " + strings.Join(known, ", ")
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if s.c.Metrics == nil {
		say(w, http.StatusNotFound, "there are no metrics here: this program gives its admin server no handler for them (admin.Config.Metrics)")
		return
	}
	s.c.Metrics.ServeHTTP(w, r)
}

// say answers in one line of text.
func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text + "\n")) // who does not read on is gone
}

func answer(w http.ResponseWriter, code int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		say(w, http.StatusInternalServerError, "the answer can't be written as JSON: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(data, '\n'))
}
