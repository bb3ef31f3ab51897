package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/internal/semconv"
)

// What a ParkingConfig gets where it is left zero.
const (
	DefaultParkedStream = "ERGON_PARKED"
	DefaultParkedPrefix = "ergon.parked"
)

// parkTimeout is how long a message is tried to be parked; after that its holder
// decides.
const parkTimeout = 5 * time.Second

// A ParkingConfig says where messages wait for their time.
type ParkingConfig struct {
	// Stream is made as a work queue with schedules if it is missing. Default
	// ERGON_PARKED.
	Stream string `yaml:"stream" json:"stream,omitempty"`
	// SubjectPrefix begins its subjects. Default "ergon.parked".
	SubjectPrefix string `yaml:"subject_prefix" json:"subject_prefix,omitempty"`
	// Storage and Replicas are used when the stream is made; see [Stream]. By
	// default it is on file, with one replica. It has no limits, for at a limit a
	// stream with schedules can only drop its oldest messages.
	Storage  string `yaml:"storage" json:"storage,omitempty"`
	Replicas int    `yaml:"replicas" json:"replicas,omitempty"`
}

// Stream is the declaration of the stream for cfg.
func (cfg ParkingConfig) stream() Stream {
	return Stream{
		Name:           cfg.Stream,
		Description:    "messages that wait for their next attempt",
		Subjects:       []string{cfg.SubjectPrefix + ".>"},
		Storage:        cfg.Storage,
		Retention:      RetentionWorkQueue, // what was taken up again is gone
		Replicas:       cfg.Replicas,
		AllowSchedules: true,
	}
}

// Parking stores messages until a time, and has the server deliver them then,
// never before (ADR-51). Each lane has its own waiting messages and its own
// consumer. A parked message costs no place among a consumer's unacknowledged
// ones: a nak with delay does (nats-server#6093).
//
// All methods may be called concurrently.
type Parking struct {
	bus *Bus
	cfg ParkingConfig
	pub *Publisher
}

// NewParking makes sure that the stream exists, and that nothing about it drops
// what waits there: the error names what does, and wraps [ErrTopology]. A server
// without schedules (before 2.12) is [ErrNoSchedules]. It publishes with pub,
// which stays its owner's.
func (b *Bus) NewParking(ctx context.Context, cfg ParkingConfig, pub *Publisher) (*Parking, error) {
	if cfg.Stream == "" {
		cfg.Stream = DefaultParkedStream
	}
	if cfg.SubjectPrefix == "" {
		cfg.SubjectPrefix = DefaultParkedPrefix
	}
	if !b.schedules() {
		return nil, fmt.Errorf("parking: server %s: %w", b.consume.nc.ConnectedServerVersion(), ErrNoSchedules)
	}
	p := &Parking{bus: b, cfg: cfg, pub: pub}
	if err := p.Ensure(ctx); err != nil {
		return nil, err
	}
	live, err := b.stream(ctx, cfg.Stream)
	if err != nil {
		return nil, fmt.Errorf("parking: look up stream %q: %w", cfg.Stream, err)
	}
	if why := dropsParked(live.CachedInfo().Config); len(why) > 0 {
		return nil, fmt.Errorf("parking: stream %q: %w: it would drop what waits there: %s: change the stream, or name another for parking",
			cfg.Stream, ErrTopology, strings.Join(why, "; "))
	}
	return p, nil
}

// Ensure makes the stream if it is missing.
func (p *Parking) Ensure(ctx context.Context) error {
	if _, err := p.bus.EnsureStream(ctx, p.cfg.stream()); err != nil {
		return fmt.Errorf("parking: %w", err)
	}
	return nil
}

// schedules reports whether the server knows Nats-Schedule.
func (b *Bus) schedules() bool {
	var major, minor int
	if _, err := fmt.Sscanf(b.consume.nc.ConnectedServerVersion(), "%d.%d", &major, &minor); err != nil {
		return true // the server will say
	}
	return major > 2 || major == 2 && minor >= 12
}

// dropsParked says what about a stream could lose a message that waits in it.
func dropsParked(cfg jetstream.StreamConfig) (why []string) {
	say := func(bad bool, format string, a ...any) {
		if bad {
			why = append(why, fmt.Sprintf(format, a...))
		}
	}
	say(!cfg.AllowMsgSchedules, "it does not allow schedules (allow_msg_schedules)")
	say(cfg.Retention != jetstream.WorkQueuePolicy, "its retention is %s, not workqueue", cfg.Retention)
	say(cfg.MaxAge > 0, "max_age %s ends a longer wait", cfg.MaxAge)
	say(cfg.MaxMsgsPerSubject > 0, "max_msgs_per_subject is %d", cfg.MaxMsgsPerSubject)
	say(cfg.MaxMsgs > 0, "at max_msgs %d it discards the oldest", cfg.MaxMsgs)
	say(cfg.MaxBytes > 0, "at max_bytes %d it discards the oldest", cfg.MaxBytes)
	return why
}

// Lane is the lane of a consumer's messages.
func Lane(stream, durable string) string { return token(stream) + "." + token(durable) }

func (p *Parking) waiting(lane string) string { return p.cfg.SubjectPrefix + "." + lane + ".wait" }
func (p *Parking) due(lane string) string     { return p.cfg.SubjectPrefix + "." + lane + ".due" }

// Consumer declares the consumer of what is due in a lane.
func (p *Parking) Consumer(lane string) Consumer {
	return Consumer{
		Stream: p.cfg.Stream, Durable: strings.ReplaceAll(lane, ".", "-") + "-" + hash(lane)[:6],
		Subjects:    []string{p.due(lane)},
		Description: "messages of " + lane + " whose next attempt is due",
	}
}

// Park stores orig in a lane until pk.Due, and calls done exactly once, from any
// goroutine; it must not block. A nil error means that it is stored, with the
// same meaning as for [Publisher.Publish]. Until then orig has to be kept alive,
// and not acknowledged. Parking the same thing again changes nothing.
func (p *Parking) Park(ctx context.Context, lane string, orig *nats.Msg, pk Parked, done func(error)) {
	m := pk.message(lane, orig)
	m.Subject = p.waiting(lane) + "." + pk.key()
	m.Header["Nats-Schedule"] = []string{"@at " + pk.Due.UTC().Format(time.RFC3339Nano)}
	m.Header["Nats-Schedule-Target"] = []string{p.due(lane)}
	ctx, cancel := context.WithTimeout(ctx, parkTimeout)
	p.pub.Publish(ctx, m, func(_ PubAck, err error) {
		cancel()
		if err != nil {
			err = fmt.Errorf("park until %s: %w", pk.Due.UTC().Format(time.RFC3339), err)
		}
		done(err)
	})
}

// Room is what the server takes now. Asking for it costs a lock that all who
// publish want, so it is asked for once for many messages.
func (p *Parking) Room() Room { return Room{p.bus.publish.nc.MaxPayload()} }

// Room is how large a message may be that is to be parked. In the zero one nothing
// fits.
type Room struct{ payload int64 }

// Fits reports whether a message can be parked: with what is noted besides, its
// headers and all of it must be within the server's limits.
func (r Room) Fits(m *nats.Msg) bool {
	const notes = 2048
	more := len(semconv.ParkedPrefix)*len(m.Header) + notes
	header := headerSize(m.Header)
	size := len(m.Subject) + len(m.Reply) + header + len(m.Data)
	return header+more <= maxHeader && int64(size+more) <= r.payload
}

// Empty reports whether a lane holds nothing: nothing waits, nothing is due, and
// nothing that was due is unacknowledged.
func (p *Parking) Empty(ctx context.Context, lane string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	// What falls due between the first two looks is seen by the second, and what is
	// parked again between the last two by the third. Whatever else lies under the
	// lane's subjects is taken by nobody.
	wait, due := p.waiting(lane)+".>", p.due(lane)
	for _, subject := range []string{wait, due, wait} {
		if empty, err := p.none(ctx, subject); err != nil || !empty {
			return false, err
		}
	}
	return true, nil
}

// none reports whether no message of a subject is stored.
func (p *Parking) none(ctx context.Context, subject string) (bool, error) {
	body, err := json.Marshal(map[string]any{"seq": 1, "next_by_subj": subject})
	if err != nil {
		return false, fmt.Errorf("look for parked messages: %w", err)
	}
	ask := p.bus.api("STREAM.MSG.GET", p.cfg.Stream)
	m, err := bounded(ctx, p.bus, ask, func(ctx context.Context) (*nats.Msg, error) {
		return p.bus.consume.nc.RequestWithContext(ctx, ask, body)
	})
	if err != nil {
		return false, fmt.Errorf("look for parked messages in %q: %w", p.cfg.Stream, err)
	}
	switch refusal := parseRefusal(m.Data); {
	case refusal == nil:
		return false, nil
	case refusal.ErrCode == uint16(jetstream.JSErrCodeMessageNotFound):
		return true, nil
	default:
		return false, fmt.Errorf("look for parked messages in %q: %w", p.cfg.Stream, refusal)
	}
}

// Count is how many messages wait in a lane for their time.
func (p *Parking) Count(ctx context.Context, lane string) (int64, error) {
	stream, err := p.bus.stream(ctx, p.cfg.Stream)
	if err != nil {
		return 0, fmt.Errorf("count parked messages in %q: %w", p.cfg.Stream, err)
	}
	if stream.CachedInfo().State.Msgs == 0 {
		return 0, nil
	}
	info, err := bounded(ctx, p.bus, p.bus.api("STREAM.INFO", p.cfg.Stream), func(ctx context.Context) (*jetstream.StreamInfo, error) {
		return stream.Info(ctx, jetstream.WithSubjectFilter(p.waiting(lane)+".>"))
	})
	if err != nil {
		return 0, fmt.Errorf("count parked messages in %q: %w", p.cfg.Stream, err)
	}
	n := int64(0)
	for _, of := range info.State.Subjects {
		n += int64(of)
	}
	return n, nil
}
