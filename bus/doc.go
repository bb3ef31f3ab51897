// Package bus is Ergon's own way to NATS JetStream: it connects, makes sure
// that streams and durable consumers exist, pulls, acknowledges, publishes
// with confirmation and stores dead letters. It speaks *nats.Msg throughout
// and knows nothing of transactions or tasks.
//
//	b, err := bus.Connect(ctx, bus.Config{URL: "nats://127.0.0.1:4222"})
//	changes, err := b.Ensure(ctx, bus.Topology{
//		Streams:   []bus.Stream{{Name: "ORDERS", Subjects: []string{"orders.>"}}},
//		Consumers: []bus.Consumer{{Stream: "ORDERS", Durable: "billing"}},
//	})
//	p, err := b.NewPuller(bus.PullConfig{Stream: "ORDERS", Durable: "billing"})
//	msgs, err := p.Fetch(ctx, 100, nil)
//
// A Bus holds two connections, one for consuming (pull requests, messages,
// acknowledgements, administration) and one for publishing, so that a flood of
// publishing cannot starve what is consumed.
//
// Pulling and publishing are written here, and not taken from the jetstream
// package of nats.go, for two measured reasons. Its Consume and Messages can
// stall until a heartbeat is missed: a flag that says "a request is being
// sent" is read on one goroutine while it is set on another. And its
// asynchronous publisher pays for every message with a map entry, a future and
// the decoding of JSON. That package does all the administration.
//
// Whoever makes a [Puller], a [Publisher] or a [DeadLetters] closes it, before
// the Bus is closed.
package bus
