// Package peers tests Ergon against what it meets in the field: an OpenTelemetry
// Collector, which is built from its Go modules, the CloudEvents SDK, which is one, and
// Prometheus, PostgreSQL, curl, wrk and nginx from the distribution. The programs run as
// processes of their own on loopback ports, and what they hold at the end is compared with what the
// streams hold.
//
// The files whose names begin with http are about the HTTP connectors, and need neither
// the collector nor Prometheus: `go test -run HTTP .` runs them alone.
//
// It is a module of its own, for what it links is nothing that Ergon's users need. A
// peer that is missing fails a test and says how to get it; `make peers` gets them all.
package peers
