// Package services holds the one seam that every call of a service goes through
// (RFC-000 §7.4). A service is a capability that a task is given: a store, an API, a
// database, a model. It owns its credentials, works without the engine, and steers
// nothing of it (RFC-000 §6.10).
//
// A service's author makes a Seam and names its operations once, and wraps what each of
// them does in Call:
//
//	type Rates struct {
//		seam *services.Seam
//		of   *services.Operation
//		http *http.Client
//	}
//
//	func New(p policy.Phase) (*Rates, error) {
//		seam, err := services.New("rates", p)
//		if err != nil {
//			return nil, err
//		}
//		return &Rates{seam: seam, of: seam.Operation("of", services.Idempotent), http: &http.Client{}}, nil
//	}
//
//	func (r *Rates) Of(ctx context.Context, currency string) (float64, error) {
//		return services.Call(ctx, r.of, currency, r.ask) // ask(ctx, currency) (float64, error)
//	}
//
// What a call gets by that: the service's policy (timeout, retry where the operation is
// idempotent, bulkhead, rate limit, circuit breaker), a span below the caller's, metrics,
// an error with a category, and an [ergon.CallObserver] that sees it or answers for it.
// A panic becomes an error.
package services
