package httpclient

import (
	"errors"
	"net"
	"net/http"

	"github.com/ergon-framework/ergon"
)

// Verdict says what a status is, and whether another attempt may follow in place. It is the
// one place where that is decided.
func Verdict(status int) (category ergon.Category, again bool) {
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		return ergon.CategoryTimeout, true // somebody's time was over
	case status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return ergon.CategorySystem, true // the server says: later
	case status >= 500:
		return ergon.CategorySystem, true // it failed, or what stands before it did
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		// The credentials are the service's, and no transaction's fault. As BUSINESS, a key
		// that was revoked would turn a whole stream into dead letters at once; as SYSTEM the
		// engine's attempts wait for the new one. At once, it would only be refused again.
		return ergon.CategorySystem, false
	case redirects(status):
		// One that was not followed: the address is no longer right, or somebody stands before
		// the service and wants a login. No transaction's fault either.
		return ergon.CategorySystem, false
	default:
		// The request itself is wrong: asked again, it is the same.
		return ergon.CategoryBusiness, false
	}
}

// redirects reports whether a status sends the caller elsewhere.
func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect:
		return true
	}
	return false
}

// Classify says what an error of the transport is, for services.Classify. Its own times are
// not a context's.
func Classify(err error) ergon.Category {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return ergon.CategoryTimeout
	}
	return "" // a connection that was refused, reset or cut: SYSTEM
}
