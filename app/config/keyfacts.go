package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/telemetry"
)

// fact is what the type of a key does not say.
type fact struct {
	value       string   // in force where the key's own value is zero
	words       string   // the default in words, where it hangs on something else
	oneOf       []string // all that it may be
	least, most string   // the bounds of a number
	required    bool
}

var (
	storages  = fact{value: bus.StorageFile, oneOf: []string{bus.StorageFile, bus.StorageMemory}}
	copies    = fact{value: "1", least: "0", most: "5"}
	unbounded = fact{least: "0"}
	needed    = fact{required: true}
	inherited = "as in dead_letters"
)

// facts are by the path of the key. Those of the policies stand in package policy,
// and what is checked stands in validate.go; a test holds this against that.
var facts = map[string]fact{
	"bus.url":             {words: "embedded, or that of the context"},
	"bus.name":            {value: "ergon"},
	"bus.connect_timeout": {value: policy.Duration(bus.DefaultConnectTimeout).String()},
	"bus.store":           {words: "in the user's data directory"},

	"streams.*.subjects":   needed,
	"streams.*.storage":    storages,
	"streams.*.retention":  {value: bus.RetentionLimits, oneOf: []string{bus.RetentionLimits, bus.RetentionInterest, bus.RetentionWorkQueue}},
	"streams.*.discard":    {value: bus.DiscardOld, oneOf: []string{bus.DiscardOld, bus.DiscardNew}},
	"streams.*.max_bytes":  unbounded,
	"streams.*.max_msgs":   unbounded,
	"streams.*.replicas":   copies,
	"streams.*.duplicates": {value: policy.Duration(bus.DefaultDuplicates).String(), words: "2m, or max_age where that is shorter"},

	"dead_letters.storage":   storages,
	"dead_letters.max_bytes": unbounded,
	"dead_letters.replicas":  copies,
	"parking.storage":        storages,
	"parking.replicas":       copies,
	"admin.listen":           {value: DefaultAdminListen},
	"admin.trail":            {least: "1", most: strconv.Itoa(mostTrail)},

	"telemetry.service":           {value: "ergon"},
	"telemetry.otlp.protocol":     {value: "grpc", oneOf: []string{"grpc", "http/protobuf"}},
	"telemetry.otlp.timeout":      {value: "10s"},
	"telemetry.otlp.compression":  {value: "none", oneOf: []string{"none", "gzip"}},
	"telemetry.traces.exporter":   {words: "otlp where otlp.endpoint is given, else none", oneOf: []string{"otlp", "console", "none"}},
	"telemetry.traces.sampler":    {words: "parentbased_always_on, with a ratio parentbased_traceidratio", oneOf: samplers},
	"telemetry.traces.ratio":      {words: "1", least: "0", most: "1"},
	"telemetry.metrics.exporter":  {words: "otlp where otlp.endpoint is given, else none", oneOf: []string{"otlp", "console", "none"}},
	"telemetry.metrics.interval":  {value: "1m"},
	"telemetry.metrics.histogram": {value: "explicit", oneOf: []string{"explicit", "exponential"}},
	"telemetry.logs.exporter":     {value: "none", oneOf: []string{"otlp", "none"}},
	"telemetry.sensitive":         {words: "[" + strings.Join(telemetry.DefaultSensitive, ", ") + "]"},

	"services.*.kv.bucket":            needed,
	"services.*.kv.history":           {least: "1", most: "64"},
	"services.*.kv.replicas":          {least: "1", most: "5"},
	"services.*.kv.cache_bytes":       {least: "1"},
	"services.*.http.url":             needed,
	"services.*.http.connections":     {least: "1"},
	"services.*.http.max_response":    {least: "1"},
	"services.*.sql.url":              needed,
	"services.*.sql.connections":      {least: "1"},
	"services.*.sql.idle":             unbounded,
	"services.*.llm.url":              needed,
	"services.*.llm.model":            needed,
	"services.*.llm.temperature":      {least: "0", most: "2"},
	"services.*.llm.max_tokens":       unbounded,
	"services.*.policy.retry.timeout": {words: spec.DefaultPolicy("").Retry.Timeout.String() + "; of an llm " + spec.DefaultLLMTimeout.String()},

	"http.address":             {value: http.DefaultAddress},
	"http.max_header":          {value: strconv.Itoa(http.DefaultMaxHeader), least: "0"},
	"http.read_header_timeout": {value: policy.Duration(http.DefaultReadHeaderTimeout).String()},
	"http.read_timeout":        {value: policy.Duration(http.DefaultReadTimeout).String()},
	"http.idle_timeout":        {value: policy.Duration(http.DefaultIdleTimeout).String()},
	"http.write_timeout":       {words: "read_timeout, the longest wait and 10s"},

	"tasks.*.source.http.mode":                              {oneOf: []string{ModeStored, ModeResult}},
	"tasks.*.source.http.subject":                           {words: "that of jetstream"},
	"tasks.*.source.http.queue":                             {value: strconv.Itoa(http.DefaultQueue), words: strconv.Itoa(http.DefaultQueue), least: "0"},
	"tasks.*.source.http.records.bucket":                    needed,
	"tasks.*.source.http.records.replicas":                  copies,
	"tasks.*.source.http.routes.*.name":                     {words: "the path"},
	"tasks.*.source.http.routes.*.method":                   {value: "POST"},
	"tasks.*.source.http.routes.*.path":                     needed,
	"tasks.*.source.http.routes.*.max_body":                 {value: strconv.Itoa(http.DefaultMaxBody), least: "0"},
	"tasks.*.source.http.routes.*.concurrency":              {value: strconv.Itoa(http.DefaultConcurrency), least: "0"},
	"tasks.*.source.http.routes.*.wait":                     {words: "5s where it is stored, else 30s"},
	"tasks.*.source.http.routes.*.retry_after":              {value: policy.Duration(http.DefaultRetryAfter).String()},
	"tasks.*.source.http.routes.*.status":                   {words: "the path and /status/{transaction}"},
	"tasks.*.source.http.routes.*.auth.bearer.*.principal":  needed,
	"tasks.*.source.http.routes.*.auth.signature.kind":      {required: true, oneOf: []string{http.StandardWebhooks, http.GitHub}},
	"tasks.*.source.http.routes.*.auth.signature.principal": {words: "the kind"},
	"tasks.*.source.http.routes.*.auth.signature.tolerance": {value: policy.Duration(http.DefaultTolerance).String()},

	"tasks.*.routes.*.http.url":               needed,
	"tasks.*.routes.*.http.method":            {value: "POST", oneOf: []string{"POST", "PUT", "PATCH", "DELETE"}},
	"tasks.*.routes.*.http.cloudevents":       {value: http.CloudEventsBinary, oneOf: []string{http.CloudEventsBinary, http.CloudEventsStructured, http.CloudEventsOff}},
	"tasks.*.routes.*.http.connections":       {value: strconv.Itoa(sink.Connections), least: "0"},
	"tasks.*.routes.*.http.timeout":           {value: policy.Duration(sink.Timeout).String()},
	"tasks.*.routes.*.http.connect_timeout":   {value: policy.Duration(sink.ConnectTimeout).String()},
	"tasks.*.routes.*.http.tls_timeout":       {value: policy.Duration(sink.TLSTimeout).String()},
	"tasks.*.routes.*.http.private_addresses": {words: "deny where the host is from data, else allow", oneOf: []string{http.PrivateAllow, http.PrivateDeny}},

	"tasks.*.source.jetstream.stream":          needed,
	"tasks.*.source.jetstream.durable":         {words: "the task's name"},
	"tasks.*.source.jetstream.subjects":        {words: "all of the stream"},
	"tasks.*.source.jetstream.ack_wait":        {value: policy.Duration(bus.DefaultAckWait).String()},
	"tasks.*.source.jetstream.max_ack_pending": {value: strconv.Itoa(bus.DefaultMaxAckPending), least: "0"},
	"tasks.*.source.jetstream.deliver_policy": {value: bus.DeliverAll,
		oneOf: []string{bus.DeliverAll, bus.DeliverNew, bus.DeliverLast, bus.DeliverLastPerSubject}},
	"tasks.*.source.jetstream.max_bytes": unbounded,
	"tasks.*.source.trace":               {oneOf: []string{TraceParent, TraceLink}},
	"tasks.*.routes.*.jetstream.stream":  needed,
	"tasks.*.routes.*.jetstream.subject": needed,
	"tasks.*.dead_letters.stream":        {words: inherited},
	"tasks.*.dead_letters.subject":       {words: inherited},
	"tasks.*.dead_letters.storage":       {words: inherited, value: storages.value, oneOf: storages.oneOf},
	"tasks.*.dead_letters.max_age":       {words: inherited},
	"tasks.*.dead_letters.max_bytes":     {words: inherited, least: "0"},
	"tasks.*.dead_letters.replicas":      {words: inherited, value: "1", least: "0", most: "5"},
	"tasks.*.consumer.loop.mode":         {oneOf: modes},
	"tasks.*.producer.loop.mode":         {oneOf: modes},
}

var (
	sink     = http.SinkOptions{}.WithDefaults()
	modes    = []string{string(policy.ModeContinuous), string(policy.ModeBatch)}
	samplers = []string{
		"always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
	}
)

// inForce is what a value that says nothing comes to, as it is written in a file, or
// "" where that is nothing.
func (c *Config) inForce(p path) string {
	name := p.pattern()
	f := facts[name]
	switch name {
	case "telemetry.traces.exporter", "telemetry.metrics.exporter":
		if c.Telemetry.OTLP.Endpoint != "" {
			return "otlp"
		}
		return "none"
	case "telemetry.traces.sampler":
		if c.Telemetry.Traces.Ratio != nil {
			return "parentbased_traceidratio"
		}
		return "parentbased_always_on"
	case "streams.*.duplicates":
		return policy.Duration(duplicatesOf(c.Streams[p[1]])).String()
	}
	return f.value
}

// text is a value as it is written in a file; "" for what says nothing.
func text(v reflect.Value) string {
	if v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch e := encode(v).(type) {
	case []any:
		if len(e) == 0 {
			return ""
		}
		return fmt.Sprint(e)
	case string:
		return e
	default:
		if v.Kind() == reflect.Map {
			return ""
		}
		return fmt.Sprint(e)
	}
}
