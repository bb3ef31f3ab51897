// Package peers tests Ergon against what it meets in the field: an OpenTelemetry
// Collector, which is built from its Go modules, and Prometheus and PostgreSQL from the
// distribution.
// The programs run as processes of their own on loopback ports, Ergon's included, and
// what they hold at the end is compared with what the streams hold.
//
// It is a module of its own, for what it links is nothing that Ergon's users need. A
// peer that is missing fails a test and says how to get it; `make peers` gets them all.
package peers
