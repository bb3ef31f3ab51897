package peers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
)

// The second hop takes what the retail example has scored.
const booksConfig = `
app: books
tasks:
  book:
    source: { jetstream: { stream: RETAIL_OUT, subjects: [retail.scored] } }
    routes: { booked: { jetstream: { stream: BOOKED, subject: books.booked } } }
    consumer: { process: { retry: { max_attempts: 5, backoff: 10ms } } }
`

// world is a server that outlives what runs on it.
type world struct {
	*bus.Bus
	dir, url string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	server, err := embedded.Start(t.Context(), embedded.Options{StoreDir: filepath.Join(dir, "store"), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(server.Shutdown)
	b, err := bus.Connect(t.Context(), bus.Config{}, bus.WithInProcess(server.InProcess()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close(context.WithoutCancel(t.Context()))) })
	for _, s := range []bus.Stream{
		{Name: "RETAIL", Subjects: []string{"retail.lines"}},
		{Name: "RETAIL_OUT", Subjects: []string{"retail.scored", "retail.cancelled"}},
		{Name: "BOOKED", Subjects: []string{"books.booked"}},
	} {
		_, err := b.EnsureStream(t.Context(), s)
		require.NoError(t, err)
	}
	retail, err := os.ReadFile("../../examples/02-retail/ergon.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "retail.yaml"), retail, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "books.yaml"), []byte(booksConfig), 0o600))
	return &world{Bus: b, dir: dir, url: server.URL()}
}

// retail runs the example's task in the stock binary, and books the second hop.
func (w *world) retail(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return start(t, w.dir, w.env(env), program(t, "ergon"), append([]string{"run", "-f", "retail.yaml"}, args...)...)
}

func (w *world) books(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return start(t, w.dir, w.env(env), program(t, "books"), append([]string{"run", "-f", "books.yaml"}, args...)...)
}

// env points a process at the server. It has no admin server unless a flag says so, for
// the default address may be somebody else's.
func (w *world) env(more []string) []string {
	return append([]string{"ERGON_BUS_URL=" + w.url, "ERGON_ADMIN_LISTEN=off"}, more...) // the last one counts
}

// sent is one invoice line as any producer would publish it: JSON, an ID and perhaps
// the trace that it belongs to.
type sent struct {
	id, invoice, stock string
	quantity           int
	trace              string // a traceparent
}

func (w *world) publish(t *testing.T, lines ...sent) {
	t.Helper()
	for _, l := range lines {
		if l.quantity == 0 {
			l.quantity = 1
		}
		m := nats.NewMsg("retail.lines")
		m.Data = fmt.Appendf(nil, `{"InvoiceNo":%q,"StockCode":%q,"Quantity":"%d","UnitPrice":"3.25","Country":"France"}`, l.invoice, l.stock, l.quantity)
		m.Header.Set("Nats-Msg-Id", l.id)
		if l.trace != "" {
			m.Header.Set("traceparent", l.trace)
		}
		_, err := w.JetStream().PublishMsg(t.Context(), m)
		require.NoError(t, err)
	}
}

// mixed are a hundred lines, and how many of them end how: what is good is booked,
// unless the second hop refuses it.
func mixed() (lines []sent) {
	for i := range 100 {
		l := sent{id: fmt.Sprintf("line-%d", i), invoice: fmt.Sprintf("7%05d", i), stock: "22041"}
		switch i % 10 {
		case 3: // cancelled: not booked
			l.invoice, l.quantity = "C"+l.invoice, -2
		case 5: // fails for good at the first hop
			l.quantity = -1
		case 7: // succeeds at its third attempt, at the second hop
			l.stock = "FLAKY"
		case 9: // fails for good at the second hop
			l.stock = "REFUSED"
		}
		lines = append(lines, l)
	}
	return lines
}

const (
	mixedScored, mixedCancelled, mixedBad   = 80, 10, 10
	mixedBooked, mixedFlaky, mixedNotBooked = 70, 10, 10
)

// count is how many messages a stream holds of a subject.
func (w *world) count(t *testing.T, stream, subject string) (n int) {
	t.Helper()
	require.NoError(t, w.Scan(t.Context(), stream, []string{subject}, true, func(*nats.Msg, bus.Meta) error {
		n++
		return nil
	}))
	return n
}

// await polls until a stream holds so many messages of a subject.
func (w *world) await(t *testing.T, want int, stream, subject string, running ...*process) {
	t.Helper()
	eventually(t, func() error {
		for _, p := range running {
			require.False(t, p.ended(), "it has ended:\n%s", p.out.String())
		}
		if _, err := w.JetStream().Stream(t.Context(), stream); err != nil {
			return err // the first dead letter makes its stream
		}
		if n := w.count(t, stream, subject); n != want {
			return fmt.Errorf("%s holds %d of %s, not %d", stream, n, subject, want)
		}
		return nil
	})
}

// dead are the headers of a task's dead letters, by the IDs of their transactions.
func (w *world) dead(t *testing.T, task string) map[string]http.Header {
	t.Helper()
	letters := map[string]http.Header{}
	require.NoError(t, w.Scan(t.Context(), bus.DefaultDeadStream, []string{"ergon.dlq." + task}, true, func(m *nats.Msg, _ bus.Meta) error {
		letters[m.Header.Get("Ergon-Orig-Nats-Msg-Id")] = http.Header(m.Header)
		return nil
	}))
	return letters
}

// both runs the two hops until the given lines, which are mixed(), have ended, and
// ends them, so that all that they had to tell is told.
func (w *world) both(t *testing.T, env []string) {
	t.Helper()
	w.publish(t, mixed()...)
	retail, books := w.retail(t, env), w.books(t, env)
	w.await(t, mixedBooked, "BOOKED", "books.booked", retail, books)
	w.await(t, mixedCancelled, "RETAIL_OUT", "retail.cancelled", retail, books)
	w.await(t, mixedBad, bus.DefaultDeadStream, "ergon.dlq.score", retail, books)
	w.await(t, mixedNotBooked, bus.DefaultDeadStream, "ergon.dlq.book", retail, books)
	retail.stop(t)
	books.stop(t)
}
