// Package http brings transactions in over HTTP, and takes them out to HTTP endpoints.
//
// # Bringing in
//
// A [Server] listens and has routes. What a route takes goes to one of two targets:
//
//   - A [Receiver] stores it. It hands each request to an [ergon.Sink] and answers 202
//     with the transaction's ID once that has confirmed it, and never before. Whoever
//     processes it takes it from where it is stored.
//   - A [Source] lets its caller wait. It gives the request to an engine and answers with
//     the task's output. Nothing is stored: a request that nobody answers in time gets a
//     503, and its caller asks again.
//
// A request is a CloudEvents 1.0 event, in binary or structured mode, or plain: then its
// body is the payload, whatever its content type. See [Route] for what may be demanded of
// it, and [Auth] for who may send it.
//
//	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: sink})
//	…
//	server, err := http.NewServer(http.ServerConfig{Address: "127.0.0.1:8080"}, nil)
//	…
//	err = server.Add(http.Route{Path: "/orders"}, receiver)
//	…
//	err = server.Start(ctx)
//
// # Who a request is
//
// A caller that names its request, by Idempotency-Key, by webhook-id where it is signed,
// or by ce-id and ce-source, may send it again: the transaction's ID is a hash of the
// route, the principal and that key, so a retry is the same transaction and is stored
// once. The same key with another body is refused with 422. Without a key the ID is a
// UUIDv7, and each request is a transaction.
//
// # Stopping
//
// Drain the server and the sources first, let the engines finish, close the sources, then
// the server, and the sinks of receivers last: so each request that came gets an answer.
//
// # Taking out
//
// A [Sink] sends each transaction as a request, and takes it for stored once the answer
// says so (2xx). What another answer means is decided in one place; what may do better
// later is tried again by the engine, under the same Idempotency-Key. Where the host of
// its requests comes from data, addresses that are not public are denied.
package http
