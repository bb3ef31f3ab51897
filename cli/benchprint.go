package cli

import (
	"fmt"
	"strings"
	"time"
)

// benchLatency is latencies as JSON has them, in seconds.
type benchLatency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// benchInfo is a bench as `ergon bench --json` has it. What is not known is left out.
type benchInfo struct {
	Embedded     bool          `json:"embedded"`
	Subject      string        `json:"subject"`
	Bytes        int           `json:"bytes"`
	Rate         float64       `json:"rate,omitempty"`
	Stored       int64         `json:"stored"`
	Failed       int64         `json:"failed"`
	Seconds      float64       `json:"seconds"` // until the last was stored
	PerSecond    float64       `json:"per_second"`
	ToStored     benchLatency  `json:"to_stored_seconds"`
	Outputs      *int64        `json:"outputs,omitempty"`
	OutPerSecond float64       `json:"outputs_per_second,omitempty"`
	EndToEnd     *benchLatency `json:"end_to_end_seconds,omitempty"`
	CPU          float64       `json:"cpu_seconds_per_transaction,omitempty"`
	PeakBytes    int64         `json:"peak_memory_bytes,omitempty"`
	AllocBytes   int64         `json:"allocated_bytes_per_transaction"`
}

func newBenchLatency(h *histogram) benchLatency {
	q := h.quantiles(0.5, 0.9, 0.99, 0.999, 1)
	return benchLatency{q[0].Seconds(), q[1].Seconds(), q[2].Seconds(), q[3].Seconds(), q[4].Seconds()}
}

func perSecond(n int64, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(n) / took.Seconds()
}

func (r *benchRun) info() benchInfo {
	stored := r.stored.Load()
	i := benchInfo{
		Embedded: !r.onBus, Subject: r.subject, Bytes: r.size, Rate: r.rate, Stored: stored, Failed: r.failed.Load(),
		Seconds: r.published.Seconds(), PerSecond: perSecond(stored, r.published), ToStored: newBenchLatency(&r.toStored),
		AllocBytes: r.cost.allocations / max(stored, 1), PeakBytes: r.cost.peak,
	}
	if i.Subject == "" {
		i.Subject = r.in()
	}
	if r.cost.known {
		i.CPU = r.cost.cpu.Seconds() / float64(max(stored, 1))
	}
	if !r.publishOnly {
		n, latency := r.outputs.Load(), newBenchLatency(&r.toOutput)
		i.Outputs, i.OutPerSecond, i.EndToEnd = &n, perSecond(n, r.all), &latency
	}
	return i
}

func (c *command) printBench(r *benchRun) error {
	if c.json {
		return c.printJSON(r.info())
	}
	var b strings.Builder
	line := func(name, format string, a ...any) {
		fmt.Fprintf(&b, "%-12s "+format+"\n", append([]any{name}, a...)...)
	}
	latency := func(h *histogram) string {
		q := h.quantiles(0.5, 0.9, 0.99, 0.999, 1)
		return fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", short(q[0]), short(q[1]), short(q[2]), short(q[3]), short(q[4]))
	}
	stored := r.stored.Load()
	where := "the configured bus"
	if !r.onBus {
		where = "an embedded bus"
	}
	line("stored", "%s of %d bytes in %s, %s a second, on %s", thousands(stored), r.size, short(r.published), thousands(int64(perSecond(stored, r.published))), where)
	if stored > 0 {
		line("", "%s", latency(&r.toStored))
	}
	if !r.publishOnly {
		n := r.outputs.Load()
		line("end to end", "%s outputs in %s, %s a second", thousands(n), short(r.all), thousands(int64(perSecond(n, r.all))))
		if n > 0 {
			line("", "%s", latency(&r.toOutput))
		}
	}
	cost := "publisher and engine"
	if r.publishOnly {
		cost = "publisher"
	}
	if !r.onBus {
		cost += ", and the embedded server"
	}
	if r.cost.known && stored > 0 {
		line("processor", "%.1fµs per transaction (%s)", float64(r.cost.cpu.Microseconds())/float64(stored), cost)
	}
	memory := fmt.Sprintf("%.1f KiB allocated per transaction", float64(r.cost.allocations)/1024/float64(max(stored, 1)))
	if r.cost.known {
		memory = fmt.Sprintf("%s MiB at most, ", thousands(r.cost.peak>>20)) + memory
	}
	line("memory", "%s", memory)
	return c.printf("%s", b.String())
}

// line is the live line.
func (r *benchRun) line() string {
	stored := r.stored.Load()
	rate := thousands(int64(perSecond(stored, time.Since(r.began))))
	if r.publishOnly {
		return fmt.Sprintf("%s stored   %s/s", thousands(stored), rate)
	}
	return fmt.Sprintf("%s stored   %s outputs   %s/s", thousands(stored), thousands(r.outputs.Load()), rate)
}
