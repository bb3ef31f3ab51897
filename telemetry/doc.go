// Package telemetry speaks OpenTelemetry: it makes spans of what the engine tells, and
// sends traces, metrics and log lines to whom the configuration and the standard
// variables (OTEL_*) say.
//
// A program makes one [Telemetry] with [New] and gives its parts to whoever needs them:
// [Telemetry.Tracer] to engines, [Telemetry.MeterProvider] to whoever counts, and
// [Telemetry.Handler] to the logger, so that each line says which transaction it is
// about. [Limit] goes around that handler and thins out failures that repeat:
//
//	tel, err := telemetry.New(ctx, telemetry.Options{Config: cfg})
//	log := slog.New(telemetry.Limit(tel.Handler(slog.NewJSONHandler(os.Stderr, nil)), telemetry.LimitOptions{}))
//	telemetry.SetGlobal(tel) // in main alone: it is the whole program's
//	engine.Config{Tracer: tel.Tracer(), Observe: engine.LogEvents(log, cfg.EventLog()...)}
//	defer tel.Shutdown(ctx) // after the engines have ended
//
// Whoever receives telemetry is never waited for: what does not fit a queue of a bounded
// length is lost, and counted. No payload and no metadata is told, unless the
// configuration asks for them in the log.
package telemetry
