package policy

import (
	"errors"
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with a policy, and where.
type Fault struct {
	// Path is the place, with the keys of the file: "process.retry.max_attempts".
	// It is empty for the document as a whole.
	Path string
	// Message says what is there and what should be: "0 is below 1".
	Message string
}

// Error is the path and the message.
func (f Fault) Error() string {
	if f.Path == "" {
		return f.Message
	}
	return f.Path + ": " + f.Message
}

// Faults is everything that is wrong with a policy, in the order of its fields.
// Validate, Overlay and the Decode functions return it, so that somebody who
// fixes a file fixes it once. Find it with errors.As.
type Faults []Fault

// Error is one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes each fault reachable for errors.Is and errors.As.
func (f Faults) Unwrap() []error {
	errs := make([]error, len(f))
	for i, fault := range f {
		errs[i] = fault
	}
	return errs
}

// Err is f as an error, and nil when there is no fault. An empty Faults that is
// returned as an error would not be nil.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// Prefixed is f with a prefix before each path, so that "process.retry.jitter"
// becomes "tasks.score.consumer.process.retry.jitter".
func (f Faults) Prefixed(prefix string) Faults {
	out := make(Faults, len(f))
	for i, fault := range f {
		out[i] = Fault{Path: join(prefix, fault.Path), Message: fault.Message}
	}
	return out
}

// Prefix is err with a prefix before the path of each fault in it. An error that
// holds no faults is wrapped, with the prefix in front; nil stays nil.
func Prefix(prefix string, err error) error {
	if err == nil {
		return nil
	}
	if faults, ok := errors.AsType[Faults](err); ok {
		return faults.Prefixed(prefix).Err()
	}
	return fmt.Errorf("%s: %w", prefix, err)
}

// join puts two paths together; either may be empty.
func join(prefix, path string) string {
	switch {
	case prefix == "":
		return path
	case path == "":
		return prefix
	default:
		return prefix + "." + path
	}
}
