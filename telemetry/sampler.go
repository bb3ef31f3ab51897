package telemetry

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// A Sampler decides which transactions are told of though they do well. Those that
// fail for good always are. The zero value samples nothing.
//
// It is one of OpenTelemetry's standard samplers and decides as its SDK does, on the
// trace's ID: all that take part in a trace decide alike.
type Sampler struct {
	parentBased bool
	bound       uint64 // of the ID's last 63 bits
}

// ParseSampler reads a sampler as the variables OTEL_TRACES_SAMPLER and
// OTEL_TRACES_SAMPLER_ARG name it: always_on, always_off, traceidratio, and each of
// them with parentbased_ before it, which follows the trace that a transaction
// continues. An empty name is parentbased_always_on. arg is the ratio, from 0 to 1;
// empty means 1.
func ParseSampler(name, arg string) (Sampler, error) {
	ratio := 1.0
	var s Sampler
	switch name {
	case "", "parentbased_always_on":
		s.parentBased = true
	case "always_on":
	case "parentbased_always_off":
		s.parentBased, ratio = true, 0
	case "always_off":
		ratio = 0
	case "traceidratio", "parentbased_traceidratio":
		s.parentBased = name != "traceidratio"
		if arg != "" {
			var err error
			if ratio, err = strconv.ParseFloat(arg, 64); err != nil || math.IsNaN(ratio) || ratio < 0 || ratio > 1 {
				return Sampler{}, fmt.Errorf("trace sampler %s: its argument is %q: give a ratio from 0 to 1", name, arg)
			}
		}
	default:
		return Sampler{}, fmt.Errorf("there is no trace sampler %q: choose always_on, always_off or traceidratio, with parentbased_ before it or without", name)
	}
	s.bound = uint64(ratio * (1 << 63))
	return s, nil
}

// sampled decides on a trace; parent says that the transaction continues one, and
// whether that is sampled.
func (s Sampler) sampled(id [16]byte, parent, parentSampled bool) bool {
	if s.parentBased && parent {
		return parentSampled
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < s.bound
}

// others decides on spans that are made elsewhere: below a transaction, as it was
// decided for that; alone, as s does.
func (s Sampler) others() sdktrace.Sampler { return sdktrace.ParentBased(alone{s}) }

// alone decides on spans without a parent.
type alone struct{ by Sampler }

func (a alone) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	decision := sdktrace.Drop
	if a.by.sampled(p.TraceID, false, false) {
		decision = sdktrace.RecordAndSample
	}
	return sdktrace.SamplingResult{Decision: decision}
}

func (a alone) Description() string { return "ergon" }
