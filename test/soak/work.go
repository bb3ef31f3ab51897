package main

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/ergon-framework/ergon"
)

type order struct {
	N    int    `json:"n"`
	Text string `json:"text"`
}

// dies and stumbles say what is in store for the transaction with that number.
func dies(n int) bool     { return n%100 == 7 }
func stumbles(n int) bool { return n%100 == 13 }

// work is the task. The first transactions wait for each other, as many as there
// are slots: so every worker is there from the first sample on, which otherwise
// takes a while and looks like growth.
type work struct {
	crowd   int
	missing atomic.Int64
	here    chan struct{}
}

func newWork(crowd int) *work {
	w := &work{crowd: crowd, here: make(chan struct{})}
	w.missing.Store(int64(crowd))
	return w
}

func (w *work) Process(ctx context.Context, tx ergon.Transaction[order]) (order, error) {
	o := tx.Payload()
	if o.N < w.crowd {
		if w.missing.Add(-1) == 0 {
			close(w.here)
		}
		select {
		case <-w.here:
		case <-ctx.Done():
			return order{}, ctx.Err()
		}
	}
	switch {
	case dies(o.N):
		return order{}, ergon.Business("order %d is not for us", o.N)
	case stumbles(o.N) && ergon.ExecutionOf(ctx).Attempt == 1:
		return order{}, ergon.System("order %d finds nobody there", o.N)
	}
	o.Text = strings.ToUpper(o.Text)
	return o, nil
}
