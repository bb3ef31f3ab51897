// Package engine runs a task on a source: fetch, decode, process, produce,
// success or exception, settle, under the task's policy.
//
//	e, err := engine.New(engine.Config{
//		Task:   engine.Consume("score", &Scorer{}),
//		Source: source,
//		Sinks:  map[string]ergon.Sink{"scored": sink},
//		Policy: policy.DefaultConsumer(),
//	})
//	report, err := e.Run(ctx)
//
// The order of settlement stands in settle.go, as a table. What follows from it:
// a source is settled only after everything that its transaction caused is
// stored; a hook runs at most once per delivery; one outcome is recorded per
// transaction.
//
// A transaction that does well is touched by three goroutines: the fetch loop, a
// worker, and whoever its sink confirms on; after a long attempt by a fourth, which
// sends. It starts no timer and no goroutine of its own. A failed attempt costs a goroutine, which waits out the backoff
// without holding a slot.
//
// The engine knows no transport. It is given a Source and Sinks and closes them.
package engine
