// Package httpapitest is a server for tests of code that calls an API through httpapi. It
// listens on this machine, so the client under test is the real one, with its policy, its
// limits and its errors; what the server answers is scripted:
//
//	api := httpapitest.New(t)
//	api.Handle("GET /customers/{id}", httpapitest.InTurn(
//		httpapitest.Status(503, "busy"),
//		httpapitest.JSON(Customer{ID: "17"}),
//	))
//	customers, err := customers.New(api.Setup("customers"))
//
// What has no answer is a 404, as it is with a real API. What arrived is told by Requests.
package httpapitest
