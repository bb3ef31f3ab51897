package app_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

// ordered fails each third transaction's first attempt.
type ordered struct {
	mu   *sync.Mutex
	seen *[]string
}

func (o ordered) Process(ctx context.Context, tx ergon.Transaction[int]) (string, error) {
	attempt := ergon.ExecutionOf(ctx).Attempt
	o.mu.Lock()
	*o.seen = append(*o.seen, fmt.Sprintf("%d/%d", tx.Payload(), attempt))
	o.mu.Unlock()
	if tx.Payload()%3 == 0 && attempt == 1 {
		return "", errors.New("not yet")
	}
	return "", nil
}

// The recipe for strict order in docs/how-to/tune-policies.md keeps it, with retries.
func TestStrictOrderRecipe(t *testing.T) {
	text, err := os.ReadFile("../docs/how-to/tune-policies.md")
	require.NoError(t, err)
	m := regexp.MustCompile(`(?s)\*\*Strict order\.\*\*.*?` + "```yaml\n(.*?)```").FindStringSubmatch(string(text))
	require.NotNil(t, m)
	store := filepath.Join(t.TempDir(), "store")
	r, err := config.Resolve("recipe", []byte("bus: { listen: off, store: '"+store+"' }\nadmin: { listen: off }\n"+m[1]), config.Inputs{})
	require.NoError(t, err)
	cfg := r.Config
	var want []string
	withBus(t, cfg, func(b *bus.Bus) {
		_, err := b.Ensure(t.Context(), bus.Topology{Streams: cfg.Topology()})
		require.NoError(t, err)
		for i := range 10 {
			_, err := b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "retail.lines", Data: fmt.Append(nil, i)})
			require.NoError(t, err)
			want = append(want, fmt.Sprintf("%d/1", i))
			if i%3 == 0 {
				want = append(want, fmt.Sprintf("%d/2", i))
			}
		}
	})
	var seen []string
	o := ordered{&sync.Mutex{}, &seen}
	run := newRunner(t, app.Options{Config: cfg, UntilEmpty: true}, app.Tasks(func() app.Task { return app.Consume("score", o) }))
	require.NoError(t, run.Start(t.Context()))
	<-run.Done()
	require.NoError(t, run.Stop(context.WithoutCancel(t.Context())))
	require.Equal(t, strings.Join(want, " "), strings.Join(seen, " "))
}
