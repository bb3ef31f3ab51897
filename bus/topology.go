package bus

import (
	"fmt"
	"strings"
	"time"
)

// What a Stream or a Consumer gets where its field is left zero.
const (
	DefaultDuplicates    = 2 * time.Minute
	DefaultAckWait       = 10 * time.Second
	DefaultMaxAckPending = 16384
)

// Words that a declaration uses, as the server writes them.
const (
	StorageFile   = "file"
	StorageMemory = "memory"

	RetentionLimits    = "limits"
	RetentionInterest  = "interest"
	RetentionWorkQueue = "workqueue"

	DiscardOld = "old"
	DiscardNew = "new"

	DeliverAll            = "all"
	DeliverNew            = "new"
	DeliverLast           = "last"
	DeliverLastPerSubject = "last_per_subject"
)

// A Topology is what has to exist before work begins.
type Topology struct {
	Streams   []Stream   `yaml:"streams" json:"streams,omitempty"`
	Consumers []Consumer `yaml:"consumers" json:"consumers,omitempty"`
}

// A Stream declares a JetStream stream. A field left zero takes its default
// when the stream is created, and is not compared when it exists.
type Stream struct {
	// Name is what the stream is called.
	Name string `yaml:"name" json:"name"`
	// Subjects are what the stream stores; wildcards are allowed. An existing
	// stream may store more.
	Subjects []string `yaml:"subjects" json:"subjects"`
	// Description is for whoever looks at the server.
	Description string `yaml:"description" json:"description,omitempty"`
	// Storage is "file" (default) or "memory".
	Storage string `yaml:"storage" json:"storage,omitempty"`
	// Retention is "limits" (default), "interest" or "workqueue".
	Retention string `yaml:"retention" json:"retention,omitempty"`
	// Discard is what a full stream does: drop the "old" (default), or refuse
	// the "new".
	Discard string `yaml:"discard" json:"discard,omitempty"`
	// MaxAge, MaxBytes and MaxMsgs limit what is kept; 0 means no limit.
	MaxAge   time.Duration `yaml:"max_age" json:"max_age,omitempty"`
	MaxBytes int64         `yaml:"max_bytes" json:"max_bytes,omitempty"`
	MaxMsgs  int64         `yaml:"max_msgs" json:"max_msgs,omitempty"`
	// Replicas is how many servers of a cluster keep a copy. Default 1.
	Replicas int `yaml:"replicas" json:"replicas,omitempty"`
	// Duplicates is how long a Nats-Msg-Id is remembered. Default 2 minutes, or
	// MaxAge if that is shorter.
	Duplicates time.Duration `yaml:"duplicates" json:"duplicates,omitempty"`
	// AllowSchedules lets messages carry Nats-Schedule, AllowTTL Nats-TTL, and
	// AllowAtomic lets batches be published all or nothing.
	AllowSchedules bool `yaml:"allow_schedules" json:"allow_schedules,omitempty"`
	AllowTTL       bool `yaml:"allow_ttl" json:"allow_ttl,omitempty"`
	AllowAtomic    bool `yaml:"allow_atomic" json:"allow_atomic,omitempty"`
}

// A Consumer declares a durable pull consumer with explicit acknowledgement and
// without a limit of deliveries. Whatever counts attempts, it isn't the server.
type Consumer struct {
	// Stream is the stream that is consumed.
	Stream string `yaml:"stream" json:"stream"`
	// Durable is the consumer's name, under which the server keeps how far it got.
	Durable string `yaml:"durable" json:"durable"`
	// Subjects filter the stream; none means all of it.
	Subjects []string `yaml:"subjects" json:"subjects,omitempty"`
	// Description is for whoever looks at the server.
	Description string `yaml:"description" json:"description,omitempty"`
	// AckWait is how long a delivery may stay unacknowledged. Default 10 s.
	AckWait time.Duration `yaml:"ack_wait" json:"ack_wait,omitempty"`
	// MaxAckPending is how many deliveries, over all instances, may be
	// unacknowledged before the server stops delivering. Default 16384.
	MaxAckPending int `yaml:"max_ack_pending" json:"max_ack_pending,omitempty"`
	// DeliverPolicy is where a new consumer begins: "all" (default), "new",
	// "last" or "last_per_subject".
	DeliverPolicy string `yaml:"deliver_policy" json:"deliver_policy,omitempty"`
	// MemoryStorage keeps the consumer's state in memory.
	MemoryStorage bool `yaml:"memory_storage" json:"memory_storage,omitempty"`
}

// Info is what a consumer is and holds at one moment.
type Info struct {
	Stream, Durable string
	// AckWait is the effective deadline of a first delivery.
	AckWait time.Duration
	// MaxAckPending is the consumer's limit; below 1 means none.
	MaxAckPending int
	// Subjects is the consumer's filter; none means the whole stream.
	Subjects []string
	// Pending counts messages never delivered, AckPending those delivered and
	// not acknowledged, Redelivered those of them delivered more than once, and
	// Waiting the open pull requests.
	Pending                          uint64
	AckPending, Redelivered, Waiting int
	// Paused reports that the consumer delivers nothing for now.
	Paused bool
	// Created tells a consumer from its successor of the same name.
	Created time.Time
}

// ChangeKind says what ensuring a resource came to.
type ChangeKind string

// The kinds of a Change.
const (
	Created ChangeKind = "created" // it was missing
	Exists  ChangeKind = "exists"  // it is as declared
	Differs ChangeKind = "differs" // it exists, was not touched, and is not as declared
)

// A Difference is one field that is not as declared.
type Difference struct {
	Field          string
	Declared, Live string
}

// A Change tells what [Bus.Ensure] found or did to one resource.
type Change struct {
	Kind ChangeKind
	// Resource is "stream" or "consumer". Name is the stream's name, or the
	// stream's and the consumer's with a slash between.
	Resource, Name string
	// Fields is what differs, for Differs.
	Fields []Difference
	// Warnings are configurations that are allowed and lose messages.
	Warnings []string
}

// String describes the change in one line.
func (c Change) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q %s", c.Resource, c.Name, c.Kind)
	for i, f := range c.Fields {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%s is %s, declared %s", sep, f.Field, f.Live, f.Declared)
	}
	for _, w := range c.Warnings {
		b.WriteString("; warning: " + w)
	}
	return b.String()
}
