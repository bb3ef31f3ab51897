package cli_test

import (
	"bytes"
	"context"
	"os"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

// book is a service that lives in the bus.
type book struct {
	bus  *app.Bus
	name string
	kv   jetstream.KeyValue
}

func newBook(s services.Setup[spec.KV], bus *app.Bus) *book {
	return &book{bus: bus, name: s.Config.Bucket}
}

func (b *book) Start(ctx context.Context) error {
	js, err := b.bus.JetStream(ctx)
	if err != nil {
		return err
	}
	b.kv, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: b.name})
	return err
}

type booked struct{ in *book }

func (b booked) Process(ctx context.Context, tx ergon.Transaction[[]byte]) (ergon.None, error) {
	_, err := b.in.kv.Put(ctx, "seen", tx.Payload())
	return ergon.None{}, err
}

var booking = fx.Options(app.Configured("book", newBook), app.Tasks(func(b *book) app.Task { return app.Consume("moody", booked{b}) }))

const bookConfig = `
services: { book: { kv: { bucket: BOOK } } }
tasks: { moody: { source: { jetstream: { stream: MOODY, subjects: [moody.in] } } } }
`

// One transaction is run with the services of the file, over one bus: a store can't be
// opened twice. What only looks opens none.
func TestCommandsMakeServices(t *testing.T) {
	w := newWorld(t)
	w.env["ERGON_BUS_LISTEN"] = "off"
	run := func(stdin string, args ...string) (code int, out, stderr string) {
		p := w.process(stdin, args...)
		code = p.Run(context.WithoutCancel(t.Context()), booking)
		return code, p.Stdout.(*bytes.Buffer).String(), p.Stderr.(*bytes.Buffer).String()
	}
	write := func(text string) { require.NoError(t, os.WriteFile(w.dir+"/moody.yaml", []byte(text), 0o600)) }
	write(bookConfig)
	code, out, stderr := run("", "tasks")
	require.Zero(t, code, stderr)
	require.Contains(t, out, "moody")
	require.NoDirExists(t, w.env["ERGON_BUS_STORE"])
	for range 2 {
		code, out, stderr = run("x", "tx", "run", "moody", "--payload", "-")
		require.Zero(t, code, stderr)
		require.Contains(t, out, "succeeded")
	}

	write(bookConfig[len("\nservices: { book: { kv: { bucket: BOOK } } }"):])
	const missing = "ergon: service \"book\": a module needs it, and it has no configuration: add services.book.kv to the configuration\n"
	for _, args := range [][]string{{"tasks"}, {"run", "--until-empty"}, {"tx", "run", "moody", "--payload", "-"}} {
		code, out, stderr = run("x", args...)
		require.Equal(t, 2, code, out)
		require.Equal(t, missing, stderr)
	}
	code, _, stderr = run("", "config", "check")
	require.Equal(t, 2, code)
	require.Equal(t, missing, stderr)
	write("services: { book: { kv: { buckt: BOOK } } }\n")
	code, _, stderr = run("", "config", "check")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, `services.book.kv.buckt: unknown key "buckt", did you mean "bucket"?`)
}

// What could not be made is said of the function that a person wrote.
func TestConstructorFailsReadably(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, os.WriteFile(w.dir+"/moody.yaml", []byte(bookConfig[len("\nservices: { book: { kv: { bucket: BOOK } } }"):]), 0o600))
	for _, args := range [][]string{{"tasks"}, {"run", "--until-empty"}, {"tx", "run", "moody", "--payload", "-"}} {
		p := w.process("x", args...)
		code := p.Run(context.WithoutCancel(t.Context()), fx.Options(app.Service(newShelf), app.Tasks(func(*shelf) app.Task { return app.Consume("moody", booked{}) })))
		require.Equal(t, 1, code)
		require.Regexp(t, `^ergon: service cli_test\.shelf: its constructor cli_test\.newShelf \(services_test\.go:\d+\) panicked: no wall\n$`, p.Stderr.(*bytes.Buffer).String())
	}
}

type shelf struct{}

func (*shelf) Start(context.Context) error { return nil }

func newShelf() *shelf { panic("no wall") }

// stuck is a service whose start takes until its context ends, or does not even then.
type stuck struct{ deaf chan struct{} } // nil: it is not

func (s *stuck) Start(ctx context.Context) error {
	if s.deaf != nil {
		<-s.deaf
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// A signal ends the wait for a service that does not start: nothing has run, so nothing is
// wrong. What is waited for stands in the log before.
func TestSignalWhileAServiceStarts(t *testing.T) {
	deafness := make(chan struct{})
	defer close(deafness)
	for deaf, want := range map[chan struct{}]string{
		nil:      `(?s)service=cli_test\.stuck.*\nergon: stopped before it had started\n$`,
		deafness: `(?s)service=cli_test\.stuck.*\nergon: stopped before it had started: service cli_test\.stuck: start: it has not returned after .*, and was left behind`,
	} {
		s := newShell(t)
		s.modules = app.Service(func() *stuck { return &stuck{deaf} })
		signals, waits, code, _ := s.start("", "waiting for a service to start", "run")
		<-waits
		signals <- syscall.SIGTERM
		require.Zero(t, <-code)
		require.Regexp(t, want, s.stderr.String())
	}
}
