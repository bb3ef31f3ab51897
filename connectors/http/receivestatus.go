package http

import (
	"context"
	"encoding/json"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ergon-framework/ergon"
)

// statusHandler tells a caller what became of a transaction. It asks for the same
// credentials as the route that took it, with an empty body where that is signed, and its
// requests count among those that are under way.
type statusHandler struct {
	*handler
	records Records
}

// statusPath is where the status of a transaction stands, for whoever sent r.
func (h *handler) statusPath(r *nethttp.Request, id string) string {
	path := strings.TrimSuffix(h.route.Status, statusSuffix)
	for _, name := range h.wildcards {
		value := url.PathEscape(r.PathValue(name))
		path = strings.ReplaceAll(strings.ReplaceAll(path, "{"+name+"}", value), "{"+name+"...}", value)
	}
	return path + "/" + url.PathEscape(id)
}

// ServeHTTP answers one request.
func (h *statusHandler) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	if p := h.status(w, r); p != nil {
		p.write(w)
	}
}

func (h *statusHandler) status(w nethttp.ResponseWriter, r *nethttp.Request) *problem {
	defer h.leave()
	if p := h.enter(); p != nil {
		return p
	}
	who, decided, p := h.auth.early(r)
	if p == nil && !decided {
		who, p = h.auth.signed(r, nil, time.Now())
	}
	if p != nil {
		return p
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.route.Wait)
	defer cancel()
	record, ok, err := h.records.Get(ctx, r.PathValue("transaction"))
	if err != nil {
		return unavailable(h.route.RetryAfter, "the status is not known now")
	}
	if !ok || record.Owner != who.principal { // whoever asks for another's learns nothing
		return refuse(nethttp.StatusNotFound, "there is no such transaction, or it is no longer remembered")
	}
	state, reason := string(record.State), record.Reason
	if !record.State.final() {
		state = "pending"
	}
	// A stranger gets what the domain says, and nothing of what stands behind it: a sink's
	// word is none of the domain's.
	what, _, _ := strings.Cut(reason, ":")
	domain := strings.HasPrefix(what, string(ergon.CategoryBusiness)) && !strings.HasSuffix(what, " in "+string(ergon.PhaseProduce))
	if who.principal == "" && !domain {
		reason, _, _ = strings.Cut(what, " ")
	}
	body, _ := json.Marshal(struct { // strings always can be encoded
		Transaction string    `json:"transaction"`
		State       string    `json:"state"`
		Reason      string    `json:"reason,omitempty"`
		At          time.Time `json:"at"`
	}{record.ID, state, reason, record.At})
	writeJSON(w, nethttp.StatusOK, body)
	return nil
}

// appendJSON appends a string. Most are IDs of ours, which stand for themselves.
func appendJSON(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			text, _ := json.Marshal(s) // strings always can be encoded
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
