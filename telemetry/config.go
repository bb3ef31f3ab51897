package telemetry

import (
	"time"
)

// Config says what is told to whom: "telemetry" in ergon.yaml. The zero value tells
// nobody. However it is printed, it prints without its secrets.
//
// OpenTelemetry's standard variables (OTEL_*) win over what stands here, each over its
// own setting, and one for a signal (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) over the one
// for all (OTEL_EXPORTER_OTLP_ENDPOINT). One that is empty counts as not set. What has
// no setting here is set by its variable alone: OTEL_BSP_* and OTEL_BLRP_* (batches),
// OTEL_SPAN_* (limits of a span), OTEL_METRIC_EXPORT_TIMEOUT, OTEL_METRICS_EXEMPLAR_FILTER,
// OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE. OTEL_SDK_DISABLED=true turns all
// exporters off.
type Config struct {
	// Service is the name of the service that all telemetry is of (OTEL_SERVICE_NAME).
	// Default: in ergon.yaml the application's name, elsewhere "ergon".
	Service string `yaml:"service" json:"service,omitempty"`
	// Resource are further attributes of whatever is told, by name, as in
	// "deployment.environment.name: staging" (OTEL_RESOURCE_ATTRIBUTES, which wins
	// attribute by attribute). Default none.
	Resource map[string]string `yaml:"resource" json:"resource,omitempty"`
	// OTLP is the receiver of whatever has the exporter otlp. Default: none is known.
	OTLP OTLPConfig `yaml:"otlp" json:"otlp,omitzero"`
	// Traces says which transactions are traced, and for whom. Default: none is,
	// unless a receiver is known.
	Traces TracesConfig `yaml:"traces" json:"traces,omitzero"`
	// Metrics says to whom metrics are sent, which are served besides at /metrics.
	// Default: to nobody, unless a receiver is known.
	Metrics MetricsConfig `yaml:"metrics" json:"metrics,omitzero"`
	// Logs says to whom log lines are sent besides the process's own output, and what
	// they show. Default: to nobody.
	Logs LogsConfig `yaml:"logs" json:"logs,omitzero"`
	// Sensitive are the names of metadata whose values no log line shows, with * and ?
	// for any characters and any one; case does not count. A list replaces the
	// default, which is authorization, proxy-authorization, cookie, set-cookie, *token*, *secret*,
	// *password* and *api-key*.
	Sensitive []string `yaml:"sensitive" json:"sensitive,omitempty"`
}

// OTLPConfig is a receiver that speaks OTLP, such as OpenTelemetry's collector.
type OTLPConfig struct {
	// Endpoint is its URL, https:// or http://, or host:port. With the protocol
	// http/protobuf v1/traces, v1/metrics and v1/logs are added to the URL's path
	// (OTEL_EXPORTER_OTLP_ENDPOINT). Default: none, and nothing is sent; where a signal's
	// exporter is otlp all the same, http://localhost:4317, or :4318 for http/protobuf.
	Endpoint string `yaml:"endpoint" json:"endpoint,omitempty"`
	// Protocol is grpc or http/protobuf (OTEL_EXPORTER_OTLP_PROTOCOL). Default grpc.
	Protocol string `yaml:"protocol" json:"protocol,omitempty"`
	// Headers are sent with each request, by name. Their values are secrets
	// (OTEL_EXPORTER_OTLP_HEADERS, which replaces all of them). Default none.
	Headers map[string]string `yaml:"headers" json:"headers,omitempty"`
	// Insecure sends in the clear to an endpoint that is host:port without a scheme; a
	// scheme decides by itself (OTEL_EXPORTER_OTLP_INSECURE). Default false.
	Insecure bool `yaml:"insecure" json:"insecure,omitempty"`
	// CA is the path of a PEM file with the authorities to trust instead of the
	// system's (OTEL_EXPORTER_OTLP_CERTIFICATE). Default: the system's.
	CA string `yaml:"ca" json:"ca,omitempty"`
	// Cert and Key are the paths of the client's certificate and its key, in PEM. One
	// needs the other (OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, _KEY). Default none.
	Cert string `yaml:"cert" json:"cert,omitempty"`
	Key  string `yaml:"key" json:"key,omitempty"`
	// Timeout is how long one export is tried; what it held is lost then
	// (OTEL_EXPORTER_OTLP_TIMEOUT, in milliseconds). Default 10 s.
	Timeout time.Duration `yaml:"timeout" json:"timeout,omitempty"`
	// Compression is none or gzip (OTEL_EXPORTER_OTLP_COMPRESSION). Default none.
	Compression string `yaml:"compression" json:"compression,omitempty"`
}

// TracesConfig says which transactions are traced.
type TracesConfig struct {
	// Exporter is otlp, console (standard error, for trying it out) or none
	// (OTEL_TRACES_EXPORTER). Default: otlp if an endpoint is given, else none.
	Exporter string `yaml:"exporter" json:"exporter,omitempty"`
	// Sampler decides which transactions are told of though they do well; those that
	// fail for good always are. It is always_on, always_off or traceidratio, or one of
	// them with parentbased_ before it, which follows what the sender decided
	// (OTEL_TRACES_SAMPLER). Default parentbased_always_on, and with a ratio
	// parentbased_traceidratio.
	Sampler string `yaml:"sampler" json:"sampler,omitempty"`
	// Ratio is how many are, from 0 to 1, for the samplers that are called so
	// (OTEL_TRACES_SAMPLER_ARG, which counts only where a sampler is named or a ratio is
	// given). Default 1.
	Ratio *float64 `yaml:"ratio" json:"ratio,omitempty"`
}

// MetricsConfig says to whom metrics are sent.
type MetricsConfig struct {
	// Exporter is otlp, console (standard error, for trying it out) or none
	// (OTEL_METRICS_EXPORTER, where prometheus is as none: whoever serves /metrics goes
	// on). Default: otlp if an endpoint is given, else none.
	Exporter string `yaml:"exporter" json:"exporter,omitempty"`
	// Interval is the time from one export to the next (OTEL_METRIC_EXPORT_INTERVAL, in
	// milliseconds). Default 60 s.
	Interval time.Duration `yaml:"interval" json:"interval,omitempty"`
	// Histogram is the form in which durations are sent and served, explicit (buckets
	// with fixed bounds) or exponential (OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION). Default
	// explicit.
	Histogram string `yaml:"histogram" json:"histogram,omitempty"`
}

// LogsConfig says to whom log lines are sent and what they show.
type LogsConfig struct {
	// Exporter is otlp or none (OTEL_LOGS_EXPORTER). Sent is what is written as well, at
	// the same level. Default none.
	Exporter string `yaml:"exporter" json:"exporter,omitempty"`
	// Payloads makes the lines "transaction started" and "transaction failed for good"
	// show the payload, of which at most 1 KiB, and the metadata but for what is
	// sensitive. Default false: no line shows either.
	Payloads bool `yaml:"payloads" json:"payloads,omitempty"`
}
