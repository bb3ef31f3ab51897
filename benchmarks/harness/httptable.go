package harness

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// HTTPTable writes a table per direction: medians of the rounds, and how each compares
// with that of the first contender.
func HTTPTable(w io.Writer, o HTTPOptions, results []HTTPResult) error {
	fmt.Fprintf(w, `%s
n = %d, medians of %d rounds, %d connections on loopback.
Of req/s more is better, of CPU (that of the contender's process, per request) and latency less.
`, ThisMachine(), o.N, o.Rounds, HTTPConnections)
	for _, d := range []struct {
		name, title string
		contenders  []string
		columns     []httpColumn
	}{
		{HTTPSource, "source: POST, answered with 202 after the PubAck", o.Sources, []httpColumn{httpRate, httpCPU, httpLatency(0), httpLatency(1), httpLatency(2)}},
		{HTTPSink, "sink: POST to a receiver that only counts", o.Sinks, []httpColumn{httpRate, httpCPU}},
	} {
		if len(d.contenders) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", d.title)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		yardstick := d.contenders[0]
		fmt.Fprint(t, "contender\t")
		for _, c := range d.columns {
			fmt.Fprintf(t, "%s\t×%s\t", c.title, yardstick)
		}
		fmt.Fprintln(t)
		for _, name := range d.contenders {
			fmt.Fprintf(t, "%s\t", name)
			for _, c := range d.columns {
				v := c.median(results, d.name, name)
				fmt.Fprintf(t, c.format+"\t%s\t", v, ratio(v, c.median(results, d.name, yardstick)))
			}
			fmt.Fprintln(t)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

type httpColumn struct {
	title, format string
	of            func(HTTPResult) float64
}

var (
	httpRate = httpColumn{"req/s", "%.0f", func(r HTTPResult) float64 { return r.Rate }}
	httpCPU  = httpColumn{"CPU µs", "%.2f", func(r HTTPResult) float64 { return micros(r.CPU) }}
)

func httpLatency(i int) httpColumn {
	title := [...]string{"p50 ms", "p99 ms", "p99.9 ms"}[i]
	return httpColumn{title, "%.3f", func(r HTTPResult) float64 { return micros(r.Latency[i]) / float64(time.Millisecond/time.Microsecond) }}
}

func (c httpColumn) median(results []HTTPResult, direction, contender string) float64 {
	var values []float64
	for _, r := range results {
		if r.Direction == direction && r.Contender == contender {
			values = append(values, c.of(r))
		}
	}
	return median(values)
}
