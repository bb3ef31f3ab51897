// Command shop greets customers.
package main

import (
	"context"
	"net"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/cli"
	"go.uber.org/fx"

	"shop/domains"
	"shop/rates"
)

// quote is a task that needs both.
type quote struct {
	Rates interface {
		Of(ctx context.Context, currency string) (rates.Rate, error)
	}
	Domains interface {
		MX(ctx context.Context, domain string) ([]string, error)
	}
}

func (q quote) Process(ctx context.Context, tx ergon.Transaction[string]) (rates.Rate, error) {
	return q.Rates.Of(ctx, tx.Payload())
}
