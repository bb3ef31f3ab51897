// Package telemetry speaks OpenTelemetry: it makes spans of what the engine tells.
package telemetry
