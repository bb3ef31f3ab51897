// Package httpapi is a client for APIs that speak JSON over HTTP. What a user writes on top
// of it is the API's operations and their types:
//
//	type Customers struct {
//		*httpapi.Client
//		of, add *httpapi.Operation
//	}
//
//	func New(s services.Setup[spec.HTTP]) (*Customers, error) {
//		c, err := httpapi.New(s)
//		if err != nil {
//			return nil, err
//		}
//		return &Customers{c, c.Operation("of", services.Idempotent), c.Operation("add", services.Once)}, nil
//	}
//
//	func (c *Customers) Of(ctx context.Context, id string) (Customer, error) {
//		return httpapi.Get[Customer](ctx, c.of, httpapi.Path("customers", id))
//	}
//
//	func (c *Customers) Add(ctx context.Context, of Customer) (Customer, error) {
//		return httpapi.Post[Customer](ctx, c.add, "customers", of)
//	}
//
// Every call goes through the service's seam, see package services. What this package adds:
//
//   - A transport of the client's own, with a bound on its connections.
//   - Credentials that go to the service's origin and nowhere else: a redirect is followed
//     within that origin alone, where it keeps the request's method.
//   - An operation that is services.Once is sent once, also by the transport, and carries
//     an Idempotency-Key that is the same in each attempt of the engine.
//   - Every failure has a category, see [Client]; a Retry-After is kept to, in both its
//     forms and up to an hour.
//   - Bodies are read up to max_response bytes, decompressed, and always closed.
//   - The trace goes on in the service, by traceparent.
//
// For tests there is a server to script: package httpapitest.
package httpapi
