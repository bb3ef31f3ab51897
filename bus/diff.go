package bus

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// config is the stream as the server is asked to make it.
func (s Stream) config() (jetstream.StreamConfig, error) {
	cfg := jetstream.StreamConfig{
		Name:               s.Name,
		Description:        s.Description,
		Subjects:           s.Subjects,
		MaxAge:             s.MaxAge,
		MaxBytes:           unlimited(s.MaxBytes),
		MaxMsgs:            unlimited(s.MaxMsgs),
		Replicas:           max(s.Replicas, 1),
		Duplicates:         s.Duplicates,
		AllowDirect:        true,
		AllowMsgSchedules:  s.AllowSchedules,
		AllowMsgTTL:        s.AllowTTL,
		AllowAtomicPublish: s.AllowAtomic,
	}
	if cfg.Duplicates == 0 {
		cfg.Duplicates = DefaultDuplicates
		if s.MaxAge > 0 { // the server refuses a window longer than a message lives
			cfg.Duplicates = min(cfg.Duplicates, s.MaxAge)
		}
	}
	var ok bool
	if cfg.Storage, ok = pick(s.Storage, jetstream.FileStorage, map[string]jetstream.StorageType{
		StorageFile: jetstream.FileStorage, StorageMemory: jetstream.MemoryStorage,
	}); !ok {
		return cfg, wordError("stream", s.Name, "storage", s.Storage, StorageFile, StorageMemory)
	}
	if cfg.Retention, ok = pick(s.Retention, jetstream.LimitsPolicy, map[string]jetstream.RetentionPolicy{
		RetentionLimits: jetstream.LimitsPolicy, RetentionInterest: jetstream.InterestPolicy, RetentionWorkQueue: jetstream.WorkQueuePolicy,
	}); !ok {
		return cfg, wordError("stream", s.Name, "retention", s.Retention, RetentionLimits, RetentionInterest, RetentionWorkQueue)
	}
	if cfg.Discard, ok = pick(s.Discard, jetstream.DiscardOld, map[string]jetstream.DiscardPolicy{
		DiscardOld: jetstream.DiscardOld, DiscardNew: jetstream.DiscardNew,
	}); !ok {
		return cfg, wordError("stream", s.Name, "discard", s.Discard, DiscardOld, DiscardNew)
	}
	if err := validName("stream", s.Name); err != nil {
		return cfg, err
	}
	if len(s.Subjects) == 0 {
		return cfg, fmt.Errorf("stream %q: %w: declare at least one subject", s.Name, ErrTopology)
	}
	return cfg, nil
}

// config is the consumer as the server is asked to make it.
func (c Consumer) config() (jetstream.ConsumerConfig, error) {
	cfg := jetstream.ConsumerConfig{
		Durable:       c.Durable,
		Description:   c.Description,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       c.AckWait,
		MaxDeliver:    -1,
		MaxAckPending: c.MaxAckPending,
		MemoryStorage: c.MemoryStorage,
	}
	if len(c.Subjects) == 1 {
		cfg.FilterSubject = c.Subjects[0]
	} else {
		cfg.FilterSubjects = c.Subjects
	}
	if cfg.AckWait <= 0 {
		cfg.AckWait = DefaultAckWait
	}
	if cfg.MaxAckPending == 0 {
		cfg.MaxAckPending = DefaultMaxAckPending
	}
	var ok bool
	if cfg.DeliverPolicy, ok = pick(c.DeliverPolicy, jetstream.DeliverAllPolicy, map[string]jetstream.DeliverPolicy{
		DeliverAll: jetstream.DeliverAllPolicy, DeliverNew: jetstream.DeliverNewPolicy,
		DeliverLast: jetstream.DeliverLastPolicy, DeliverLastPerSubject: jetstream.DeliverLastPerSubjectPolicy,
	}); !ok {
		return cfg, wordError("consumer", c.Durable, "deliver_policy", c.DeliverPolicy,
			DeliverAll, DeliverNew, DeliverLast, DeliverLastPerSubject)
	}
	if err := validName("stream", c.Stream); err != nil {
		return cfg, err
	}
	return cfg, validName("consumer", c.Durable)
}

// validName refuses what would split a subject: a durable named "a.b" asks for
// another API than the one meant.
func validName(resource, name string) error {
	if name == "" {
		return fmt.Errorf("%w: %s without a name", ErrTopology, resource)
	}
	if i := strings.IndexFunc(name, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`.*>/\`, r)
	}); i >= 0 {
		return fmt.Errorf("%w: %s name %q may not hold %q", ErrTopology, resource, name, name[i:i+1])
	}
	return nil
}

func pick[T any](word string, zero T, words map[string]T) (T, bool) {
	if word == "" {
		return zero, true
	}
	v, ok := words[word]
	return v, ok
}

func wordError(resource, name, field, word string, known ...string) error {
	return fmt.Errorf("%s %q: %w: %s is %q, but must be one of %s", resource, name, ErrTopology, field, word, strings.Join(known, ", "))
}

func unlimited(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

// compareStream looks only at what is declared.
func compareStream(s Stream, live jetstream.StreamConfig) (Change, error) {
	for _, want := range s.Subjects {
		if !slices.ContainsFunc(live.Subjects, func(have string) bool { return covers(have, want) }) {
			return Change{}, fmt.Errorf("stream %q: %w: it exists and does not store subject %q (it stores %s): "+
				"add the subject to it (nats stream edit %s --subjects …), or declare another stream",
				s.Name, ErrTopology, want, list(live.Subjects), s.Name)
		}
	}
	declared, err := s.config()
	if err != nil {
		return Change{}, err
	}
	d := differences{}
	d.add(s.Storage != "", "storage", lower(declared.Storage), lower(live.Storage))
	d.add(s.Retention != "", "retention", lower(declared.Retention), lower(live.Retention))
	d.add(s.Discard != "", "discard", discard(declared.Discard), discard(live.Discard))
	d.add(s.MaxAge != 0, "max_age", s.MaxAge.String(), live.MaxAge.String())
	d.add(s.MaxBytes != 0, "max_bytes", number(declared.MaxBytes), number(live.MaxBytes))
	d.add(s.MaxMsgs != 0, "max_msgs", number(declared.MaxMsgs), number(live.MaxMsgs))
	d.add(s.Replicas != 0, "replicas", number(int64(s.Replicas)), number(int64(live.Replicas)))
	d.add(s.Duplicates != 0, "duplicates", s.Duplicates.String(), live.Duplicates.String())
	d.add(s.AllowSchedules, "allow_schedules", "true", strconv.FormatBool(live.AllowMsgSchedules))
	d.add(s.AllowTTL, "allow_ttl", "true", strconv.FormatBool(live.AllowMsgTTL))
	d.add(s.AllowAtomic, "allow_atomic", "true", strconv.FormatBool(live.AllowAtomicPublish))
	return d.change("stream", s.Name), nil
}

// compareConsumer compares the filter always: a consumer declared for all of a
// stream that filters it leaves messages unprocessed.
func compareConsumer(c Consumer, live jetstream.ConsumerConfig) Change {
	d := differences{}
	d.add(true, "subjects", list(c.Subjects), list(filters(live)))
	d.add(c.AckWait != 0, "ack_wait", c.AckWait.String(), live.AckWait.String())
	d.add(c.MaxAckPending != 0, "max_ack_pending", number(int64(c.MaxAckPending)), number(int64(live.MaxAckPending)))
	d.add(c.DeliverPolicy != "", "deliver_policy", c.DeliverPolicy, live.DeliverPolicy.String())
	d.add(c.MemoryStorage, "memory_storage", "true", strconv.FormatBool(live.MemoryStorage))
	return d.change("consumer", c.Stream+"/"+c.Durable)
}

func filters(cfg jetstream.ConsumerConfig) []string {
	if cfg.FilterSubject != "" {
		return []string{cfg.FilterSubject}
	}
	return cfg.FilterSubjects
}

type differences []Difference

func (d *differences) add(declares bool, field, declared, live string) {
	if declares && declared != live {
		*d = append(*d, Difference{Field: field, Declared: declared, Live: live})
	}
}

func (d differences) change(resource, name string) Change {
	c := Change{Kind: Exists, Resource: resource, Name: name, Fields: d}
	if len(d) > 0 {
		c.Kind = Differs
	}
	return c
}

// list shows subjects in an order that does not depend on who wrote them.
func list(subjects []string) string {
	if len(subjects) == 0 {
		return "(all)"
	}
	sorted := slices.Clone(subjects)
	slices.Sort(sorted)
	return strings.Join(sorted, " ")
}

func lower(v fmt.Stringer) string { return strings.ToLower(v.String()) }

func discard(p jetstream.DiscardPolicy) string {
	return strings.TrimPrefix(lower(p), "discard")
}

func number(n int64) string {
	if n < 0 {
		return "unlimited"
	}
	return strconv.FormatInt(n, 10)
}

// covers reports whether every subject that want matches is matched by have.
func covers(have, want string) bool {
	for {
		h, haveRest, haveMore := strings.Cut(have, ".")
		w, wantRest, wantMore := strings.Cut(want, ".")
		switch {
		case h == ">":
			return true
		case w == ">":
			return false
		case h != "*" && h != w:
			return false
		case !haveMore && !wantMore:
			return true
		case haveMore != wantMore:
			return false
		}
		have, want = haveRest, wantRest
	}
}
