package admin

import (
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
)

// TaskInfo is what one task does. Its counts are of deliveries, since the start.
type TaskInfo struct {
	Task             string    `json:"task"`
	Connector        string    `json:"connector"`
	PolicyGeneration int       `json:"policy_generation"`
	Live             bool      `json:"live"`
	Ready            bool      `json:"ready"`
	Checks           []Checked `json:"checks"`
	Restarts         int64     `json:"restarts"` // after it had failed; its counts go on

	Started     int64            `json:"started"`  // whose first attempt began
	Outcomes    map[string]int64 `json:"outcomes"` // all of engine.Outcome
	DeadBy      []DeadBy         `json:"dead_by"`
	Outputs     int64            `json:"outputs"` // that are stored
	Retries     int64            `json:"retries"`
	Redelivered int64            `json:"redelivered"`
	Stuck       int64            `json:"stuck"`

	InFlight InFlight           `json:"in_flight"`
	Limits   []Limit            `json:"limits"`
	Rates    Rates              `json:"rates"`
	Latency  map[string]Latency `json:"latency"` // of transaction (those that succeeded), and of each phase
	Lag      *Lag               `json:"lag"`     // null where it is not known
}

// DeadBy counts dead letters by why.
type DeadBy struct {
	Phase    string `json:"phase"`
	Category string `json:"category"`
	Count    int64  `json:"count"`
}

// InFlight is what is unsettled.
type InFlight struct {
	Held    int              `json:"held"`   // all of them
	Queued  int              `json:"queued"` // for a slot
	Running map[string]int64 `json:"running"`
}

// Limit is something that admits so many at once: slots (attempts that run), window
// (transactions that are unsettled), or the phase whose bulkhead it is.
type Limit struct {
	Name string `json:"name"`
	Used int64  `json:"used"`
	Max  int64  `json:"max"`
}

// Rates are those of the last ten seconds and the last minute.
type Rates struct {
	Last10s Rate `json:"last_10s"`
	Last1m  Rate `json:"last_1m"`
}

// Latency is how long something took, since the start, in milliseconds.
type Latency struct {
	Count uint64  `json:"count"`
	P50MS float64 `json:"p50_ms"`
	P90MS float64 `json:"p90_ms"`
	P99MS float64 `json:"p99_ms"`
}

// Lag is what the source still has.
type Lag struct {
	Pending  int64     `json:"pending"`
	InFlight int64     `json:"in_flight"` // delivered to anybody, and not settled
	Parked   int64     `json:"parked"`    // that wait for a later attempt
	At       time.Time `json:"at"`
}

func (s *Server) taskInfo(now time.Time, e Task) TaskInfo {
	m, snapshot := e.Metrics(), e.Snapshot()
	t := TaskInfo{
		Task: m.Task, Connector: m.Connector, PolicyGeneration: e.Generation(), Live: e.Alive() == nil, Restarts: m.Restarts,
		Started: m.Started, Outcomes: map[string]int64{}, DeadBy: []DeadBy{},
		Outputs: m.Outputs, Retries: snapshot.Retries, Redelivered: m.Redelivered, Stuck: m.Stuck,
		InFlight: InFlight{Held: snapshot.Held, Queued: snapshot.Queued, Running: map[string]int64{}},
		Rates:    Rates{s.rates.over(now, 10*time.Second, e), s.rates.over(now, time.Minute, e)},
		Latency:  map[string]Latency{},
	}
	t.Checks, t.Ready = checked(e.Checks())
	for _, of := range m.Transactions {
		t.Outcomes[string(of.Outcome)] = of.Count
		if of.Outcome == engine.Succeeded {
			t.Latency["transaction"] = latency(of.Duration)
		}
	}
	for _, d := range m.DeadLetters {
		t.DeadBy = append(t.DeadBy, DeadBy{string(d.Phase), string(d.Category), d.Count})
	}
	for _, p := range m.Phases {
		if p.Phase != ergon.PhaseFetch { // a fetch holds no transaction
			t.InFlight.Running[string(p.Phase)] = p.Running
		}
		all := p.Results[0].Duration
		for _, r := range p.Results[1:] {
			all = all.Plus(r.Duration)
		}
		t.Latency[string(p.Phase)] = latency(all)
	}
	for _, l := range m.Limits {
		t.Limits = append(t.Limits, Limit(l))
	}
	if !m.Lag.At.IsZero() {
		t.Lag = &Lag{m.Lag.Pending, m.Lag.InFlight, m.Lag.Parked, m.Lag.At.UTC()}
	}
	return t
}

func latency(h engine.Histogram) Latency {
	ms := func(q float64) float64 { return h.Quantile(q) * 1000 }
	return Latency{h.Count, ms(0.5), ms(0.9), ms(0.99)}
}
