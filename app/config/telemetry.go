package config

import (
	"strings"

	"github.com/ergon-framework/ergon/telemetry"
)

// telemetry takes the keys from the front of the messages, where package telemetry
// puts them.
func (v *validator) telemetry(c telemetry.Config) {
	err := c.Validate()
	if err == nil {
		return
	}
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, err := range errs {
		at, message, _ := strings.Cut(err.Error(), ": ")
		v.fail(splitPath(at), "%s", message)
	}
}
