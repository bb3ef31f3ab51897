package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
)

// ServiceStopTime is how long a service may take to stop. One that takes longer is left
// behind, and the error of the stop names it: what is stopped after it must not pay.
const ServiceStopTime = 5 * time.Second

const (
	// startSaid is how long a start may take until it is told what is waited for.
	startSaid = time.Second
	// leaveWithin is how long a call may take to return once its context has ended.
	leaveWithin = 100 * time.Millisecond
)

// ServiceError says that a service did not start or stop.
type ServiceError struct {
	Service string
	Doing   string // "start" or "stop"
	// LeftBehind says that the call has not returned, and goes on.
	LeftBehind bool
	Took       time.Duration
	// Err is what it returned, or why it was not waited for any longer.
	Err error
}

func (e *ServiceError) Error() string {
	switch {
	case e.LeftBehind:
		return fmt.Sprintf("service %s: %s: it has not returned after %s, and was left behind: let it honour its context",
			e.Service, e.Doing, e.Took)
	case errors.Is(e.Err, context.DeadlineExceeded):
		return fmt.Sprintf("service %s: %s: it was not done after %s: %v", e.Service, e.Doing, e.Took, e.Err)
	}
	return fmt.Sprintf("service %s: %s: %v", e.Service, e.Doing, e.Err)
}

// Unwrap returns Err.
func (e *ServiceError) Unwrap() error { return e.Err }

// lived is a constructor that returns what it is given, and has it started and stopped
// with the application. The hooks are appended when it is made: after those of what it
// needs, and before those of what needs it.
func lived(name string, of reflect.Type) any {
	in := []reflect.Type{of, reflect.TypeFor[fx.Lifecycle](), reflect.TypeFor[*setups]()}
	return reflect.MakeFunc(reflect.FuncOf(in, []reflect.Type{of}, false), func(args []reflect.Value) []reflect.Value {
		s, opts := service{name: name, value: args[0].Interface()}, Options{}
		if set := args[2].Interface().(*setups); set != nil {
			opts = set.opts
		}
		args[1].Interface().(fx.Lifecycle).Append(fx.Hook{
			OnStart: func(ctx context.Context) error { return startService(ctx, s, opts) },
			OnStop:  func(ctx context.Context) error { return stopService(ctx, s) },
		})
		return args[:1]
	}).Interface()
}

func startService(ctx context.Context, s service, opts Options) error {
	of, ok := s.value.(starter)
	if !ok {
		return nil
	}
	ctx, cancel := startWithin(ctx)
	defer cancel()
	ctx, uninterrupted := opts.interruptible(ctx)
	defer uninterrupted()
	said := time.AfterFunc(startSaid, func() { s.waited(ctx, orNowhere(opts.Logger)) })
	defer said.Stop()
	return s.within(ctx, "start", of.Start)
}

func (s service) waited(ctx context.Context, log *slog.Logger) {
	args := []any{"service", s.name}
	if end, ok := ctx.Deadline(); ok {
		args = append(args, "for_at_most", time.Until(end).Round(time.Second))
	}
	log.Info("waiting for a service to start", args...)
}

func stopService(ctx context.Context, s service) error {
	of, ok := s.value.(stopper)
	if !ok {
		return nil
	}
	stopping, cancel := context.WithTimeout(ctx, ServiceStopTime-leaveWithin)
	defer cancel()
	return s.within(stopping, "stop", of.Stop)
}

// within calls a method of the user's and waits for it until ctx ends and a moment longer:
// one that ignores it goes on behind.
func (s service) within(ctx context.Context, what string, call func(context.Context) error) error {
	began, result := time.Now(), make(chan error, 1)
	go func() {
		var err error
		defer func() { result <- err }()
		defer ergon.Recover(&err)
		err = call(ctx)
	}()
	ended := func(err error, left bool) error {
		if err == nil {
			return nil
		}
		return &ServiceError{Service: s.name, Doing: what, LeftBehind: left, Took: time.Since(began).Round(100 * time.Millisecond), Err: err}
	}
	select {
	case err := <-result:
		return ended(err, false)
	case <-ctx.Done():
	}
	leave := time.NewTimer(leaveWithin)
	defer leave.Stop()
	select {
	case err := <-result:
		return ended(err, false)
	case <-leave.C:
		return ended(context.Cause(ctx), true)
	}
}
