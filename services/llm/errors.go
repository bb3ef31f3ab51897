package llm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/httpclient"
	"github.com/ergon-framework/ergon/internal/resilience"
)

// What is wrong with an answer.
var (
	// ErrMalformed: it is not what was asked for. SYSTEM, tried again.
	ErrMalformed = errors.New("the answer is malformed")
	// ErrRefused: the model does not answer this. BUSINESS.
	ErrRefused = errors.New("the model refuses to answer")
	// ErrFiltered: the endpoint's filter kept it back. BUSINESS.
	ErrFiltered = errors.New("the endpoint's content filter kept the answer back")
	// ErrCut: it is longer than max_tokens, or than the model's context has room for.
	// BUSINESS: asked again it costs the same, and is as long.
	ErrCut = errors.New("the answer was cut: it needs more tokens than max_tokens, or the model's context, allow")
)

// StatusError is an answer of the endpoint whose status is not 2xx.
type StatusError struct {
	Status int
	// Body is how the answer's body begins: on one line, printable, no longer than 256
	// characters, and without the key.
	Body string
}

// Error says what the answer was.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("the endpoint answers %d %s", e.Status, http.StatusText(e.Status))
	if e.Body != "" {
		text += ": " + e.Body
	}
	return text
}

// Unwrap returns the category: errors.Is(err, ergon.CategoryBusiness) asks for it.
func (e *StatusError) Unwrap() error {
	category, _ := verdict(e.Status)
	return category
}

// verdict is that of HTTP, but for what of it is never a prompt's fault here.
func verdict(status int) (ergon.Category, bool) {
	if status == http.StatusNotFound || status >= 300 && status < 400 {
		return ergon.CategorySystem, false // url or model is wrong: as with a wrong key
	}
	return httpclient.Verdict(status)
}

// refused is an answer whose status says so.
func refused(res *http.Response, excerpt string) error {
	err := &StatusError{Status: res.StatusCode, Body: excerpt}
	if category, again := verdict(err.Status); !again {
		return resilience.Final(&ergon.Error{Category: category, Err: err})
	}
	if after, ok := httpclient.RetryAfter(res.Header, time.Now()); ok {
		return ergon.RetryAfter(after, err)
	}
	return err
}

// unreached leaves out the URL, which net/http's errors have in them.
func unreached(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return fmt.Errorf("ask the endpoint: %w", err)
}

// drained is a body whose connection can be used again after it was closed.
type drained struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close reads the little that may be left: a stream ends before its body does.
func (d *drained) Close() error {
	httpclient.Close(d.ReadCloser, d.cancel)
	d.cancel()
	return nil
}
