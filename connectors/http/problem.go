package http

import (
	"encoding/json"
	"math"
	nethttp "net/http"
	"strconv"
	"time"
)

// problem is an answer that is not what the caller wants, as RFC 9457 writes it.
type problem struct {
	status     int
	detail     string
	id         string        // of the transaction, "" for none
	retryAfter time.Duration // 0 for not said
	challenge  string        // of a 401
	close      bool          // the connection
}

func refuse(status int, detail string) *problem { return &problem{status: status, detail: detail} }

// unavailable is a 503 that asks its caller to come again.
func unavailable(after time.Duration, detail string) *problem {
	return &problem{status: nethttp.StatusServiceUnavailable, detail: detail, retryAfter: after}
}

func (p *problem) write(w nethttp.ResponseWriter) {
	title := nethttp.StatusText(p.status)
	body, _ := json.Marshal(struct { // strings and numbers always can be encoded
		Type        string `json:"type"`
		Title       string `json:"title"`
		Status      int    `json:"status"`
		Detail      string `json:"detail,omitempty"`
		Transaction string `json:"transaction,omitempty"`
	}{"about:blank", title, p.status, p.detail, p.id})
	h := w.Header()
	h["Content-Type"] = []string{"application/problem+json"}
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	if p.retryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds())))}
	}
	if p.challenge != "" {
		h["Www-Authenticate"] = []string{p.challenge}
	}
	if p.close {
		h["Connection"] = []string{"close"}
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(body) // the client has left
}

// writeJSON writes an answer of ours, which must not be kept by anybody on the way.
func writeJSON(w nethttp.ResponseWriter, status int, body []byte) {
	values := []string{"application/json", "no-store", strconv.Itoa(len(body))}
	h := w.Header()
	h["Content-Type"], h["Cache-Control"], h["Content-Length"] = values[0:1:1], values[1:2:2], values[2:3:3]
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has left
}
