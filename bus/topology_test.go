package bus_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

func TestEnsureMakesWhatIsMissingAndChangesNothing(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	declared := bus.Topology{
		Streams:   []bus.Stream{{Name: "S", Subjects: []string{"s.>", "t"}, Description: "test"}},
		Consumers: []bus.Consumer{{Stream: "S", Durable: "d"}, {Stream: "S", Durable: "e", Subjects: []string{"s.a", "t"}}},
	}
	changes, err := b.Ensure(ctx, declared)
	require.NoError(t, err)
	require.Equal(t, []bus.Change{
		{Kind: bus.Created, Resource: "stream", Name: "S"},
		{Kind: bus.Created, Resource: "consumer", Name: "S/d"},
		{Kind: bus.Created, Resource: "consumer", Name: "S/e"},
	}, changes)
	require.Equal(t, `consumer "S/d" created`, changes[1].String())

	s, err := b.JetStream().Stream(ctx, "S")
	require.NoError(t, err)
	cfg := s.CachedInfo().Config
	require.Equal(t, bus.DefaultDuplicates, cfg.Duplicates)
	require.Equal(t, jetstream.FileStorage, cfg.Storage)
	require.Equal(t, 1, cfg.Replicas)
	c, err := s.Consumer(ctx, "d")
	require.NoError(t, err)
	ccfg := c.CachedInfo().Config
	require.Equal(t, jetstream.AckExplicitPolicy, ccfg.AckPolicy)
	require.Equal(t, -1, ccfg.MaxDeliver)
	require.Equal(t, bus.DefaultAckWait, ccfg.AckWait)
	require.Equal(t, bus.DefaultMaxAckPending, ccfg.MaxAckPending)

	changes, err = b.Ensure(ctx, declared)
	require.NoError(t, err)
	for _, c := range changes {
		require.Equal(t, bus.Exists, c.Kind)
		require.Empty(t, c.Fields)
	}
}

func TestEnsureReportsWhatDiffers(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	js := b.JetStream()
	live := jetstream.StreamConfig{
		Name: "S", Subjects: []string{"s.>", "more"}, Storage: jetstream.MemoryStorage, Retention: jetstream.InterestPolicy,
		MaxAge: time.Hour, MaxMsgs: 10, MaxBytes: 1000, Duplicates: time.Minute,
	}
	_, err := js.CreateStream(ctx, live)
	require.NoError(t, err)
	_, err = js.CreateConsumer(ctx, "S", jetstream.ConsumerConfig{
		Durable: "d", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute, MaxAckPending: 7, FilterSubject: "s.a",
		DeliverPolicy: jetstream.DeliverNewPolicy,
	})
	require.NoError(t, err)

	changes, err := b.Ensure(ctx, bus.Topology{
		Streams: []bus.Stream{{
			Name: "S", Subjects: []string{"s.x", "s.*.y"}, Storage: bus.StorageFile, Retention: bus.RetentionWorkQueue, Discard: bus.DiscardNew,
			MaxAge: 2 * time.Hour, MaxMsgs: 20, MaxBytes: 2000, Duplicates: 2 * time.Minute, Replicas: 3, AllowSchedules: true,
			AllowTTL: true, AllowAtomic: true,
		}},
		Consumers: []bus.Consumer{{
			Stream: "S", Durable: "d", AckWait: time.Second, MaxAckPending: 8, DeliverPolicy: bus.DeliverAll, MemoryStorage: true,
		}},
	})
	require.NoError(t, err)
	require.Len(t, changes, 2)
	require.Equal(t, bus.Differs, changes[0].Kind)
	require.Equal(t, []bus.Difference{
		{"storage", "file", "memory"}, {"retention", "workqueue", "interest"}, {"discard", "new", "old"},
		{"max_age", "2h0m0s", "1h0m0s"}, {"max_bytes", "2000", "1000"}, {"max_msgs", "20", "10"}, {"replicas", "3", "1"},
		{"duplicates", "2m0s", "1m0s"}, {"allow_schedules", "true", "false"}, {"allow_ttl", "true", "false"},
		{"allow_atomic", "true", "false"},
	}, changes[0].Fields)
	require.Equal(t, []bus.Difference{
		{"subjects", "(all)", "s.a"}, {"ack_wait", "1s", "1m0s"}, {"max_ack_pending", "8", "7"},
		{"deliver_policy", "all", "new"}, {"memory_storage", "true", "false"},
	}, changes[1].Fields)
	require.Len(t, changes[1].Warnings, 1)
	require.Contains(t, changes[1].Warnings[0], "max_msgs 10, max_bytes 1000, max_age 1h0m0s")
	require.Contains(t, changes[1].String(), "ack_wait is 1m0s, declared 1s")

	s, err := js.Stream(ctx, "S")
	require.NoError(t, err)
	require.Equal(t, live.MaxAge, s.CachedInfo().Config.MaxAge, "nothing was changed")
	// What isn't declared isn't compared.
	change, err := b.EnsureStream(ctx, bus.Stream{Name: "S", Subjects: []string{"s.x"}})
	require.NoError(t, err)
	require.Equal(t, bus.Exists, change.Kind)
}

func TestEnsureInfo(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	fillNumbered(t, b, 5)
	_, err := puller(t, b, bus.PullConfig{}).Fetch(ctx, 1, nil)
	require.NoError(t, err)
	info, change, err := b.EnsureConsumer(ctx, bus.Consumer{Stream: "S", Durable: "d"})
	require.NoError(t, err)
	require.Equal(t, bus.Exists, change.Kind)
	require.Equal(t, bus.DefaultAckWait, info.AckWait)
	require.EqualValues(t, 4, info.Pending)
	require.Equal(t, 1, info.AckPending)
	require.False(t, info.Created.IsZero())
	_, err = b.ConsumerInfo(ctx, "S", "none")
	require.ErrorIs(t, err, bus.ErrConsumerGone)
	_, err = b.ConsumerInfo(ctx, "NONE", "d")
	require.ErrorIs(t, err, bus.ErrStreamGone)
}

func TestEnsureRefuses(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	js := b.JetStream()
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}})
	require.NoError(t, err)
	for _, cfg := range []jetstream.ConsumerConfig{
		{Durable: "finite", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 5},
		{Durable: "backoff", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 5, BackOff: []time.Duration{time.Second}},
		{Durable: "acknone", AckPolicy: jetstream.AckNonePolicy},
		{Durable: "ackall", AckPolicy: jetstream.AckAllPolicy},
	} {
		_, err := js.CreateConsumer(ctx, "S", cfg)
		require.NoError(t, err)
	}
	_, err = js.CreatePushConsumer(ctx, "S", jetstream.ConsumerConfig{Durable: "push", DeliverSubject: "x", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)

	stream := func(s bus.Stream) bus.Topology { return bus.Topology{Streams: []bus.Stream{s}} }
	consumer := func(c bus.Consumer) bus.Topology { return bus.Topology{Consumers: []bus.Consumer{c}} }
	for name, c := range map[string]struct {
		declared bus.Topology
		is       error
		text     []string
	}{
		"subject not in stream": {stream(bus.Stream{Name: "S", Subjects: []string{"s.a", "t.a"}}), bus.ErrTopology, []string{`"S"`, `"t.a"`, "s.*", "add the subject"}},
		"wider subject":         {stream(bus.Stream{Name: "S", Subjects: []string{"s.>"}}), bus.ErrTopology, []string{`"s.>"`}},
		"longer subject":        {stream(bus.Stream{Name: "S", Subjects: []string{"s.a.b"}}), bus.ErrTopology, []string{`"s.a.b"`}},
		"shorter subject":       {stream(bus.Stream{Name: "S", Subjects: []string{"s"}}), bus.ErrTopology, []string{`"s"`}},
		"foreign subject":       {stream(bus.Stream{Name: "T", Subjects: []string{"t", "s.a"}}), bus.ErrTopology, []string{`"s.a"`, `"S"`}},
		"no subject":            {stream(bus.Stream{Name: "T"}), bus.ErrTopology, []string{"at least one subject"}},
		"no name":               {stream(bus.Stream{Subjects: []string{"t"}}), bus.ErrTopology, []string{"without a name"}},
		"bad name":              {stream(bus.Stream{Name: "a.b", Subjects: []string{"t"}}), bus.ErrTopology, []string{`"."`}},
		"bad storage":           {stream(bus.Stream{Name: "T", Subjects: []string{"t"}, Storage: "tape"}), bus.ErrTopology, []string{`"tape"`, "file, memory"}},
		"bad retention":         {stream(bus.Stream{Name: "T", Subjects: []string{"t"}, Retention: "x"}), bus.ErrTopology, []string{"limits, interest, workqueue"}},
		"bad discard":           {stream(bus.Stream{Name: "T", Subjects: []string{"t"}, Discard: "x"}), bus.ErrTopology, []string{"old, new"}},
		"no stream":             {consumer(bus.Consumer{Stream: "NONE", Durable: "d"}), bus.ErrStreamGone, []string{`"NONE"`}},
		"bad durable":           {consumer(bus.Consumer{Stream: "S", Durable: "a b"}), bus.ErrTopology, []string{`"a b"`}},
		"bad policy":            {consumer(bus.Consumer{Stream: "S", Durable: "d", DeliverPolicy: "x"}), bus.ErrTopology, []string{"all, new"}},
		"finite deliveries":     {consumer(bus.Consumer{Stream: "S", Durable: "finite"}), bus.ErrTopology, []string{"max_deliver 5"}},
		"backoff":               {consumer(bus.Consumer{Stream: "S", Durable: "backoff"}), bus.ErrTopology, []string{"backoff"}},
		"no acks":               {consumer(bus.Consumer{Stream: "S", Durable: "acknone"}), bus.ErrTopology, []string{"AckNone"}},
		"ack all":               {consumer(bus.Consumer{Stream: "S", Durable: "ackall"}), bus.ErrTopology, []string{"AckAll", "remove it"}},
		"push":                  {consumer(bus.Consumer{Stream: "S", Durable: "push"}), bus.ErrTopology, []string{"pushes to x"}},
	} {
		t.Run(name, func(t *testing.T) {
			changes, err := b.Ensure(ctx, c.declared)
			require.ErrorIs(t, err, c.is)
			require.Empty(t, changes)
			for _, text := range c.text {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

func TestEnsureNamesEveryFault(t *testing.T) {
	b := newBus(t)
	changes, err := b.Ensure(testContext(t), bus.Topology{
		Streams:   []bus.Stream{{Name: "a.b"}, {Name: "S", Subjects: []string{"s"}}, {Name: "T", Subjects: []string{"s"}}},
		Consumers: []bus.Consumer{{Stream: "NONE", Durable: "d"}, {Stream: "S", Durable: "d"}},
	})
	require.Len(t, changes, 2)
	require.Len(t, strings.Split(err.Error(), "\n"), 3)
	require.ErrorIs(t, err, bus.ErrStreamGone)
}

// Instances that start together all find what they need.
func TestEnsureConcurrently(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	for round := range 10 {
		name := string(rune('A' + round))
		var wg sync.WaitGroup
		for instance := range 6 {
			wg.Go(func() {
				s := bus.Stream{Name: name, Subjects: []string{name + ".>"}}
				c := bus.Consumer{Stream: name, Durable: "d"}
				if instance%2 == 1 { // of another version
					s.Description, s.Duplicates = "newer", time.Minute
					c.MaxAckPending, c.AckWait = 99, time.Minute
				}
				_, err := b.Ensure(ctx, bus.Topology{Streams: []bus.Stream{s}, Consumers: []bus.Consumer{c}})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}
