package enrich

import (
	"context"
	"errors"
	"fmt"

	"github.com/ergon-framework/ergon/services/kv"
)

// Reference fills what a new bucket and a new database lack, so that the example runs by
// itself. In a real program that is done by whoever owns the data, and there is no such
// service.
type Reference struct {
	regions   kv.Swapper[Region]
	customers *CustomerTable
}

// NewReference is started after both, for it needs them.
func NewReference(r *kv.Store[Region], c *CustomerTable) *Reference { return &Reference{r, c} }

// Start leaves alone what is there.
func (r *Reference) Start(ctx context.Context) error {
	if err := r.customers.Fill(ctx); err != nil {
		return fmt.Errorf("fill the customers: %w", err)
	}
	for name, countries := range countries() {
		for _, country := range countries {
			if _, err := r.regions.Create(ctx, kv.Key(country), Region{name}); err != nil && !errors.Is(err, kv.ErrExists) {
				return fmt.Errorf("fill the regions: %w", err)
			}
		}
	}
	return nil
}

// countries are those of lines.csv and some more, by region. "Unspecified" has none.
func countries() map[string][]string {
	return map[string][]string{
		"UK and Ireland":       {"United Kingdom", "EIRE", "Channel Islands"},
		"Europe":               {"Belgium", "France", "Germany", "Italy", "Netherlands", "Norway", "Portugal", "Spain", "Sweden", "Switzerland"},
		"Asia-Pacific":         {"Australia", "Japan", "Singapore"},
		"Americas":             {"Brazil", "USA"},
		"Middle East & Africa": {"Israel", "RSA"},
	}
}
