package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
)

const (
	// samples is how many a run takes.
	samples = 100
	// growth is what the last quarter's median may be of the second's.
	growth = 1.05
)

// measures are what a sample holds, in this order. NaN is what this system does not
// tell.
var measures = [...]struct {
	name   string
	unit   string
	judged bool
	read   func() float64
}{
	{"goroutines", "", true, func() float64 { return float64(runtime.NumGoroutine()) }},
	{"heap", " MiB", true, liveHeap},
	{"rss", " MiB", false, resident},
	{"files", "", true, openFiles},
}

type sample [len(measures)]float64

func take() (s sample) {
	for i, m := range measures {
		s[i] = m.read()
	}
	return s
}

func (s sample) String() string {
	var b strings.Builder
	for i, m := range measures {
		fmt.Fprintf(&b, "  %s %s%s", m.name, number(s[i]), m.unit)
	}
	return b.String()
}

func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "n/a"
	case v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// liveHeap is what is left when everything that nobody holds was collected. The
// first collection leaves what lies in a sync.Pool.
func liveHeap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// resident is what the process has of the machine's memory once the runtime has
// given back what it has no use for, which by itself it does later or never.
func resident() float64 {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	var size, pages float64
	if err != nil {
		return math.NaN()
	}
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return math.NaN()
	}
	return pages * float64(os.Getpagesize()) / (1 << 20)
}

func openFiles() float64 {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return math.NaN()
	}
	return float64(len(entries) - 1) // reading it takes one
}

// quarters are the medians of one measure.
func quarters(all []sample, measure int) (medians [4]float64) {
	for q := range medians {
		var values []float64
		for _, s := range all[q*len(all)/4 : (q+1)*len(all)/4] {
			values = append(values, s[measure])
		}
		medians[q] = median(values)
	}
	return medians
}

func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	return (values[n/2] + values[(n-1)/2]) / 2
}

func printGrowth(w io.Writer, all []sample) {
	fmt.Fprintf(w, "%d samples; medians of the quarters, and the fourth over the second:\n", len(all))
	for i, m := range measures {
		q := quarters(all, i)
		fmt.Fprintf(w, "  %-10s  %10s %10s %10s %10s%-4s  %.3f\n",
			m.name, number(q[0]), number(q[1]), number(q[2]), number(q[3]), m.unit, q[3]/q[1])
	}
}

// judge says what grew. A measure that this system does not tell is not judged.
func judge(all []sample) (err error) {
	if len(all) < samples {
		err = fmt.Errorf("%d samples were taken, %d are needed to say anything", len(all), samples)
	}
	for i, m := range measures {
		if q := quarters(all, i); m.judged && q[3]/q[1] > growth {
			err = errors.Join(err, fmt.Errorf("%s grew from %s to %s%s, to the %.3ffold, more than %v: run it again with -profile DIR, and look at go tool pprof -diff_base",
				m.name, number(q[1]), number(q[3]), m.unit, q[3]/q[1], growth))
		}
	}
	return err
}

// writeProfile writes what lives after each tenth.
func writeProfile(dir string, taken int) (err error) {
	if dir == "" || taken%(samples/10) != 0 {
		return nil
	}
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("heap-%03d.pprof", taken*100/samples)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return pprof.Lookup("heap").WriteTo(f, 0)
}
