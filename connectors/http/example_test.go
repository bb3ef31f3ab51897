package http_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	nethttp "net/http"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// A request waits for its answer, which here is given by hand and otherwise by an engine.
func Example() {
	source := http.NewSource(http.SourceConfig{})
	server, err := http.NewServer(http.ServerConfig{Address: "127.0.0.1:0"}, nil)
	if err != nil {
		panic(err)
	}
	if err := server.Add(http.Route{Path: "/orders/{tenant}"}, source); err != nil {
		panic(err)
	}
	ctx := context.Background()
	if err := server.Start(ctx); err != nil {
		panic(err)
	}
	go func() {
		deliveries, err := source.Fetch(ctx, 1)
		if err != nil {
			return
		}
		tenant := deliveries[0].Transaction().Metadata().Get("path.tenant")
		deliveries[0].Settle(ergon.Settlement{
			Kind: ergon.Ack, Reply: []ergon.Raw{ergon.New([]byte(`"an order of ` + tenant + `"`))},
		}, func(error) {})
	}()

	resp, err := nethttp.Post("http://"+server.Addr().String()+"/orders/acme", "application/json", bytes.NewReader([]byte("{}")))
	if err != nil {
		panic(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	_ = resp.Body.Close()
	fmt.Println(resp.Status, string(body))

	nethttp.DefaultClient.CloseIdleConnections()
	_ = source.Close(ctx)
	_ = server.Close(ctx)
	// Output: 200 OK "an order of acme"
}
