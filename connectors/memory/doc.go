// Package memory is a source and a sink that keep everything in memory: for
// tests of the engine, for tests of a user's tasks, and for programs whose
// transactions need not survive them.
//
//	queue, sink := memory.NewQueue(memory.QueueOptions{}), memory.NewSink(memory.SinkOptions{})
//	queue.Push(ergon.New([]byte(`{"sku":"a"}`)))
//	… an engine with queue.Source() and sink …
//	sink.All()          // what it sent
//	queue.DeadLetters() // what it gave up
//
// A [Queue] behaves as a durable of a real bus does: deliveries are leased, a
// lease that runs out brings the message back, a parked transaction keeps the
// number of its next attempt, and several sources share one queue as processes
// share a durable. [QueueOptions] and [SinkOptions] take hooks that make a
// single call fail, answer late, twice or never.
//
// Nothing here starts a goroutine, and time is only waited for with timers, so
// all of it works in a bubble of testing/synctest. Make the queue and the sink
// inside of the bubble.
package memory
