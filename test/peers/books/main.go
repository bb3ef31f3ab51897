// Command books is the second hop of the tests beside it: it books what the retail
// example has scored. What it does with a line, the line's stock code says.
package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/cli"
)

func main() {
	cli.Main(app.Tasks(func() app.Task { return app.Consume("book", booker{}) }))
}

type line struct {
	Invoice   string `json:"invoice"`
	StockCode string `json:"stock_code"`
	Pence     int64  `json:"pence"`
}

type booking struct {
	Invoice string `json:"invoice"`
	Pence   int64  `json:"pence"`
}

// booker has both hooks, so that a transaction has every span that there is.
type booker struct{}

// Process fails twice for FLAKY, and for good for REFUSED.
func (booker) Process(ctx context.Context, tx ergon.Transaction[line]) (booking, error) {
	l := tx.Payload()
	switch {
	case l.StockCode == "FLAKY" && ergon.ExecutionOf(ctx).Attempt < 3:
		return booking{}, errors.New("the ledger is busy")
	case l.StockCode == "FLAKY":
		slog.InfoContext(ctx, "the ledger answers again", "invoice", l.Invoice)
	case l.StockCode == "REFUSED":
		return booking{}, ergon.Business("nothing of %s is booked", l.StockCode)
	}
	return booking{l.Invoice, l.Pence}, nil
}

// HandleSuccess does nothing.
func (booker) HandleSuccess(context.Context, ergon.Transaction[line], booking) error { return nil }

// HandleException does nothing.
func (booker) HandleException(context.Context, ergon.Transaction[line], *ergon.Error) error {
	return nil
}
