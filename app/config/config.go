package config

import (
	"maps"
	"slices"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/telemetry"
)

// What a Config says where the file says nothing.
const (
	DefaultApp    = "ergon"
	DefaultListen = "127.0.0.1:4222"
)

// Words with a meaning of their own.
const (
	// Embedded, as the URL of the bus, asks for a server inside the process.
	Embedded = "embedded"
	// ListenOff, as the address of an embedded server or of the admin server, opens no
	// port.
	ListenOff = "off"
)

// Config is what an ergon.yaml says. It prints without its secrets.
type Config struct {
	// The application's name: what a task puts out has the source
	// /ergon/<app>/<task>. Letters, digits, dots, dashes and underscores.
	// Default ergon.
	App string `yaml:"app"`
	// The NATS servers, or the embedded one.
	Bus Bus `yaml:"bus"`
	// Streams by name, with what is to be said of them. A stream that only tasks
	// name need not stand here: see Topology. Default none.
	Streams map[string]bus.Stream `yaml:"streams"`
	// Where what failed for good is kept, unless the task says otherwise.
	DeadLetters DeadLetters `yaml:"dead_letters"`
	// Where what is to be tried again much later waits.
	Parking Parking `yaml:"parking"`
	// The admin server: health, status and decision trails over HTTP.
	Admin Admin `yaml:"admin"`
	// The one server of the process, for tasks whose source is http. Without such a task
	// there is none.
	HTTP http.ServerConfig `yaml:"http"`
	// What becomes of a task that fails as a whole, and of one that stands still.
	Runner Runner `yaml:"runner"`
	// To whom traces, metrics and log lines are sent. OpenTelemetry's variables, OTEL_*,
	// win over what stands here. Default: to nobody.
	Telemetry telemetry.Config `yaml:"telemetry"`
	// Services by name, each of one kind, for app.Configured. Default none.
	Services map[string]spec.Service `yaml:"services"`
	// Tasks by name. Default none.
	Tasks map[string]Task `yaml:"tasks"`
}

// Bus is the connection to NATS: the keys of bus.Config, and two more for the
// embedded server.
type Bus struct {
	// The URL is "embedded" by default, unless there is a context; see bus.Config
	// for what else it may be.
	bus.Config `yaml:",inline"`
	// The directory that the embedded server keeps its streams in. Only for
	// embedded. Default empty: a directory in the user's data directory.
	Store string `yaml:"store"`
	// The address, host:port, that the embedded server listens on for other
	// programs, or off for none; port 0 takes a free one. Only for embedded.
	// Default 127.0.0.1:4222.
	Listen string `yaml:"listen"`
}

// DeadLetters is where transactions that failed for good are kept, with the keys
// of bus.DeadLetterConfig; its subject_prefix is the subject here.
type DeadLetters struct {
	// The stream. It is made when it is missing. Default ERGON_DLQ.
	Stream string `yaml:"stream"`
	// The subject, to which a dot and the task's name are added. Default ergon.dlq.
	Subject string `yaml:"subject"`
	// What the stream is kept in when it is made: file or memory. Default file.
	Storage string `yaml:"storage"`
	// How long a dead letter is kept; 0s is for ever. Default 0s.
	MaxAge policy.Duration `yaml:"max_age"`
	// How many bytes of dead letters are kept; 0 is no limit. Default 0.
	MaxBytes int64 `yaml:"max_bytes"`
	// How many servers of a cluster keep a copy, up to 5. Default 0, which is one.
	Replicas int `yaml:"replicas"`
}

// Config is d for the bus.
func (d DeadLetters) Config() bus.DeadLetterConfig {
	return bus.DeadLetterConfig{
		Stream: d.Stream, SubjectPrefix: d.Subject,
		Storage: d.Storage, MaxAge: d.MaxAge.D(), MaxBytes: d.MaxBytes, Replicas: d.Replicas,
	}
}

// Task is one task's wiring and policy.
type Task struct {
	// What the task is, where no module provides it: transform. Default: the task
	// that a module provides under this name.
	Use string `yaml:"use"`
	// The expressions of a task that uses transform.
	Transform *Transform `yaml:"transform"`
	// Where its transactions come from. Required.
	Source Source `yaml:"source"`
	// Where its outputs go, by the name of the route. Default none.
	Routes map[string]Route `yaml:"routes"`
	// Where its failures go; what is left out is as in the file's dead_letters.
	DeadLetters DeadLetters `yaml:"dead_letters"`
	// How hard a task that consumes tries; what is left out is as in
	// policy.DefaultConsumer.
	Consumer policy.Consumer `yaml:"consumer"`
	// How hard a task that produces tries; what is left out is as in
	// policy.DefaultProducer.
	Producer policy.Producer `yaml:"producer"`
}

// RouteNames lists the task's routes in alphabetical order.
func (t Task) RouteNames() []string { return slices.Sorted(maps.Keys(t.Routes)) }

// What becomes of the trace that a transaction comes with.
const (
	TraceParent = "parent" // its spans continue it
	TraceLink   = "link"   // its spans begin a trace of their own, linked to it
)

// Source is where transactions come from. Exactly one kind is set, but for http that
// stores: it stores in the stream of the jetstream source beside it.
type Source struct {
	// Requests over HTTP. Beside jetstream they are stored in its stream; alone, with mode
	// result, their callers wait for the task's output.
	HTTP *HTTPSource `yaml:"http"`
	// A durable consumer of a JetStream stream.
	JetStream *JetStreamSource `yaml:"jetstream"`
	// What becomes of the trace that a transaction comes with: parent, its spans
	// continue it; link, they begin one of their own that is linked to it, for where
	// many unrelated ones come from one. Default parent.
	Trace string `yaml:"trace"`
}

// JetStreamSource is a durable pull consumer, with the keys of bus.Consumer. The
// durable's default is the task's name.
type JetStreamSource struct {
	// The stream is required; without subjects the whole stream is consumed.
	bus.Consumer `yaml:",inline"`
	// How many bytes one pull request may bring; with a bound only one is open at a
	// time. A message above it comes alone. 0 is no bound. Default 0.
	MaxBytes int `yaml:"max_bytes"`
}

// Route is where outputs go. Exactly one kind is set.
type Route struct {
	// A subject of a JetStream stream.
	JetStream *JetStreamRoute `yaml:"jetstream"`
	// An endpoint over HTTP: each output is a request.
	HTTP *http.SinkOptions `yaml:"http"`
}

// JetStreamRoute is a subject and the stream that stores it.
type JetStreamRoute struct {
	// The stream. Required.
	Stream string `yaml:"stream"`
	// The subject, without wildcards. Required.
	Subject string `yaml:"subject"`
}

// Default is what an empty file says.
func Default() Config {
	return Config{
		App:         DefaultApp,
		Bus:         Bus{Config: bus.Config{URL: Embedded}, Listen: DefaultListen},
		DeadLetters: DeadLetters{Stream: bus.DefaultDeadStream, Subject: bus.DefaultDeadPrefix},
		Parking:     Parking{Stream: bus.DefaultParkedStream, Subject: bus.DefaultParkedPrefix},
		Admin:       Admin{Trail: DefaultTrail},
		Runner:      DefaultRunner(),
	}
}

// TaskNames lists the tasks in alphabetical order.
func (c *Config) TaskNames() []string { return slices.Sorted(maps.Keys(c.Tasks)) }

// ServiceNames lists the services in alphabetical order.
func (c *Config) ServiceNames() []string { return slices.Sorted(maps.Keys(c.Services)) }

// IsEmbedded says whether the server runs inside the process.
func (b Bus) IsEmbedded() bool { return b.URL == Embedded }
