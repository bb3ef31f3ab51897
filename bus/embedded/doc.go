// Package embedded runs a nats-server with JetStream inside this process. It
// is the only home of the nats-server in this module: who does not import it
// does not link it.
//
//	srv, err := embedded.Start(ctx, embedded.Options{StoreDir: dir, Listen: "127.0.0.1:4222"})
//	b, err := bus.Connect(ctx, bus.Config{}, bus.WithInProcess(srv.InProcess()))
//	…
//	b.Close(ctx)
//	srv.Shutdown()
//
// A store directory belongs to one server at a time. Two servers on one store
// would both accept writes, silently, so the directory is locked; who comes
// second gets a [*LockedError] that says where the first can be reached.
package embedded
