// Package retail is the domain of the retail example: it scores the invoice
// lines of a web shop. It knows nothing about where lines come from and where
// scores go: no subject, no file, no retry.
package retail

import (
	"context"
	"strconv"
	"strings"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/examples/02-retail/regions"
)

// The routes on which a line leaves the task.
const (
	RouteScored    = "scored"    // a sale
	RouteCancelled = "cancelled" // a line of an invoice that was cancelled
)

// Line is one line of an invoice, as the UCI "Online Retail" data set has it.
// All fields are text, for they are the columns of a csv file.
type Line struct {
	InvoiceNo   string `json:"InvoiceNo"`   // begins with C if it cancels
	StockCode   string `json:"StockCode"`   // the product
	Description string `json:"Description"` // the product's name, may be empty
	Quantity    string `json:"Quantity"`    // a whole number, negative if it cancels
	InvoiceDate string `json:"InvoiceDate"` // 2010-12-01 08:26:00
	UnitPrice   string `json:"UnitPrice"`   // pounds
	CustomerID  string `json:"CustomerID"`  // empty for a guest
	Country     string `json:"Country"`     // the customer's, in English
}

// Cancels reports whether the line belongs to a cancellation.
func (l Line) Cancels() bool { return strings.HasPrefix(l.InvoiceNo, "C") }

// Scored is what becomes of a line, on both routes.
type Scored struct {
	Invoice   string `json:"invoice"`
	StockCode string `json:"stock_code"`
	Quantity  int64  `json:"quantity"`
	// Pence is quantity × price. That of a cancelled line is negative.
	Pence int64 `json:"pence"`
	// Guest says that the customer is not known.
	Guest   bool   `json:"guest"`
	Region  string `json:"region"`
	Country string `json:"country"`
}

// Scorer is the task. It may be used concurrently if Regions may.
type Scorer struct {
	Regions regions.Lookup
}

var _ ergon.Consumer[Line, ergon.Outputs] = (*Scorer)(nil)

// Process scores one line: a cancelled one to RouteCancelled, any other to
// RouteScored. A line that is not cancelled must have a quantity and a price
// above zero. A line that breaks a rule is a business error, whose text begins
// with "quantity" or "price"; the quantity is looked at first. That the region
// could not be found is the service's error, and worth another try.
func (s *Scorer) Process(ctx context.Context, tx ergon.Transaction[Line]) (ergon.Outputs, error) {
	line := tx.Payload()
	quantity, err := strconv.ParseInt(line.Quantity, 10, 64)
	if err != nil {
		return nil, ergon.Business("quantity %q is not a whole number", clip(line.Quantity))
	}
	if quantity <= 0 && !line.Cancels() {
		return nil, ergon.Business("quantity %d is not positive", quantity)
	}
	price, err := parsePrice(line.UnitPrice)
	if err != nil {
		return nil, ergon.Business("%w", err)
	}
	if !price.positive() && !line.Cancels() {
		return nil, ergon.Business("price %s is not positive", line.UnitPrice)
	}
	pence, ok := price.times(quantity)
	if !ok {
		return nil, ergon.Business("price %s times %d is out of range", line.UnitPrice, quantity)
	}
	region, err := s.Regions.Of(ctx, line.Country)
	if err != nil {
		return nil, err
	}
	route := RouteScored
	if line.Cancels() {
		route = RouteCancelled
	}
	return ergon.Outputs{ergon.To(route, Scored{
		Invoice:   line.InvoiceNo,
		StockCode: line.StockCode,
		Quantity:  quantity,
		Pence:     pence,
		Guest:     line.CustomerID == "",
		Region:    region,
		Country:   line.Country,
	})}, nil
}
