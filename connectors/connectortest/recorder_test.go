package connectortest_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// recorder is a testing.TB whose failure fails nobody. It runs one part.
type recorder struct {
	testing.TB // for what is not overridden, as TempDir
	ctx        context.Context

	mu       sync.Mutex
	failed   bool
	skipped  string
	lines    []string
	cleanups []func()
}

// record runs f as a test of its own and returns what became of it. As in a test,
// FailNow ends f, the context ends before the cleanups, and they run last to first.
func record(t testing.TB, f func(testing.TB)) *recorder {
	ctx, cancel := context.WithCancel(t.Context())
	r := &recorder{TB: t, ctx: ctx}
	alone(func() { f(r) })
	cancel()
	for len(r.cleanups) > 0 {
		last := len(r.cleanups) - 1
		cleanup := r.cleanups[last]
		r.cleanups = r.cleanups[:last]
		alone(cleanup)
	}
	return r
}

// alone runs f on a goroutine that it may end.
func alone(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Name() string             { return "recorded" }

func (r *recorder) Log(a ...any)            { r.say(false, fmt.Sprint(a...)) }
func (r *recorder) Logf(f string, a ...any) { r.say(false, fmt.Sprintf(f, a...)) }

func (r *recorder) Fail()                     { r.say(true, "failed") }
func (r *recorder) Error(a ...any)            { r.say(true, fmt.Sprint(a...)) }
func (r *recorder) Errorf(f string, a ...any) { r.say(true, fmt.Sprintf(f, a...)) }
func (r *recorder) FailNow()                  { r.Fail(); runtime.Goexit() }
func (r *recorder) Fatal(a ...any)            { r.Error(a...); runtime.Goexit() }
func (r *recorder) Fatalf(f string, a ...any) { r.Errorf(f, a...); runtime.Goexit() }

func (r *recorder) SkipNow()                 { r.skip("skipped") }
func (r *recorder) Skip(a ...any)            { r.skip(fmt.Sprint(a...)) }
func (r *recorder) Skipf(f string, a ...any) { r.skip(fmt.Sprintf(f, a...)) }

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) say(failed bool, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = r.failed || failed
	r.lines = append(r.lines, line)
}

func (r *recorder) skip(why string) {
	r.mu.Lock()
	r.skipped = why
	r.mu.Unlock()
	runtime.Goexit()
}
