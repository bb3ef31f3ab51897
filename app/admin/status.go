package admin

import (
	"net/http"
	"os"
	"strings"
	"time"
)

// Status is the answer of /status. Times are RFC 3339, in UTC.
type Status struct {
	App           string     `json:"app,omitempty"`
	Build         Build      `json:"build"`
	PID           int        `json:"pid"`
	At            time.Time  `json:"at"`
	StartedAt     time.Time  `json:"started_at"` // the server, which is started first
	UptimeSeconds float64    `json:"uptime_seconds"`
	State         State      `json:"state"`
	Live          bool       `json:"live"`
	LiveReason    string     `json:"live_reason,omitempty"`
	Ready         bool       `json:"ready"`
	Reasons       []string   `json:"reasons"` // why it is not ready
	Transport     []Checked  `json:"transport"`
	Services      []Checked  `json:"services"`
	Tasks         []TaskInfo `json:"tasks"`
	// LastErrors are the latest transactions that ended as dead letters, the latest
	// first.
	LastErrors []LastError `json:"last_errors"`
}

// LastError is why a transaction ended as a dead letter.
type LastError struct {
	At          time.Time `json:"at"`
	Task        string    `json:"task"`
	Transaction string    `json:"transaction"`
	Source      string    `json:"source,omitempty"`
	Phase       string    `json:"phase"`
	Category    string    `json:"category"`
	Reason      string    `json:"reason"`
}

// mostErrors is how many LastErrors there are at most, and mostReason how many bytes
// of each one's reason are shown.
const (
	mostErrors = 20
	mostReason = 1000
)

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, s.describe(time.Now()))
}

func (s *Server) describe(now time.Time) Status {
	ready := s.readiness()
	st := Status{
		App: ready.App, Build: build(), PID: os.Getpid(), At: now.UTC(), StartedAt: s.since.UTC(), UptimeSeconds: now.Sub(s.since).Seconds(),
		State: ready.State, Live: true, Ready: ready.Ready, Reasons: ready.Reasons, Transport: ready.Transport, Services: ready.Services,
		Tasks: []TaskInfo{}, LastErrors: s.lastErrors(),
	}
	if err := s.alive(); err != nil {
		st.Live, st.LiveReason = false, oneLine(err)
	}
	for _, t := range s.c.Process.Tasks() {
		st.Tasks = append(st.Tasks, s.taskInfo(now, t))
	}
	return st
}

func (s *Server) lastErrors() []LastError {
	all := []LastError{}
	if s.c.Trail == nil {
		return all
	}
	dead := s.c.Trail.Dead(mostErrors)
	for i := len(dead) - 1; i >= 0; i-- {
		r := dead[i]
		one := LastError{At: r.Ended.UTC(), Task: r.Task, Transaction: r.Transaction.ID(), Source: r.Transaction.Source()}
		if r.Err != nil {
			one.Phase, one.Category, one.Reason = string(r.Err.Phase), string(r.Err.Category), cut(r.Err.Reason())
		}
		all = append(all, one)
	}
	return all
}

// cut shortens a reason, which may be as long as its author liked.
func cut(reason string) string {
	if len(reason) <= mostReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:mostReason], "") + "…"
}
