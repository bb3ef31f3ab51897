package harness

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// FlatTable writes a table per dimension: medians of the rounds, how each row's CPU time
// compares with the median of the rows, and how far the least and the most are from the middle
// between them.
func FlatTable(w io.Writer, o FlatOptions, results []FlatResult) error {
	fmt.Fprintf(w, `%s
n = %d, medians of %d rounds.
W1, CPU time of the contender's process per transaction: what it used, without what the same
process used that was started, asked the same way, and was stopped without having got anything
("empty"), divided by the number of transactions. Lower is better; flat is ×1.00. Below a
table stands how far the least and the most are from the middle between them. All of a backlog is stored
before any of it is delivered; a small one is repeated within the process. RSS is its peak.
Rows compare only where tx/s does: a process that waits for the server pays for waking up.
Tasks share a connection and a publisher; apart, they have a publisher each, as package app does it; raw,
they are loops by hand.
`, ThisMachine(), o.N, o.Rounds)
	if o.Paced > 0 {
		fmt.Fprintf(w, "Tasks have no backlog here: they get %d transactions a second together, as they are published.\n", o.Paced)
	}
	for _, dimension := range Dimensions {
		var values []int64
		for _, r := range results {
			if r.Dimension == dimension && !slices.Contains(values, r.Value) {
				values = append(values, r.Value)
			}
		}
		if len(values) == 0 {
			continue
		}
		slices.Sort(values)
		of := func(v int64, f func(FlatResult) float64) float64 {
			var all []float64
			for _, r := range results {
				if r.Dimension == dimension && r.Value == v {
					all = append(all, f(r))
				}
			}
			return median(all)
		}
		cpu := func(r FlatResult) float64 { return micros(r.CPU) }
		var rows []float64
		for _, v := range values {
			rows = append(rows, of(v, cpu))
		}
		middle := median(rows)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(t, "\n%s\trepeated\tCPU µs\t×median\ttx/s\tempty ms\tRSS MiB\t\n", dimension)
		for _, v := range values {
			fmt.Fprintf(t, "%d\t%.0f\t%.2f\t%s\t%.0f\t%.1f\t%.1f\t\n", v,
				of(v, func(r FlatResult) float64 { return float64(r.Repeats) }), of(v, cpu), ratio(of(v, cpu), middle),
				of(v, func(r FlatResult) float64 { return r.Rate }),
				of(v, func(r FlatResult) float64 { return micros(r.Empty) / 1000 }),
				of(v, func(r FlatResult) float64 { return mebi(r.MaxRSS) }))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintf(w, "±%.1f %%\n", spread(rows))
	}
	return nil
}

// spread is how far the outermost are from their middle, in percent of it.
func spread(all []float64) float64 {
	least, most := slices.Min(all), slices.Max(all)
	if least+most <= 0 {
		return 0
	}
	return 100 * (most - least) / (most + least)
}

// ScaleTable writes a row per number of processes, of medians. What N processes did
// is compared with N times what one did.
func ScaleTable(w io.Writer, n int64, rounds int, results []ScaleResult) error {
	fmt.Fprintf(w, "%s\nn = %d, medians of %d rounds.\nW4 by processes that share one durable consumer, %d at once each. ×N is tx/s against N times that\n"+
		"of one process (1.00 is perfect), shares are the processes' parts of the transactions, the largest\n"+
		"first, cores what the processes kept busy.\n", ThisMachine(), n, rounds, ScaleConcurrency)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\nprocesses\ttx/s\t×N\tshares\tcores\t\n")
	of := func(n int, f func(ScaleResult) float64) float64 {
		var all []float64
		for _, r := range results {
			if r.Processes == n {
				all = append(all, f(r))
			}
		}
		return median(all)
	}
	var counts []int
	for _, r := range results {
		counts = append(counts, r.Processes)
	}
	slices.Sort(counts)
	speed := func(r ScaleResult) float64 { return r.Rate }
	for _, n := range slices.Compact(counts) {
		shares := make([]float64, n)
		for i := range shares {
			shares[i] = of(n, func(r ScaleResult) float64 { return r.Shares[i] })
		}
		fmt.Fprintf(t, "%d\t%.0f\t%s\t%s\t%.2f\t\n", n, of(n, speed), ratio(of(n, speed), float64(n)*of(1, speed)),
			percents(shares), of(n, func(r ScaleResult) float64 { return r.Cores }))
	}
	return t.Flush()
}

func percents(shares []float64) string {
	text := make([]string, len(shares))
	for i, s := range shares {
		text[i] = fmt.Sprintf("%.1f %%", 100*s)
	}
	return strings.Join(text, " ")
}

func mebi(bytes int64) float64 { return float64(bytes) / (1 << 20) }
