package harness

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// profiling writes what a contender's process does to files that begin with
// prefix, until the function that it returns is called: where CPU time goes, what
// is allocated, and what goroutines wait for. It slows the work down by a little.
func profiling(prefix string) (stop func() error, err error) {
	cpu, err := os.Create(prefix + ".cpu.pprof")
	if err != nil {
		return nil, fmt.Errorf("write a profile: %w", err)
	}
	runtime.SetBlockProfileRate(10_000) // nanoseconds: one sample for so much waiting
	runtime.SetMutexProfileFraction(20)
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(fmt.Errorf("write a profile: %w", err), cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		errs := []error{cpu.Close()}
		for _, kind := range [...]string{"allocs", "block", "mutex"} {
			errs = append(errs, writeProfile(prefix, kind))
		}
		return errors.Join(errs...)
	}, nil
}

func writeProfile(prefix, kind string) error {
	f, err := os.Create(prefix + "." + kind + ".pprof")
	if err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	return errors.Join(pprof.Lookup(kind).WriteTo(f, 0), f.Close())
}
