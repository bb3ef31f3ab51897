// Command mutants breaks the engine on purpose, in one way after the other, and
// says which test notices. It is the test of the engine's tests:
//
//	go run ./test/mutants            all of them, half an hour
//	go run ./test/mutants NAME...    these
//
// It ends with exit code 1 if a mutant survives, and also if one no longer fits
// the code: then the code has changed, and the mutant must be written anew. The
// tests of this command are fast and find the second without running a mutant.
//
// # A mutant
//
// A mutant is a file testdata/NAME.txt in the txtar format. Its first line says
// what the mutant does, and in parentheses which rules (R001 to R131) that breaks.
// Then, for each source file that it changes, comes that file's path in the module
// and one or more changes: the lines that are there now, and what replaces them.
//
//	A failure of category BUSINESS is tried again like any other (R021, R109)
//	-- internal/resilience/phase.go --
//	<<<<
//		if !ergon.CategoryOf(err).Retryable() || r.n >= retry.MaxAttempts {
//	====
//		if r.n >= retry.MaxAttempts {
//	>>>>
//
// The lines above ==== are whole lines, with their indentation, and must stand in
// the file exactly once. The mutant must compile: only a test may reject it.
//
// The source files are not touched: the go command is given the changed ones with
// its -overlay flag.
//
// The tests that must notice are those of the package that is changed; for the engine
// and its policies, both of theirs.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run runs the mutants in the order of their names, all or only some, and prints a
// line for each as soon as it is known.
func run(ctx context.Context, w io.Writer, only []string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	mutants, err := load(filepath.Join(root, "test", "mutants", "testdata"))
	if err != nil {
		return err
	}
	if mutants, err = pick(mutants, only); err != nil {
		return err
	}
	width := 0
	var packages []string
	for _, m := range mutants {
		width = max(width, len(m.name))
		packages = append(packages, m.packages()...)
	}
	slices.Sort(packages)
	// Where the tests fail anyway every mutant would seem to be caught.
	if v, err := runSuite(ctx, root, slices.Compact(packages), nil); err != nil {
		return err
	} else if v.how != survived {
		return fmt.Errorf("the code as it is fails its tests (%s): no mutant says anything", v)
	}
	var survivors, faults []string
	for _, m := range mutants {
		began := time.Now()
		v, err := try(ctx, root, m)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		result := v.String()
		switch {
		case err != nil:
			result = "BROKEN"
			faults = append(faults, err.Error())
		case v.how == survived:
			survivors = append(survivors, m.name)
		}
		fmt.Fprintf(w, "%-*s  %5.1fs  %s\n", width, m.name, time.Since(began).Seconds(), result)
	}
	fmt.Fprintf(w, "%d mutants: %d caught, %d survived, %d broken\n",
		len(mutants), len(mutants)-len(survivors)-len(faults), len(survivors), len(faults))
	if len(survivors) > 0 {
		faults = append(faults, "no test notices "+strings.Join(survivors, ", "))
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s", strings.Join(faults, "\nmutants: "))
	}
	return nil
}

// pick returns the mutants with these names, all for none.
func pick(mutants []mutant, names []string) ([]mutant, error) {
	if len(names) == 0 {
		return mutants, nil
	}
	for _, name := range names {
		if !slices.ContainsFunc(mutants, func(m mutant) bool { return m.name == name }) {
			return nil, fmt.Errorf("there is no testdata/%s.txt", name)
		}
	}
	return slices.DeleteFunc(mutants, func(m mutant) bool { return !slices.Contains(names, m.name) }), nil
}

// try runs the suite on one mutant.
func try(ctx context.Context, root string, m mutant) (verdict, error) {
	files, err := m.apply(root)
	if err != nil {
		return verdict{}, err
	}
	v, err := runSuite(ctx, root, m.packages(), files)
	if err != nil {
		return v, fmt.Errorf("mutant %s: %w", m.name, err)
	}
	return v, nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
