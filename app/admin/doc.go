// Package admin answers, over HTTP, how a process is: whether it lives and is ready,
// what its tasks do, and what became of a transaction.
//
//	server, err := admin.Start(admin.Config{Listen: "127.0.0.1:9400", Process: p})
//	defer server.Close(ctx)
//
// It asks engines and never the bus, so it answers while the bus is away. It only
// tells: nothing that it answers changes anything, and no payload is in it.
//
// # Who may ask
//
// Without a token it listens on loopback alone, and answers there only to who asks for
// an address or localhost by name: a web page whose name was made to resolve to
// 127.0.0.1 gets nothing. With a token (Authorization: Bearer …) it may listen
// anywhere. /livez, /startupz and the status code of /readyz need none, since probes
// have none; what /readyz says of tasks does.
//
// docs/reference/admin.md has every path and field.
package admin
