package http_test

import (
	"context"
	"fmt"
	nethttp "net/http"
	"net/http/httptest"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

func ExampleNewSink() {
	api := httptest.NewServer(nethttp.HandlerFunc(func(_ nethttp.ResponseWriter, r *nethttp.Request) {
		fmt.Println(r.Method, r.RequestURI, r.Header.Get("Idempotency-Key"))
	}))
	defer api.Close()
	sink, err := http.NewSink(http.SinkOptions{URL: api.URL + "/orders/{payload.sku}?from={meta.region}"})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	tx := ergon.New([]byte(`{"sku":"a/7"}`), ergon.WithID("tx-1"), ergon.WithMetadata("region", "eu"))
	sink.Send(context.Background(), tx, func(err error) { done <- err })
	fmt.Println(<-done, sink.Close(context.Background()))
	// Output:
	// POST /orders/a%2F7?from=eu tx-1
	// <nil> <nil>
}
