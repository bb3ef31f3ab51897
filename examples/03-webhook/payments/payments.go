// Package payments is the domain of the webhook example: it scores the risk of payments.
// It knows nothing of HTTP: neither who signs, nor where scores are delivered.
package payments

import (
	"context"

	"github.com/ergon-framework/ergon"
)

// Payment is what the provider tells of.
type Payment struct {
	Payment     string `json:"payment"` // its ID
	Pence       int64  `json:"pence"`
	CardCountry string `json:"card_country"` // where the card was issued
	Country     string `json:"country"`      // where the goods go
}

// Risk is what the shop is told.
type Risk struct {
	Payment string `json:"payment"`
	// Score is from 0, no risk, to 100.
	Score   int      `json:"score"`
	Reasons []string `json:"reasons,omitempty"`
}

// large is from where on somebody looks at a payment anyway.
const large = 100_000

// Scorer is the task. It may be used concurrently.
type Scorer struct{}

// Process scores one payment.
func (Scorer) Process(_ context.Context, tx ergon.Transaction[Payment]) (Risk, error) {
	p := tx.Payload()
	if p.Payment == "" || p.Pence <= 0 {
		return Risk{}, ergon.Business("payment %q of %d pence is none", p.Payment, p.Pence)
	}
	r := Risk{Payment: p.Payment}
	if p.CardCountry != p.Country {
		r.Score += 60
		r.Reasons = append(r.Reasons, "the card is from "+p.CardCountry+" and the goods go to "+p.Country)
	}
	if p.Pence >= large {
		r.Score += 30
		r.Reasons = append(r.Reasons, "it is large")
	}
	return r, nil
}
