// Package enrich is the domain of the enrichment example: what the region, the customer and
// the category of an invoice line are. The task knows no database, no bucket and no model,
// only what it asks of them; each of the files beside it has one of those who answer.
package enrich

import (
	"context"
	"errors"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services/kv"
)

// Line is one line of an invoice, as the UCI "Online Retail" data set has it, of which this
// task takes what it needs.
type Line struct {
	InvoiceNo   string `json:"InvoiceNo"`
	StockCode   string `json:"StockCode"`
	Description string `json:"Description"` // the product's name, may be empty
	CustomerID  string `json:"CustomerID"`  // empty for a guest
	Country     string `json:"Country"`     // the customer's, in English
}

// Enriched is what becomes of a line.
type Enriched struct {
	Invoice   string   `json:"invoice"`
	StockCode string   `json:"stock_code"`
	Customer  string   `json:"customer,omitempty"`
	Region    string   `json:"region"`
	Category  Category `json:"category"`
}

// Region is what the bucket holds, by the country's name.
type Region struct {
	Name string `json:"name"`
}

// Category is the kind of a product.
type Category string

// The categories.
const (
	Kitchen    Category = "kitchen"
	Home       Category = "home"
	Garden     Category = "garden"
	Toys       Category = "toys"
	Stationery Category = "stationery"
	Other      Category = "other"
)

// Customers know who is one.
type Customers interface {
	Exists(ctx context.Context, id string) (bool, error)
}

// Categories know the category of a product by its description.
type Categories interface {
	Of(ctx context.Context, description string) (Category, error)
}

// Enricher is the task. It may be used concurrently if its services may.
type Enricher struct {
	Regions    kv.Getter[Region]
	Customers  Customers
	Categories Categories
}

var _ ergon.Consumer[Line, Enriched] = (*Enricher)(nil)

// Process enriches one line. The model is asked last: it costs the most, and what asks twice
// asks it once more. What is wrong with the line is a business error; whatever else a
// service says is its own failure, and worth another try.
func (e *Enricher) Process(ctx context.Context, tx ergon.Transaction[Line]) (Enriched, error) {
	line := tx.Payload()
	if line.Description == "" {
		return Enriched{}, ergon.Business("the line has no description")
	}
	if line.CustomerID != "" {
		known, err := e.Customers.Exists(ctx, line.CustomerID)
		if err != nil {
			return Enriched{}, err
		}
		if !known {
			return Enriched{}, ergon.Business("customer %q is not known", line.CustomerID)
		}
	}
	region, err := e.Regions.Get(ctx, kv.Key(line.Country))
	if errors.Is(err, kv.ErrNotFound) {
		return Enriched{}, ergon.Business("country %q has no region", line.Country)
	}
	if err != nil {
		return Enriched{}, err
	}
	category, err := e.Categories.Of(ctx, line.Description)
	if err != nil {
		return Enriched{}, err
	}
	return Enriched{
		Invoice: line.InvoiceNo, StockCode: line.StockCode, Customer: line.CustomerID, Region: region.Name, Category: category,
	}, nil
}
