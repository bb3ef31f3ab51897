// Package ergon is the vocabulary of Ergon, a stream processor that runs
// business transactions over a message bus.
//
// In the order of use:
//
//   - A [Transaction] is one immutable unit of work: an identity, metadata and
//     a payload.
//   - A task is domain logic with one method. It implements [Consumer], which
//     takes a transaction and returns a value, or [Producer], which turns a
//     transaction into what is to be sent. [SuccessHandler] and
//     [ExceptionHandler] are optional hooks.
//   - A task says how it failed by the error it returns: [Business] is never
//     retried, [System] and [Timeout] are, any other error counts as System.
//   - A connector brings transactions in as a [Source] and takes them out as a
//     [Sink]. Those two interfaces and [Delivery] carry their obligations in
//     their comments; a connector's author needs this package and
//     connectors/connectortest, nothing else.
//   - What the engine knows about the attempt that runs now stands in the
//     context: [ExecutionOf], [Now], [Rand], [NewID].
//
// The engine that runs a task is package engine; the wiring with fx is package
// app.
//
// # What is promised
//
// A transaction is delivered at least once. Its source is settled only after
// everything that it caused is stored, so a crash at any point repeats work and
// loses none. The IDs of its outputs are a function of its own, so a bus that
// drops duplicates drops what a repetition sends again. Each transaction ends
// in one final outcome: it succeeded, or it stands in the dead-letter store
// with the reason.
//
// # What a task must not do
//
// A task does no I/O, starts no goroutine, keeps no state of a transaction in
// itself and retries nothing (RFC-002 §5.2, §6.8): it computes, and it calls
// the services it was given. The wall clock and the global random source are
// replaced by [Now] and [Rand], so that a second attempt sees what the first
// one saw.
//
// This package imports the standard library alone.
package ergon
