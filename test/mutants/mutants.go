// Command mutants breaks the engine on purpose, in one way after the other, and
// says which test notices. It is the test of the engine's tests:
//
//	go run ./test/mutants               all of them, five to fifteen minutes
//	go run ./test/mutants -only NAME    one of them
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
	only := flag.String("only", "", "run this mutant alone")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "mutants: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run runs the mutants in the order of their names, and prints a line for each as
// soon as it is known.
func run(ctx context.Context, w io.Writer, only string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	mutants, err := load(filepath.Join(root, "test", "mutants", "testdata"))
	if err != nil {
		return err
	}
	width := 0
	for _, m := range mutants {
		width = max(width, len(m.name))
	}
	if only != "" {
		mutants = slices.DeleteFunc(mutants, func(m mutant) bool { return m.name != only })
		if len(mutants) == 0 {
			return fmt.Errorf("there is no testdata/%s.txt", only)
		}
	}
	// Where the tests fail anyway every mutant would seem to be caught.
	if v, err := runSuite(ctx, root, nil); err != nil {
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

// try runs the suite on one mutant.
func try(ctx context.Context, root string, m mutant) (verdict, error) {
	files, err := m.apply(root)
	if err != nil {
		return verdict{}, err
	}
	v, err := runSuite(ctx, root, files)
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
