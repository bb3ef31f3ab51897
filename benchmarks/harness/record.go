package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Record is a measurement as it is kept: every single result, and what it needs to
// be understood.
type Record struct {
	Machine    Machine       `json:"machine"`
	N          int64         `json:"n"` // transactions per run
	Rounds     int           `json:"rounds"`
	Workloads  []string      `json:"workloads"`
	Contenders []string      `json:"contenders"`
	Rate       int           `json:"rate"` // of a live workload, per second
	For        time.Duration `json:"for_ns"`
	Results    []Result      `json:"results"`
}

// Machine is where it was measured, and with what.
type Machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Go         string `json:"go"`
	NATSServer string `json:"nats_server"`
}

// String is the machine in one line.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s, nats-server %s", m.CPU, m.Cores, m.Go, m.NATSServer)
}

// ThisMachine is the one that this process runs on.
func ThisMachine() Machine {
	m := Machine{CPU: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version(), NATSServer: server.VERSION}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m // there is none but on Linux
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}

// NewRecord is what was measured on this machine.
func NewRecord(o Options, results []Result) Record {
	r := Record{
		Machine: ThisMachine(), N: o.N, Rounds: o.Rounds, Contenders: o.Contenders, Rate: o.Rate, For: o.For, Results: results,
	}
	for _, w := range o.Workloads {
		r.Workloads = append(r.Workloads, w.Name)
	}
	return r
}

// Write writes the record to a file.
func (r Record) Write(file string) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err == nil {
		err = os.WriteFile(file, append(data, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

// ReadRecord reads what Write wrote.
func ReadRecord(file string) (Record, error) {
	var r Record
	data, err := os.ReadFile(file)
	if err != nil {
		return r, fmt.Errorf("read results: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read results: %s is not what -json writes: %w", file, err)
	}
	if len(r.Results) == 0 {
		return r, fmt.Errorf("read results: %s holds none: it must be a file that -json wrote", file)
	}
	if _, err := r.workloads(); err != nil {
		return r, fmt.Errorf("read results: %s: %w", file, err)
	}
	return r, nil
}

func (r Record) workloads() ([]Workload, error) { return Select(strings.Join(r.Workloads, ",")) }
