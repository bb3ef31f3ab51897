// Package jetstream connects Ergon to NATS JetStream: a [Source] pulls
// transactions from a durable consumer, a [Sink] publishes them to a subject.
//
// On the wire a transaction is a CloudEvents 1.0 event in binary mode: its
// envelope in ce-* headers, its trace in traceparent and tracestate, its
// metadata in Ergon-Meta-*, its payload untouched. Its ID is the Nats-Msg-Id
// too, so that a stream drops a copy within its duplicate window. A plain
// message without any of these is a valid transaction: its ID is its
// Nats-Msg-Id, or else "<stream>:<sequence>".
//
// A message is acknowledged after everything that it caused is stored, given
// back with a delay when it was not processed, and terminated once its dead
// letter is stored.
package jetstream
