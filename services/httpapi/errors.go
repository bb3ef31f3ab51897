package httpapi

import (
	"fmt"
	"net/http"

	"github.com/ergon-framework/ergon/internal/httpclient"
)

// StatusError is an answer whose status is not 2xx.
type StatusError struct {
	Method, Path string
	Status       int
	// Body is how the answer's body begins: on one line, printable, no longer than 256
	// characters, and without the client's credentials.
	Body string
}

// Error says what was asked, and what the answer was.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s %s: %d %s", e.Method, e.Path, e.Status, http.StatusText(e.Status))
	if e.Body != "" {
		text += ": " + e.Body
	}
	return text
}

// Unwrap returns the category: errors.Is(err, ergon.CategoryBusiness) asks for it.
func (e *StatusError) Unwrap() error {
	category, _ := httpclient.Verdict(e.Status)
	return category
}
