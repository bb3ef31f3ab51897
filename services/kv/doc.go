// Package kv is a service that keeps values by key in a bucket of JetStream: reference
// data that tasks look up, and small state that they compare and set.
//
//	func NewRates(nc *nats.Conn) (*kv.Store[Rate], error) {
//		return kv.New[Rate](services.Setup[spec.KV]{Name: "rates", Config: spec.KV{Bucket: "RATES"}}, kv.Conn(nc))
//	}
//
//	type Pricer struct{ Rates kv.Getter[Rate] } // a task asks for what it needs, and no more
//
//	rate, err := p.Rates.Get(ctx, "EUR")
//	if errors.Is(err, kv.ErrNotFound) {
//		return Priced{}, ergon.Business("no rate of %s", "EUR")
//	}
//
// A Store is started before it is used and stopped after, and goes through the services'
// seam: its calls have the service's policy, a span, metrics, and an error with a
// category. kvtest has one that keeps its values in memory, for tests.
//
// # What a read may miss
//
// Without a cache a get asks the bucket. One with several replicas lets any of them
// answer, which may be a moment behind.
//
// With spec.KV.Cache the bucket is kept in memory and followed by a watch. The bucket's
// server tells twice a second that it is there, also when nothing changes. While nothing
// was heard of it for 3 seconds, or an update was lost, or the cache is over its bounds,
// gets ask the bucket, and the cache is filled anew from the beginning. So a cached get is
// behind by the way of an update from the server, by 3 seconds at the worst, and never for
// ever. What this Store itself wrote it returns at once, but for a moment when the watch
// was just made again.
//
// A value past its time is never returned from the cache; the bucket itself may return one
// for about a second more.
//
// # What is written once
//
// An attempt whose answer is lost may have been stored. Each write has an ID that all its
// attempts share, so another attempt of the same call finds its own write and returns its
// revision: it does not report [ErrExists] or [ErrConflict] of itself. The bucket knows IDs
// for 2 minutes, or for its ttl where that is shorter; keep a service's attempts within
// that. A call made anew has a new ID: a task that runs again, because its process was killed, finds what its earlier
// run created. If that matters, let the value say whose it is, and look at it on ErrExists.
package kv
