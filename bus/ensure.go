package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const errCodeSubjectOverlap = 10065

// Ensure makes every declared stream, then every declared consumer, that is
// missing, and changes none that exists. It goes on after a failure, so that
// the error names every fault at once; the changes are of those that went well.
// Several processes may ensure the same at the same time.
func (b *Bus) Ensure(ctx context.Context, t Topology) ([]Change, error) {
	var changes []Change
	var faults []error
	for _, s := range t.Streams {
		change, err := b.EnsureStream(ctx, s)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		changes = append(changes, change)
	}
	for _, c := range t.Consumers {
		_, change, err := b.EnsureConsumer(ctx, c)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		changes = append(changes, change)
	}
	return changes, errors.Join(faults...)
}

// EnsureStream makes the stream if it is missing. If it exists it is left as it
// is, and what differs is in the Change. An existing stream that doesn't store
// a declared subject, or another stream that does, is an error that wraps
// [ErrTopology].
func (b *Bus) EnsureStream(ctx context.Context, s Stream) (Change, error) {
	cfg, err := s.config()
	if err != nil {
		return Change{}, err
	}
	// A round that finds nothing, then is told that the name is in use, lost to
	// another process in between: the second round finds the stream.
	for round := 0; ; round++ {
		stream, err := b.stream(ctx, s.Name)
		switch {
		case err == nil:
			return compareStream(s, stream.CachedInfo().Config)
		case !errors.Is(err, jetstream.ErrStreamNotFound):
			return Change{}, fmt.Errorf("look up stream %q: %w", s.Name, err)
		}
		_, err = bounded(ctx, b, b.api("STREAM.CREATE", s.Name), func(ctx context.Context) (jetstream.Stream, error) { return b.js.CreateStream(ctx, cfg) })
		var api *jetstream.APIError
		switch {
		case err == nil:
			return Change{Kind: Created, Resource: "stream", Name: s.Name}, nil
		case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) && round < 2:
			continue
		case errors.As(err, &api) && api.ErrorCode == errCodeSubjectOverlap:
			return Change{}, b.overlapError(ctx, s, err)
		}
		return Change{}, fmt.Errorf("create stream %q: %w%s", s.Name, err, adviceOf(err))
	}
}

func (b *Bus) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	return bounded(ctx, b, b.api("STREAM.INFO", name), func(ctx context.Context) (jetstream.Stream, error) { return b.js.Stream(ctx, name) })
}

// overlapError finds out whose the subject is.
func (b *Bus) overlapError(ctx context.Context, s Stream, cause error) error {
	for _, subject := range s.Subjects {
		owner, err := bounded(ctx, b, b.api("STREAM.NAMES"), func(ctx context.Context) (string, error) { return b.js.StreamNameBySubject(ctx, subject) })
		if err == nil && owner != s.Name {
			return fmt.Errorf("create stream %q: %w: subject %q belongs to stream %q: use that stream, or another subject",
				s.Name, ErrTopology, subject, owner)
		}
	}
	return fmt.Errorf("create stream %q: %w: %w", s.Name, ErrTopology, cause)
}

// EnsureConsumer makes the durable consumer if it is missing. If it exists it
// is left as it is, and what differs is in the Change. A stream that does not
// exist is [ErrStreamGone]. An existing consumer that this package cannot work
// with (one that pushes, gives up after some deliveries, has a backoff of its
// own or acknowledges otherwise than one by one) is refused with an error that
// wraps [ErrTopology]; the Info says what it is all the same.
func (b *Bus) EnsureConsumer(ctx context.Context, c Consumer) (Info, Change, error) {
	cfg, err := c.config()
	if err != nil {
		return Info{}, Change{}, err
	}
	stream, err := b.stream(ctx, c.Stream)
	if err != nil {
		return Info{}, Change{}, goneError(c.Stream, c.Durable, err)
	}
	warnings := lossWarnings(stream.CachedInfo().Config)
	for round := 0; ; round++ {
		info, change, err := b.CheckConsumer(ctx, c)
		if !errors.Is(err, ErrConsumerGone) {
			if err == nil {
				change.Warnings = warnings
			}
			return info, change, err
		}
		made, err := bounded(ctx, b, b.api("CONSUMER.CREATE", c.Stream, c.Durable), func(ctx context.Context) (jetstream.Consumer, error) {
			return b.js.CreateConsumer(ctx, c.Stream, cfg)
		})
		switch {
		case err == nil:
			change := Change{Kind: Created, Resource: "consumer", Name: c.Stream + "/" + c.Durable, Warnings: warnings}
			return infoOf(made.CachedInfo()), change, nil
		case errors.Is(err, jetstream.ErrConsumerExists) && round < 2:
			continue // another process was faster, with another configuration
		case errors.Is(err, jetstream.ErrStreamNotFound):
			return Info{}, Change{}, goneError(c.Stream, c.Durable, err)
		}
		return Info{}, Change{}, fmt.Errorf("create consumer %q of stream %q: %w%s", c.Durable, c.Stream, err, adviceOf(err))
	}
}

// CheckConsumer is EnsureConsumer for one that has to exist: a missing one is
// [ErrConsumerGone], and the Change has no warnings.
func (b *Bus) CheckConsumer(ctx context.Context, c Consumer) (Info, Change, error) {
	info, err := b.consumerInfo(ctx, c.Stream, c.Durable)
	if err != nil {
		return Info{}, Change{}, fmt.Errorf("look up consumer: %w", goneError(c.Stream, c.Durable, err))
	}
	if err := usable(info); err != nil {
		return infoOf(info), Change{}, err
	}
	return infoOf(info), compareConsumer(c, info.Config), nil
}

// ConsumerInfo asks what a consumer is and holds. A missing one is
// [ErrConsumerGone], a missing stream [ErrStreamGone].
func (b *Bus) ConsumerInfo(ctx context.Context, stream, durable string) (Info, error) {
	info, err := b.consumerInfo(ctx, stream, durable)
	if err != nil {
		return Info{}, goneError(stream, durable, err)
	}
	return infoOf(info), nil
}

// infoResponse is an answer of $JS.API.CONSUMER.INFO.
type infoResponse struct {
	Error *jetstream.APIError `json:"error"`
	jetstream.ConsumerInfo
}

// consumerInfo asks by itself, because the jetstream package returns nothing
// for a push consumer but its being one.
func (b *Bus) consumerInfo(ctx context.Context, stream, durable string) (*jetstream.ConsumerInfo, error) {
	subject := b.api("CONSUMER.INFO", stream, durable)
	m, err := bounded(ctx, b, subject, func(ctx context.Context) (*nats.Msg, error) {
		return b.consume.nc.RequestWithContext(ctx, subject, nil)
	})
	if err != nil {
		if errors.Is(err, nats.ErrNoResponders) {
			err = fmt.Errorf("%w: JetStream does not answer", err)
		}
		return nil, fmt.Errorf("consumer %q of stream %q: %w", durable, stream, err)
	}
	return parseInfo(m.Data)
}

func parseInfo(data []byte) (*jetstream.ConsumerInfo, error) {
	var resp infoResponse
	if err := json.Unmarshal(data, &resp); err != nil {
		return nil, fmt.Errorf("decode consumer info: %w", err)
	}
	if resp.Error != nil {
		return nil, resp.Error
	}
	return &resp.ConsumerInfo, nil
}

func infoOf(in *jetstream.ConsumerInfo) Info {
	out := Info{
		Stream:        in.Stream,
		Durable:       in.Name,
		AckWait:       in.Config.AckWait,
		MaxAckPending: in.Config.MaxAckPending,
		Subjects:      filters(in.Config),
		Pending:       in.NumPending,
		AckPending:    in.NumAckPending,
		Redelivered:   in.NumRedelivered,
		Waiting:       in.NumWaiting,
		Paused:        in.Paused,
		Created:       in.Created,
	}
	if len(in.Config.BackOff) > 0 {
		out.AckWait = in.Config.BackOff[0] // the server uses it in the place of AckWait
	}
	return out
}

// usable refuses what would take retries or settlement out of our hands.
func usable(in *jetstream.ConsumerInfo) error {
	cfg := in.Config
	var why []string
	if cfg.DeliverSubject != "" {
		why = append(why, "it pushes to "+cfg.DeliverSubject)
	}
	if cfg.AckPolicy != jetstream.AckExplicitPolicy {
		why = append(why, fmt.Sprintf("its ack policy is %s, not explicit", cfg.AckPolicy))
	}
	if cfg.MaxDeliver > 0 {
		why = append(why, fmt.Sprintf("it gives a message up after max_deliver %d, and the message is lost", cfg.MaxDeliver))
	}
	if len(cfg.BackOff) > 0 {
		why = append(why, "its backoff replaces ack_wait and is retried by the server besides our own retries")
	}
	if len(why) == 0 {
		return nil
	}
	return fmt.Errorf("consumer %q of stream %q: %w: %s: remove it, or name another durable",
		in.Name, in.Stream, ErrTopology, strings.Join(why, "; "))
}

// lossWarnings tells of a stream that can drop what a consumer has not seen.
func lossWarnings(cfg jetstream.StreamConfig) []string {
	if cfg.Discard != jetstream.DiscardOld {
		return nil
	}
	var limits []string
	if cfg.MaxMsgs > 0 {
		limits = append(limits, fmt.Sprintf("max_msgs %d", cfg.MaxMsgs))
	}
	if cfg.MaxBytes > 0 {
		limits = append(limits, fmt.Sprintf("max_bytes %d", cfg.MaxBytes))
	}
	if cfg.MaxMsgsPerSubject > 0 {
		limits = append(limits, fmt.Sprintf("max_msgs_per_subject %d", cfg.MaxMsgsPerSubject))
	}
	if cfg.MaxAge > 0 {
		limits = append(limits, fmt.Sprintf("max_age %s", cfg.MaxAge))
	}
	if len(limits) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("stream %q drops its oldest messages at %s, whether they were processed or not",
		cfg.Name, strings.Join(limits, ", "))}
}
