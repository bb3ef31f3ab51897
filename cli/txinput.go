package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// txOwn makes a transaction of the flags.
func (c *command) txOwn(t *txRun, cfg *config.Config) (jetstream.Found, error) {
	data, err := c.txPayload(t.payload)
	if err != nil {
		return jetstream.Found{}, err
	}
	opts := []ergon.Option{
		ergon.WithID(t.txID), ergon.WithSource("/ergon/tx"), ergon.WithContentType(t.contentType), ergon.WithKey(t.key),
	}
	if js := cfg.Tasks[t.task].Source.JetStream; js != nil && len(js.Subjects) == 1 && bus.CheckSubject(js.Subjects[0]) == nil {
		opts = append(opts, ergon.WithType(js.Subjects[0])) // as if it had been published there
	}
	for _, m := range t.metadata {
		name, value, ok := strings.Cut(m, "=")
		if !ok || name == "" {
			return jetstream.Found{}, usage("--metadata %q: it is NAME=VALUE", m)
		}
		opts = append(opts, ergon.WithMetadata(name, value))
	}
	return jetstream.Unstored(ergon.New(data, opts...)), nil
}

// txPayload reads at most what any server takes.
func (c *command) txPayload(name string) ([]byte, error) {
	in := c.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usage("--payload: %w", err)
		}
		defer f.Close() //nolint:errcheck // it was only read
		if info, err := f.Stat(); err == nil && info.Size() > bus.MaxDeadPayload {
			return nil, tooLong(name)
		}
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, bus.MaxDeadPayload+1))
	if err != nil {
		return nil, usage("--payload: %w", err)
	}
	if len(data) > bus.MaxDeadPayload {
		return nil, tooLong(name)
	}
	return data, nil
}

func tooLong(name string) error {
	return usage("--payload %s: it has more than %s bytes, which no server takes", name, thousands(bus.MaxDeadPayload))
}

func (c *command) txFind(t *txRun, conn *app.Conn, cfg *config.Config) (app.FoundTransaction, error) {
	f, err := conn.Find(c.stop.ctx, cfg, t.task, t.id, app.Place(t.from))
	if err != nil {
		return f, err
	}
	if t.deadLetter && f.Where == app.InDeadLetters {
		return f, usage("--dead-letter: transaction %q was taken from the dead letters, where it stands already", f.ID())
	}
	if n := len(f.Others); n > 0 {
		var numbers []string
		for _, seq := range f.Others[max(0, n-10):] {
			numbers = append(numbers, strconv.FormatUint(seq, 10))
		}
		fmt.Fprintf(c.Stderr, "%d in %s have the ID %s; this is the newest. Before it: %s\n", n+1, f.Stream, visible(f.ID()), strings.Join(numbers, ", "))
	}
	return f, nil
}
