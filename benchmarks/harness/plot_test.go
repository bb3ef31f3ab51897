package harness

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func measured() Record {
	r := Record{
		Machine: Machine{CPU: `A <fast> & "odd" CPU`, Cores: 4, Go: "go1.26", NATSServer: "2.15.2"},
		N:       5000, Rounds: 3, Workloads: []string{"W1", "W3"}, Contenders: []string{"raw", "raw-wire", "<mine>"},
		Rate: 2000, For: 20 * time.Second,
	}
	for i, name := range r.Contenders {
		k := time.Duration(i + 1)
		for round := range time.Duration(3) { // the median is that of round 1
			r.Results = append(r.Results,
				Result{Workload: "W1", Contender: name, Rate: float64(1000 * k * (round + 1)), CPU: k * (round + 1) * time.Microsecond},
				Result{Workload: "W3", Contender: name, CPU: time.Second, Latency: [3]time.Duration{k * time.Millisecond, 7 * k * time.Millisecond, time.Hour}})
		}
	}
	return r
}

// shape is a rectangle or a text of a plot, in the order of drawing.
type shape struct {
	XMLName xml.Name
	Class   string  `xml:"class,attr"`
	X       float64 `xml:"x,attr"`
	Y       float64 `xml:"y,attr"`
	Width   float64 `xml:"width,attr"`
	Text    string  `xml:",chardata"`
}

func drawn(t *testing.T, r Record) []shape {
	t.Helper()
	plot := string(Plot(r))
	for d := xml.NewDecoder(strings.NewReader(plot)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err, plot)
		}
	}
	var svg struct {
		XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
		Width   float64  `xml:"width,attr"`
		Style   string   `xml:"style"`
		Shapes  []shape  `xml:",any"`
	}
	require.NoError(t, xml.Unmarshal([]byte(plot), &svg))
	require.Contains(t, svg.Style, "prefers-color-scheme: dark")
	require.NotContains(t, svg.Style, "url(")
	for _, s := range svg.Shapes {
		require.LessOrEqual(t, s.X+s.Width, svg.Width)
	}
	return svg.Shapes
}

func texts(shapes []shape) (all []string) {
	for _, s := range shapes {
		if s.XMLName.Local == "text" {
			all = append(all, s.Text)
		}
	}
	return all
}

func TestPlotSays(t *testing.T) {
	all := texts(drawn(t, measured()))
	for _, want := range []string{
		"W1 transform: consume, process, publish, ack", "transactions per second (higher is better)",
		"client CPU per transaction, µs (lower is better)", "latency p50, ms (lower is better)", "latency p99, ms (lower is better)",
		"raw", "raw-wire", "<mine>",
		"2000  ×0.50", "4000  ×1.00", "6000  ×1.50", "2.00  ×0.50", "4.00  ×1.00", "6.00  ×1.50",
		"1.000  ×0.50", "2.000  ×1.00", "3.000  ×1.50", "7.000  ×0.50", "14.000  ×1.00", "21.000  ×1.50",
		"medians of 3 rounds, n = 5000 transactions per run (W3: 2000/s for 20s)",
		`A <fast> & "odd" CPU, 4 cores, go1.26, nats-server 2.15.2`,
	} {
		require.Contains(t, all, want)
	}
}

// A bar is as long as its value, each quantity on a scale of its own.
func TestBarsAreProportional(t *testing.T) {
	var bars []float64
	for _, s := range drawn(t, measured()) {
		if s.Class == "mine" || s.Class == "other" {
			bars = append(bars, s.Width)
		}
	}
	require.Len(t, bars, 12) // two quantities of two workloads by three contenders
	for ; len(bars) > 0; bars = bars[3:] {
		require.InDelta(t, barWidth, bars[2], 0.01)
		require.InDelta(t, barWidth/3.0, bars[0], 0.01)
		require.InDelta(t, barWidth*2/3.0, bars[1], 0.01)
	}
}

// Without the yardstick there is no ratio, and without a value there is no bar.
func TestPlotOfAPart(t *testing.T) {
	r := measured()
	r.Workloads, r.Contenders = []string{"W1"}, []string{"<mine>", "absent"}
	r.Results = r.Results[len(r.Results)-6:] // <mine>'s
	all := texts(drawn(t, r))
	require.Contains(t, all, "6000")
	require.Contains(t, all, "not measured")
}

func TestRecordComesBack(t *testing.T) {
	file := t.TempDir() + "/results.json"
	want := measured()
	require.NoError(t, want.Write(file))
	got, err := ReadRecord(file)
	require.NoError(t, err)
	require.Equal(t, want, got)

	want.Workloads = []string{"W9"}
	require.NoError(t, want.Write(file))
	_, err = ReadRecord(file)
	require.ErrorContains(t, err, `no workload "W9"`)
	require.NoError(t, Record{}.Write(file))
	_, err = ReadRecord(file)
	require.ErrorContains(t, err, "holds none")
}

func TestThisMachine(t *testing.T) {
	m := ThisMachine()
	require.NotEmpty(t, m.CPU)
	require.Positive(t, m.Cores)
	require.Regexp(t, `^go`, m.Go)
	require.Regexp(t, `^2\.`, m.NATSServer)
}
