package telemetry

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The values of settings that name something.
const (
	exporterOTLP    = "otlp"
	exporterConsole = "console"
	exporterNone    = "none"

	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"

	compressionNone = "none"
	compressionGzip = "gzip"

	histogramExplicit    = "explicit"
	histogramExponential = "exponential"
)

// Validate reports every fault of the configuration that can be seen without reading a
// file or a variable, joined into one error; each names its setting.
func (c Config) Validate() error {
	var faults []error
	fault := func(field string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("telemetry.%s: %w", field, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Resource)) {
		if strings.TrimSpace(name) == "" {
			fault("resource", errors.New("an attribute has no name"))
		}
	}
	o := c.OTLP
	if o.Endpoint != "" {
		where, err := parseEndpoint(o.Endpoint, o.Insecure)
		fault("otlp.endpoint", err)
		if err == nil && !where.secure && (o.CA != "" || o.Cert != "") {
			fault("otlp.endpoint", fmt.Errorf("%q has no TLS, and ca and cert ask for it: use https://", o.Endpoint))
		}
	}
	fault("otlp.protocol", oneOf(o.Protocol, protocolGRPC, protocolHTTP))
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		if !validHeader(name, o.Headers[name]) {
			fault("otlp.headers", fmt.Errorf("%q is not the name of a header, or its value has characters that none may have", name))
		}
	}
	if (o.Cert == "") != (o.Key == "") {
		fault("otlp.cert", errors.New("cert and key need each other"))
	}
	fault("otlp.timeout", notNegative(o.Timeout))
	fault("otlp.compression", oneOf(o.Compression, compressionNone, compressionGzip))
	fault("traces.exporter", oneOf(c.Traces.Exporter, exporterOTLP, exporterConsole, exporterNone))
	if r := c.Traces.Ratio; r != nil && !(*r >= 0 && *r <= 1) { // NaN is neither
		fault("traces.ratio", fmt.Errorf("it is %v: give one from 0 to 1", *r))
	} else {
		_, err := c.Traces.parse()
		fault("traces.sampler", err)
	}
	fault("metrics.exporter", oneOf(c.Metrics.Exporter, exporterOTLP, exporterConsole, exporterNone))
	fault("metrics.interval", notNegative(c.Metrics.Interval))
	fault("metrics.histogram", oneOf(c.Metrics.Histogram, histogramExplicit, histogramExponential))
	fault("logs.exporter", oneOf(c.Logs.Exporter, exporterOTLP, exporterNone))
	for _, p := range c.Sensitive {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			fault("sensitive", fmt.Errorf("%q is not a name, with * and ? for what may be anything", p))
		}
	}
	return errors.Join(faults...)
}

// parse reads the sampler as the file has it.
func (c TracesConfig) parse() (Sampler, error) {
	name, arg := c.Sampler, ""
	if c.Ratio != nil {
		if name == "" {
			name = ratioSampler
		}
		if !strings.HasSuffix(name, "traceidratio") {
			return Sampler{}, fmt.Errorf("%s takes no ratio: choose traceidratio or %s", name, ratioSampler)
		}
		arg = strconv.FormatFloat(*c.Ratio, 'g', -1, 64)
	}
	return ParseSampler(name, arg)
}

// ratioSampler is the sampler of a ratio that is given alone.
const ratioSampler = "parentbased_traceidratio"

// oneOf refuses a value that is neither empty nor a choice.
func oneOf(value string, choices ...string) error {
	if value == "" || slices.Contains(choices, value) {
		return nil
	}
	return fmt.Errorf("%q is unknown: choose %s", value, strings.Join(choices, ", "))
}

func notNegative(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s is below 0", d)
	}
	return nil
}

// validHeader reports whether a header can be sent by either protocol.
func validHeader(name, value string) bool {
	if name == "" {
		return false
	}
	for _, c := range []byte(name) {
		if !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
