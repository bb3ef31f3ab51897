package telemetry

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// signal is one of the three kinds of telemetry.
type signal string

const (
	traces  signal = "traces"
	metrics signal = "metrics"
	logs    signal = "logs"
)

// The variables that are read more than once or by more than one of us.
const (
	envOTLP        = "OTEL_EXPORTER_OTLP_"
	envSampler     = "OTEL_TRACES_SAMPLER"
	envSamplerArg  = "OTEL_TRACES_SAMPLER_ARG"
	envHistogram   = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
	envInterval    = "OTEL_METRIC_EXPORT_INTERVAL"
	envResource    = "OTEL_RESOURCE_ATTRIBUTES"
	envServiceName = "OTEL_SERVICE_NAME"
	envDisabled    = "OTEL_SDK_DISABLED"
	envSpanQueue   = "OTEL_BSP_MAX_QUEUE_SIZE"
	envRecordQueue = "OTEL_BLRP_MAX_QUEUE_SIZE"
)

// environment looks up OpenTelemetry's variables. What is wrong with one is told with
// its name, and without its value, which may hold a secret. The exporters would read
// most of them as well, and for one that can't be read print its value and go on
// without: so all that they are made of is read here, and handed to them.
type environment func(string) (string, bool)

// get returns the first of these variables that is set, and its name.
func (e environment) get(names ...string) (value, name string) {
	for _, name := range names {
		if v, ok := e(name); ok {
			if v = strings.TrimSpace(v); v != "" { // by the specification, empty is not set
				return v, name
			}
		}
	}
	return "", ""
}

// otlp returns an exporter's variable: that of the signal, or that of all.
func (e environment) otlp(s signal, what string) (value, name string) {
	return e.get(envOTLP+strings.ToUpper(string(s))+"_"+what, envOTLP+what)
}

// choice returns a variable that names something, or what the file says.
func (e environment) choice(file, standard string, names []string, choices ...string) (string, error) {
	v, name := e.get(names...)
	if name == "" {
		return or(file, standard), nil
	}
	if err := oneOf(v, choices...); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// milliseconds returns a variable that is a time, or what the file says.
func (e environment) milliseconds(file, standard time.Duration, names ...string) (time.Duration, error) {
	v, name := e.get(names...)
	if name == "" {
		if file > 0 {
			return file, nil
		}
		return standard, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%s: %q is not a number of milliseconds above 0", name, v)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// mostQueued bounds what a variable may ask to be kept: more would be taken from the
// memory at the start.
const mostQueued = 1_000_000

// sizes are the variables that the SDK reads by itself, for batches. It would take one
// that makes no sense for its standard, or panic.
var sizes = []string{
	"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
	"OTEL_BLRP_SCHEDULE_DELAY", "OTEL_BLRP_EXPORT_TIMEOUT", "OTEL_BLRP_MAX_QUEUE_SIZE", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
	"OTEL_METRIC_EXPORT_TIMEOUT",
}

// checkSizes names those that make no sense.
func (e environment) checkSizes() error {
	var faults []error
	for _, name := range sizes {
		v, set := e.get(name)
		if set == "" {
			continue
		}
		if n, err := strconv.Atoi(v); err != nil || n < 1 || n > mostQueued {
			what := "milliseconds"
			if strings.HasSuffix(name, "_SIZE") {
				what = "a size"
			}
			faults = append(faults, fmt.Errorf("%s: it is %s, a whole number from 1 to %d", name, what, mostQueued))
		}
	}
	return errors.Join(faults...)
}

// number returns a variable that is a size, or its standard.
func (e environment) number(name string, standard int) int {
	v, _ := e.get(name)
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return n
	}
	return standard
}

// truth returns a variable that is true or false. By the specification whatever is not
// true is false.
func (e environment) truth(file bool, names ...string) bool {
	v, name := e.get(names...)
	if name == "" {
		return file
	}
	return strings.EqualFold(v, "true")
}

// pairs reads a list of names and values, "a=b,c=d", whose values are percent-encoded.
func pairs(name, list string) (map[string]string, error) {
	out := map[string]string{}
	for part := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !ok || key == "" || err != nil {
			return nil, fmt.Errorf("%s: it is not a list such as name=value,other=value, with values that are percent-encoded", name)
		}
		out[key] = value
	}
	return out, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
