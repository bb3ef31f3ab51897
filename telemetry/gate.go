package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
)

// gate is one signal's way out. What waits at it is bounded, so that a receiver that
// does not answer costs no more memory than that; what is beyond is lost at once, and
// nobody ever waits.
type gate struct {
	signal   signal
	most     int64         // that wait or are on their way; 0 for no bound
	patience time.Duration // for one export; 0 for no bound
	pending  atomic.Int64
	failures atomic.Int64 // exports
	lost     atomic.Int64 // since it was last told
	lostEver atomic.Int64
	stop     context.Context
	cut      context.CancelFunc
	tell     *complaints
}

func newGate(s signal, most int, patience time.Duration, tell *complaints) *gate {
	g := &gate{signal: s, most: int64(most), patience: patience, tell: tell}
	g.stop, g.cut = context.WithCancel(context.Background())
	return g
}

// admit lets one more wait, unless there are too many.
func (g *gate) admit() bool {
	if g.pending.Add(1) <= g.most {
		return true
	}
	g.pending.Add(-1)
	g.lose(1)
	return false
}

func (g *gate) lose(n int) {
	g.lost.Add(int64(n))
	g.lostEver.Add(int64(n))
}

// export sends n of what waits. Its error is told here and nowhere else: the SDK would
// hand it to a handler of the whole program, which prints each of them. The time that
// an export has is kept here too: an exporter over HTTP takes it for that of a request,
// of which it sends several.
func (g *gate) export(ctx context.Context, n int, send func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.stop, cancel)()
	if g.patience > 0 {
		var over context.CancelFunc
		ctx, over = context.WithTimeout(ctx, g.patience)
		defer over()
	}
	err := send(ctx)
	if g.most > 0 {
		g.pending.Add(-int64(n))
	}
	if err != nil {
		g.failures.Add(1)
		g.lose(n)
	}
	g.tell.about(g, err)
	return nil
}

// between is the least time from one complaint to the next.
const between = time.Minute

// complaints are about what is not exported, at most one a minute, for all signals
// together: mostly it is one receiver that all of them miss.
type complaints struct {
	log   *slog.Logger
	gates []*gate // fixed before the first export

	mu         sync.Mutex
	last       time.Time
	suppressed int
}

// about is called when an export ended.
func (c *complaints) about(g *gate, err error) {
	if err == nil && g.lost.Load() == 0 {
		return
	}
	msg := "telemetry was lost: more than fits waited"
	if err != nil {
		msg = "telemetry could not be exported"
	}
	c.complain(msg, string(g.signal), err)
}

// complain writes a line, or counts that it did not.
func (c *complaints) complain(msg, signal string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.last.IsZero() && now.Sub(c.last) < between {
		if err != nil {
			c.suppressed++
		}
		return
	}
	attrs := []slog.Attr{slog.String("signal", signal)}
	if err != nil {
		attrs = append(attrs, slog.String("error", oneLine(err.Error())))
	}
	for _, g := range c.gates {
		if n := g.lost.Swap(0); n > 0 {
			attrs = append(attrs, slog.Int64("lost_"+unit[g.signal], n))
		}
	}
	if c.suppressed > 0 {
		attrs = append(attrs, slog.Int("suppressed", c.suppressed))
	}
	c.last, c.suppressed = now, 0
	c.log.LogAttrs(context.Background(), slog.LevelWarn, msg, attrs...)
}

// unit is what is lost of a signal.
var unit = map[signal]string{traces: "spans", metrics: "collections", logs: "records"}

// ErrorHandler returns a handler for what the SDK has to complain of and knows nobody
// else to tell: otel.SetErrorHandler takes it, in a program's main. Its lines are among
// those of which there is at most one a minute.
func (t *Telemetry) ErrorHandler() otel.ErrorHandler {
	return otel.ErrorHandlerFunc(func(err error) {
		if err != nil && !errors.Is(err, context.Canceled) {
			t.tell.complain("OpenTelemetry reports an error", "sdk", err)
		}
	})
}

// maxReason is how much of an error a line shows: a receiver's answer may be long.
const maxReason = 500

func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "")
	}
	return s
}
