package httpapi_test

import (
	"context"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/httpapi"
	"github.com/ergon-framework/ergon/services/spec"
)

// What a user writes: the API's types and its operations.

type Customer struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Age  int    `json:"age"`
}

type Customers struct {
	*httpapi.Client
	of, add *httpapi.Operation
}

func NewCustomers(s services.Setup[spec.HTTP]) (*Customers, error) {
	c, err := httpapi.New(s)
	if err != nil {
		return nil, err
	}
	return &Customers{c, c.Operation("of", services.Idempotent), c.Operation("add", services.Once)}, nil
}

func (c *Customers) Of(ctx context.Context, id string) (Customer, error) {
	return httpapi.Get[Customer](ctx, c.of, httpapi.Path("customers", id), httpapi.Query("fields", "all"))
}

func (c *Customers) Add(ctx context.Context, of Customer) (Customer, error) {
	return httpapi.Post[Customer](ctx, c.add, "/customers", of)
}
