package harness

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// What the plot is laid out by, in its own units.
const (
	plotWidth  = 900
	plotMargin = 20
	nameWidth  = 80  // of a contender
	panelWidth = 390 // of one quantity: the bars, and what is printed at them
	barWidth   = 240 // of the longest
	barHeight  = 18
	barPitch   = 24
)

// A reader's light or dark mode decides about the colours; fonts are the reader's.
const plotStyle = `
text { fill: #1f2328; font: 13px system-ui, sans-serif; }
.title { font-size: 16px; font-weight: 600; }
.soft { fill: #59636e; font-size: 12px; }
.paper { fill: #ffffff; }
.other { fill: #9aa4af; }
.mine { fill: #0969da; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.soft { fill: #9198a1; }
.paper { fill: #0d1117; }
.other { fill: #59636e; }
.mine { fill: #4493f8; }
}
`

// panel is one quantity of a workload.
type panel struct {
	column
	caption string
}

func panelsOf(w Workload) []panel {
	columns := columnsOf(w)
	if w.live {
		return []panel{{columns[0], "latency p50, ms (lower is better)"}, {columns[1], "latency p99, ms (lower is better)"}}
	}
	return []panel{
		{columns[0], "transactions per second (higher is better)"},
		{columns[1], "client CPU per transaction, µs (lower is better)"},
	}
}

// Plot draws the medians of a record as an SVG that needs nothing from elsewhere.
func Plot(r Record) []byte {
	loads, err := r.workloads()
	if err != nil {
		loads = nil // ReadRecord has refused such a record
	}
	group := 52 + barPitch*len(r.Contenders) + 14 // a workload's height
	height := 60 + group*len(loads) + 62
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n",
		plotWidth, height, plotWidth, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n", escaped(plotTitle), plotStyle)
	fmt.Fprintf(&b, `<rect class="paper" width="%d" height="%d"/>`+"\n", plotWidth, height)
	write(&b, "title", plotMargin, 34, plotTitle)
	for i, w := range loads {
		y := 60 + group*i
		write(&b, "title", plotMargin, y+16, w.Name+" "+w.Title)
		for k, p := range panelsOf(w) {
			p.draw(&b, r, w, plotMargin+nameWidth+k*panelWidth, y+40)
		}
		for k, name := range r.Contenders {
			write(&b, "name", plotMargin, y+52+k*barPitch+13, name)
		}
	}
	foot := 60 + group*len(loads) + 14
	write(&b, "soft", plotMargin, foot, r.conditions())
	write(&b, "soft", plotMargin, foot+18, "×: ratio to "+yardsticks[1]+", a hand-written loop that writes what Ergon writes")
	write(&b, "soft", plotMargin, foot+36, r.Machine.String())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

const plotTitle = "Ergon against hand-written loops on nats.go"

// conditions say how it was measured.
func (r Record) conditions() string {
	text := fmt.Sprintf("medians of %d rounds, n = %d transactions per run", r.Rounds, r.N)
	for _, w := range r.Workloads {
		if w == "W3" {
			text += fmt.Sprintf(" (W3: %d/s for %s)", r.Rate, r.For)
		}
	}
	return text
}

// draw draws a bar for each contender below a caption, from x to the right.
func (p panel) draw(b *bytes.Buffer, r Record, w Workload, x, y int) {
	write(b, "soft", x, y, p.caption)
	values, longest := make([]float64, len(r.Contenders)), 0.0
	for i, name := range r.Contenders {
		values[i] = p.median(r.Results, w.Name, name)
		longest = max(longest, values[i])
	}
	yardstick := p.median(r.Results, w.Name, yardsticks[1])
	for i, name := range r.Contenders {
		top := y + 12 + i*barPitch
		if values[i] <= 0 {
			write(b, "value", x, top+13, "not measured")
			continue
		}
		class := "mine"
		if name == yardsticks[0] || name == yardsticks[1] {
			class = "other"
		}
		wide := values[i] / longest * barWidth
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.2f" height="%d" rx="2"/>`+"\n", class, x, top, wide, barHeight)
		label := fmt.Sprintf(p.format, values[i])
		if yardstick > 0 {
			label += "  ×" + ratio(values[i], yardstick)
		}
		write(b, "value", x+int(wide)+6, top+13, label)
	}
}

func write(b *bytes.Buffer, class string, x, y int, text string) {
	fmt.Fprintf(b, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", class, x, y, escaped(text))
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder takes everything
	return b.String()
}
