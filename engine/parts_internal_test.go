package engine

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
)

// The parts of a transaction's path by themselves, without a connector and without
// another goroutine. BenchmarkEngine is the whole.

// line is a typical input: a few fields of each kind.
type line struct {
	Invoice     string    `json:"invoice"`
	StockCode   string    `json:"stock_code"`
	Description string    `json:"description"`
	Quantity    int       `json:"quantity"`
	Date        time.Time `json:"date"`
	Price       float64   `json:"price"`
	Customer    string    `json:"customer"`
	Country     string    `json:"country"`
	Gift        bool      `json:"gift"`
}

// linePayload are 256 bytes.
var linePayload = []byte(`{"invoice":"536365","stock_code":"85123A","description":"WHITE HANGING HEART T-LIGHT HOLDER, ` +
	`IN A BOX OF SIX WITH A RIBBON","quantity":6,"date":"2010-12-01T08:26:00Z","price":2.55,"customer":"17850",` +
	`"country":"United Kingdom of G. B.","gift":true}         `)

// BenchmarkDecode is what a payload's way into a task's type costs beside
// encoding/json.
func BenchmarkDecode(b *testing.B) {
	require.Equal(b, 256, len(linePayload))
	raw := ergon.New(linePayload, ergon.WithContentType("application/json"))
	b.Run("decoder", func(b *testing.B) {
		decode := decoder[line]([]ergon.Codec{ergon.JSON})
		b.SetBytes(int64(len(linePayload)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decode(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json.Unmarshal", func(b *testing.B) {
		b.SetBytes(int64(len(linePayload)))
		b.ReportAllocs()
		for b.Loop() {
			var in line
			if err := json.Unmarshal(linePayload, &in); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// nothing is a source that is never asked, and a delivery that is settled at once.
type nothing struct{ raw ergon.Raw }

func (nothing) Fetch(context.Context, int) ([]ergon.Delivery, error) { return nil, ergon.ErrDrained }
func (nothing) Close(context.Context) error                          { return nil }

func (d *nothing) Transaction() ergon.Raw       { return d.raw }
func (d *nothing) Extend(context.Context) error { return nil }
func (d *nothing) Info() ergon.DeliveryInfo {
	return ergon.DeliveryInfo{Stored: "IN:1", Deliveries: 1, Lease: 30 * time.Second}
}
func (d *nothing) Settle(_ ergon.Settlement, done func(error)) { done(nil) }

type idle struct{}

func (idle) Process(context.Context, ergon.Transaction[[]byte]) (ergon.None, error) {
	return ergon.None{}, nil
}

// benchParts returns an engine that does not run, whose parts can be called, and a
// delivery for it.
func benchParts(b *testing.B, change func(*policy.Consumer)) (*Engine, *nothing) {
	b.Helper()
	p := policy.DefaultConsumer()
	change(&p)
	e, err := New(Config{Task: Consume("idle", idle{}), Source: nothing{}, Policy: p})
	require.NoError(b, err)
	e.work, e.publishing, e.settling = b.Context(), b.Context(), b.Context()
	return e, &nothing{raw: ergon.New(linePayload, ergon.WithID("0123456789abcdef0123456789abcdef"), ergon.WithSource("/ergon/app/task"))}
}

func asItIs(*policy.Consumer) {}

// BenchmarkGuard is a flight's admission and leaving, with a thousand others there.
func BenchmarkGuard(b *testing.B) {
	e, d := benchParts(b, asItIs)
	for i := range 1000 {
		other := &nothing{raw: ergon.New(linePayload, ergon.WithID(strconv.Itoa(i)), ergon.WithSource("/ergon/app/task"))}
		require.Equal(b, admittedRun, e.guard.admit(newFlight(e, other, time.Now()), false))
	}
	f := newFlight(e, d, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		if e.guard.admit(f, false) != admittedRun || e.guard.leave(f) != nil {
			b.Fatal("it is the only one")
		}
	}
}

// BenchmarkAttempt is a new flight's one attempt of a task that does nothing: its
// context, deadline, facts and counters. The flight is part of it, for an attempt
// uses what lies in it, once.
func BenchmarkAttempt(b *testing.B) {
	for _, c := range []struct {
		name   string
		change func(*policy.Consumer)
	}{
		{"no limits", asItIs},
		{"bulkhead", func(p *policy.Consumer) { p.Process.Bulkhead.MaxConcurrency = 16 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			e, d := benchParts(b, c.change)
			w := newWorker()
			b.ReportAllocs()
			for b.Loop() {
				now := time.Now()
				f := newFlight(e, d, now)
				f.begin(now)
				if err := f.attempt(w, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSettle is a new flight's admission, acknowledgement and end, with a source
// that answers at once.
func BenchmarkSettle(b *testing.B) {
	e, d := benchParts(b, asItIs)
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		now := time.Now()
		f := newFlight(e, d, now)
		e.held.Add(1)
		e.guard.admit(f, false)
		f.begin(now)
		f.returned = now
		f.acknowledge(Succeeded)
		n++
	}
	require.Equal(b, n, e.stats.count(Succeeded))
	require.Zero(b, e.held.Load())
}

// BenchmarkInstruments is what is counted for one transaction that does well, without
// and with an observer that wants no routine events: its beginning, two attempts, its
// end.
func BenchmarkInstruments(b *testing.B) {
	for _, c := range []struct {
		name    string
		observe func(Event)
		routine func() bool
	}{
		{"no observer", nil, nil},
		{"no routine", func(Event) {}, func() bool { return false }},
		{"everything", func(Event) {}, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			e, d := benchParts(b, asItIs)
			e.observe, e.routine = c.observe, c.routine
			f := newFlight(e, d, time.Now())
			f.begin(time.Now())
			f.returned = f.began.Add(37 * time.Microsecond)
			b.ReportAllocs()
			n := int64(0)
			for b.Loop() {
				e.begun(f)
				f.step = stepProcess
				e.attemptEnded(f, 17*time.Microsecond, nil)
				f.step = stepProduce
				e.attemptEnded(f, 20*time.Microsecond, nil)
				e.finished(f, Succeeded)
				n++
			}
			require.Equal(b, n, e.stats.outcomes[0].took.Count())
		})
	}
}
