package app

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/ergon-framework/ergon"
)

// ConstructorError says that something of the application could not be made: that a
// constructor failed or panicked, or needs what no module provides. Its text names the
// service, where it is one, and the function that the user wrote.
type ConstructorError struct {
	// Who is the service and its constructor, or the constructor alone.
	Who string
	// What became of it, or what it needs.
	What string
	// Err is what it returned or panicked with, if that is an error.
	Err error
}

func (e *ConstructorError) Error() string { return e.Who + " " + e.What }

// Unwrap returns Err.
func (e *ConstructorError) Unwrap() error { return e.Err }

// Explain returns what is wrong with an application that fx could not make, without the
// container's account of how it got there: a *WiringError or a *ConstructorError where
// err is about one, and else err itself. It is for an error of fx.App.Err or of Start.
func Explain(err error) error {
	if wiring, ok := errors.AsType[*WiringError](err); ok {
		return wiring
	}
	if failed, ok := errors.AsType[*ConstructorError](err); ok {
		return failed
	}
	return explained(err)
}

// madeBy describes the constructor of a service.
func madeBy(name string, constructor any) string {
	return fmt.Sprintf("service %s: its constructor %s", name, functionName(constructor))
}

// functionName is a function's name and where it stands: regions.Open (open.go:12).
func functionName(fn any) string {
	f := runtime.FuncForPC(reflect.ValueOf(fn).Pointer())
	if f == nil {
		return "(unknown)"
	}
	file, line := f.FileLine(f.Entry())
	return fmt.Sprintf("%s (%s:%d)", path.Base(f.Name()), filepath.Base(file), line)
}

// guarded is a constructor of the same type whose errors and panics say whose they are:
// the container knows only the functions that it was given, and those are ours.
func guarded(who string, constructor any) any {
	fn := reflect.ValueOf(constructor)
	t := fn.Type()
	out := []reflect.Type{t.Out(0), reflect.TypeFor[error]()}
	in := make([]reflect.Type, t.NumIn())
	for i := range in {
		in[i] = t.In(i)
	}
	return reflect.MakeFunc(reflect.FuncOf(in, out, t.IsVariadic()), func(args []reflect.Value) []reflect.Value {
		made, err := construct(fn, args)
		if err == nil {
			return []reflect.Value{made, errorValue(nil)}
		}
		failed := &ConstructorError{Who: who, What: fmt.Sprintf("failed: %v", err), Err: err}
		if panicked, ok := errors.AsType[*ergon.PanicError](err); ok && !made.IsValid() {
			failed.What = fmt.Sprintf("panicked: %v", panicked.Value)
		}
		return []reflect.Value{reflect.Zero(out[0]), errorValue(failed)}
	}).Interface()
}

// construct calls a constructor. made is not valid after a panic.
func construct(fn reflect.Value, args []reflect.Value) (made reflect.Value, err error) {
	defer ergon.Recover(&err)
	call := fn.Call
	if fn.Type().IsVariadic() {
		call = fn.CallSlice
	}
	results := call(args)
	if len(results) > 1 {
		err, _ = results[1].Interface().(error)
	}
	return results[0], err
}

// What dig says of the constructors that it calls: its types are its own.
var (
	digFunc    = `"([^"]*)"\.(\S+) \(([^)]*):(\d+)\)`
	digFailed  = regexp.MustCompile(`^received non-nil error from function ` + digFunc + `: `)
	digPanic   = regexp.MustCompile(`^panic: ("(?:[^"\\]|\\.)*"|.*) in func: ` + digFunc + `$`)
	digMissing = regexp.MustCompile(`^missing dependencies for function ` + digFunc + `: missing types?: (.*)$`)
	digBuild   = regexp.MustCompile(`^failed to build \S+\[name=("service .*")\]: missing dependencies for function `)
)

// explained looks for what dig says about functions that were not guarded, and of
// dependencies that are missing.
func explained(err error) error {
	who := ""
	for e := err; e != nil; e = errors.Unwrap(e) {
		text := e.Error()
		if m := digBuild.FindStringSubmatch(text); m != nil {
			who = unquoted(m[1])
		}
		if m := digMissing.FindStringSubmatch(text); m != nil {
			if who == "" {
				who = digName(m[1:])
			}
			return &ConstructorError{Who: who, What: "needs " + missing(m[5]), Err: e}
		}
		if m := digPanic.FindStringSubmatch(text); m != nil {
			return &ConstructorError{Who: digName(m[2:]), What: "panicked: " + unquoted(m[1]), Err: e}
		}
		if m := digFailed.FindStringSubmatch(text); m != nil {
			return &ConstructorError{Who: digName(m[1:]), What: "failed: " + errors.Unwrap(e).Error(), Err: errors.Unwrap(e)}
		}
	}
	return err
}

func unquoted(s string) string {
	if plain, err := strconv.Unquote(s); err == nil {
		return plain
	}
	return s
}

func digName(m []string) string {
	return fmt.Sprintf("%s.%s (%s:%s)", path.Base(m[0]), m[1], filepath.Base(m[2]), m[3])
}

// missing says what is missing: main.Config (did you mean *main.Config?); main.Key.
func missing(list string) string {
	types := strings.Split(list, "; ")
	for i, t := range types {
		name, hint, found := strings.Cut(t, " (did you mean")
		if types[i] = name + ", and no module provides one"; found {
			types[i] += " (did you mean" + hint
		}
	}
	return strings.Join(types, "; and ")
}
