package admin

import (
	"errors"
	"net/http"
	"strings"

	"github.com/ergon-framework/ergon/engine"
)

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready bool  `json:"ready"`
	State State `json:"state"`
	// App is the application.
	App string `json:"app,omitempty"`
	// Reasons are why it is not ready, each with the task's name in front.
	Reasons   []string        `json:"reasons"`
	Transport []Checked       `json:"transport"`
	Services  []Checked       `json:"services"`
	Tasks     []TaskReadiness `json:"tasks"`
}

// TaskReadiness is that of one task.
type TaskReadiness struct {
	Task   string    `json:"task"`
	Ready  bool      `json:"ready"`
	Checks []Checked `json:"checks"`
}

// Checked is one check: see engine.Check.
type Checked struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

func checked(checks []engine.Check) (all []Checked, ok bool) {
	all, ok = make([]Checked, 0, len(checks)), true
	for _, c := range checks {
		one := Checked{Check: c.Part, OK: c.Err == nil}
		if c.Err != nil {
			one.Reason, ok = oneLine(c.Err), false
		}
		all = append(all, one)
	}
	return all, ok
}

// readiness asks everything. A process that stops is not ready though it works: what
// is sent to it now would only be given back.
func (s *Server) readiness() Readiness {
	state := s.c.Process.State()
	r := Readiness{App: s.c.App, State: state, Tasks: []TaskReadiness{}, Reasons: []string{}}
	r.Ready = state == Running
	if !r.Ready {
		r.Reasons = append(r.Reasons, "the process is "+string(state))
	}
	why := func(of string, checks []Checked) {
		for _, c := range checks {
			if !c.OK {
				r.Ready, r.Reasons = false, append(r.Reasons, of+c.Check+": "+c.Reason)
			}
		}
	}
	r.Transport, _ = checked(s.c.Process.Transport())
	why("", r.Transport)
	r.Services, _ = checked(s.c.Process.Services())
	why("service ", r.Services)
	for _, of := range s.c.Process.Tasks() {
		t := TaskReadiness{Task: of.Name()}
		t.Checks, t.Ready = checked(of.Checks())
		why(t.Task+": ", t.Checks)
		r.Tasks = append(r.Tasks, t)
	}
	return r
}

// alive says why only a new process can help, nil if that is not so.
func (s *Server) alive() error {
	var errs []error
	for _, t := range s.c.Process.Tasks() {
		errs = append(errs, t.Alive())
	}
	return errors.Join(errs...)
}

func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	if err := s.alive(); err != nil {
		say(w, http.StatusServiceUnavailable, oneLine(err))
		return
	}
	say(w, http.StatusOK, "ok")
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	readiness := s.readiness()
	code, text := http.StatusOK, "ready"
	if !readiness.Ready {
		code, text = http.StatusServiceUnavailable, "not ready"
	}
	if !s.authorised(r) {
		say(w, code, text)
		return
	}
	answer(w, code, readiness)
}

func (s *Server) startupz(w http.ResponseWriter, _ *http.Request) {
	if s.c.Process.State() == Starting {
		say(w, http.StatusServiceUnavailable, "starting")
		return
	}
	say(w, http.StatusOK, "started")
}

// oneLine is an error without line breaks, which joined ones have.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
