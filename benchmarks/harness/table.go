package harness

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// String is the result in a few words.
func (r Result) String() string {
	s := fmt.Sprintf("%s: %.0f/s, %.2f µs CPU", r.Contender, r.Rate, micros(r.CPU))
	if r.Latency[0] > 0 {
		s += fmt.Sprintf(", p50 %s p99 %s p99.9 %s", round(r.Latency[0]), round(r.Latency[1]), round(r.Latency[2]))
	}
	return s
}

// yardsticks are what the others are compared with.
var yardsticks = [...]string{"raw", "raw-wire"}

// Table writes the medians of the results, and the ratios of medians: a rate's is
// better when it is higher, that of CPU time or latency when it is lower.
func Table(w io.Writer, r Record) error {
	loads, err := r.workloads()
	if err != nil {
		return err
	}
	for _, load := range loads {
		fmt.Fprintf(w, "\n%s %s\n", load.Name, load.Title)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		columns := columnsOf(load)
		fmt.Fprint(t, "contender\t")
		for _, c := range columns {
			fmt.Fprintf(t, "%s\t×%s\t×%s\t", c.title, yardsticks[0], yardsticks[1])
		}
		fmt.Fprintln(t)
		for _, name := range r.Contenders {
			fmt.Fprintf(t, "%s\t", name)
			for _, c := range columns {
				v := c.median(r.Results, load.Name, name)
				fmt.Fprintf(t, c.format+"\t", v)
				for _, y := range yardsticks {
					fmt.Fprintf(t, "%s\t", ratio(v, c.median(r.Results, load.Name, y)))
				}
			}
			fmt.Fprintln(t)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

type column struct {
	title, format string
	of            func(Result) float64
}

func columnsOf(w Workload) []column {
	cpu := column{"CPU µs", "%.2f", func(r Result) float64 { return micros(r.CPU) }}
	if !w.live {
		return []column{{"tx/s", "%.0f", func(r Result) float64 { return r.Rate }}, cpu}
	}
	var columns []column
	for i, title := range [...]string{"p50 ms", "p99 ms", "p99.9 ms"} {
		columns = append(columns, column{title, "%.3f", func(r Result) float64 { return micros(r.Latency[i]) / 1000 }})
	}
	return append(columns, cpu)
}

// median is 0 where there is nothing.
func (c column) median(results []Result, workload, contender string) float64 {
	var values []float64
	for _, r := range results {
		if r.Workload == workload && r.Contender == contender {
			values = append(values, c.of(r))
		}
	}
	return median(values)
}

// median of an even number of values lies halfway between the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

func ratio(v, to float64) string {
	if to == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", v/to)
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func round(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
