package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// engine is one thing in two packages: it and the policies that it compiles.
var engine = []string{"./engine", "./internal/resilience"}

// packages are those whose tests must catch the mutant.
func (m mutant) packages() []string {
	var all []string
	for _, c := range m.changes {
		if dir := "./" + path.Dir(c.file); slices.Contains(engine, dir) {
			all = append(all, engine...)
		} else {
			all = append(all, dir)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

const (
	// testTimeout is how long the engine's tests may run: a mutant may hang.
	testTimeout = 60 * time.Second
	// busTimeout is for those with a server, which take a minute where nothing hangs.
	busTimeout = 4 * time.Minute
	// goTimeout is for a go command that does not return, whatever it does.
	goTimeout = 6 * time.Minute
)

type outcome int

const (
	survived outcome = iota
	failed           // a test failed
	crashed          // the tests' process ended while a test ran
	timedOut         // a test was still running when the time was over
	leftOver         // every test passed, and what checks the process at its end did not
)

// verdict is what the suite said.
type verdict struct {
	how  outcome
	test string // or the package
}

func (v verdict) String() string {
	switch v.how {
	case failed:
		return "caught by " + v.test
	case crashed:
		return "caught by " + v.test + ", which crashed"
	case timedOut:
		return "caught: timeout in " + v.test
	case leftOver:
		return "caught at the end of the tests of " + v.test
	}
	return "SURVIVED"
}

// runSuite runs the tests of some packages with some files replaced. An error is one that says
// nothing about the tests: the code does not compile.
func runSuite(ctx context.Context, root string, packages []string, files map[string]string) (verdict, error) {
	dir, err := os.MkdirTemp("", "mutants-*")
	if err != nil {
		return verdict{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is in the temporary directory
	overlay, err := writeOverlay(dir, files)
	if err != nil {
		return verdict{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, goTimeout)
	defer cancel()
	build := goCommand(ctx, root, packages, "build", "-overlay", overlay)
	if out, err := build.CombinedOutput(); err != nil {
		return verdict{}, fmt.Errorf("it does not build: %w\n%s", err, bytes.TrimSpace(out))
	}
	timeout := testTimeout
	if slices.ContainsFunc(packages, func(p string) bool { return !slices.Contains(engine, p) }) {
		timeout = busTimeout
	}
	// Without vet: its findings are no test's.
	test := goCommand(ctx, root, packages, "test", "-overlay", overlay,
		"-json", "-count=1", "-failfast", "-short", "-vet=off", "-timeout="+timeout.String())
	var stderr bytes.Buffer
	test.Stderr = &stderr
	out, err := test.Output()
	if ctx.Err() != nil {
		return verdict{}, fmt.Errorf("go test: %w", ctx.Err())
	}
	v, judgeErr := judge(bytes.NewReader(out))
	switch {
	case judgeErr != nil:
		return verdict{}, fmt.Errorf("%w\n%s", judgeErr, bytes.TrimSpace(stderr.Bytes()))
	case err != nil && v.how == survived:
		return verdict{}, fmt.Errorf("go test failed and named no test: %w\n%s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return v, nil
}

// goCommand is a go command on packages that is interrupted when ctx ends.
func goCommand(ctx context.Context, root string, packages []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", append(args, packages...)...)
	cmd.Dir = root
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// writeOverlay writes the files and what the go command's -overlay flag takes.
func writeOverlay(dir string, files map[string]string) (string, error) {
	replace := map[string]string{}
	for path, text := range files {
		to := filepath.Join(dir, strconv.Itoa(len(replace))+".go")
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[path] = to
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, data, 0o600)
}

// judge reads what go test -json prints. What comes first decides: a process that
// dies takes other tests with it.
func judge(r io.Reader) (verdict, error) {
	var v verdict
	running := map[string][]string{} // tests, by package
	for dec := json.NewDecoder(r); ; {
		var ev struct{ Action, Package, Test, Output, FailedBuild string }
		if err := dec.Decode(&ev); errors.Is(err, io.EOF) {
			return v, nil
		} else if err != nil {
			return v, fmt.Errorf("go test -json: %w", err)
		}
		pkg := running[ev.Package]
		last := ev.Package
		if n := len(pkg); n > 0 {
			last = pkg[n-1]
		}
		switch {
		case ev.FailedBuild != "":
			return v, fmt.Errorf("the tests of %s do not build", ev.Package)
		case v.how != survived:
			// Decided, unless a package follows that does not build.
		case strings.HasPrefix(ev.Output, "panic: test timed out after"):
			v = verdict{timedOut, last}
		case ev.Action == "fail" && ev.Test != "":
			v = verdict{failed, ev.Test}
		case ev.Action == "fail" && len(pkg) > 0:
			v = verdict{crashed, last}
		case ev.Action == "fail":
			v = verdict{leftOver, ev.Package}
		case ev.Action == "run":
			running[ev.Package] = append(pkg, ev.Test)
		case ev.Action == "pass" || ev.Action == "skip":
			for i, test := range pkg {
				if test == ev.Test {
					running[ev.Package] = append(pkg[:i], pkg[i+1:]...)
					break
				}
			}
		}
	}
}
