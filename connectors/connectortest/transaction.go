package connectortest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/ergon-framework/ergon"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// numbered are n transactions with the IDs <name>-00000 and so on.
func numbered(name string, n int) []ergon.Raw {
	txs := make([]ergon.Raw, n)
	for i := range txs {
		txs[i] = one(fmt.Sprintf("%s-%05d", name, i))
	}
	return txs
}

func one(id string, opts ...ergon.Option) ergon.Raw {
	payload := fmt.Appendf(nil, `{"id":%q}`, id)
	return ergon.New(payload, append([]ergon.Option{ergon.WithID(id), ergon.WithSource("/connectortest")}, opts...)...)
}

// difference says in what two transactions differ, "" for in nothing.
func difference(want, got ergon.Raw) string {
	for _, f := range []struct {
		name      string
		want, got any
	}{
		{"ID", want.ID(), got.ID()},
		{"source", want.Source(), got.Source()},
		{"type", want.Type(), got.Type()},
		{"causation ID", want.CausationID(), got.CausationID()},
		{"correlation ID", want.CorrelationID(), got.CorrelationID()},
		{"content type", want.ContentType(), got.ContentType()},
		{"key", want.Key(), got.Key()},
		{"trace", want.Trace(), got.Trace()},
	} {
		if f.want != f.got {
			return fmt.Sprintf("%s: %+q became %+q", f.name, f.want, f.got)
		}
	}
	if !want.CreatedAt().Equal(got.CreatedAt()) {
		return fmt.Sprintf("created at: %v became %v", want.CreatedAt(), got.CreatedAt())
	}
	if w, g := entries(want.Metadata()), entries(got.Metadata()); !slices.Equal(w, g) {
		return fmt.Sprintf("metadata: %q became %q", w, g)
	}
	return payloadDifference(want.Payload(), got.Payload())
}

func payloadDifference(want, got []byte) string {
	if bytes.Equal(want, got) { // nil and empty are the same payload
		return ""
	}
	return fmt.Sprintf("payload: %d bytes %.40q became %d bytes %.40q", len(want), want, len(got), got)
}

func entries(m ergon.Metadata) [][2]string {
	var all [][2]string
	for name, value := range m.All() {
		all = append(all, [2]string{name, value})
	}
	return all
}

// failure is why a transaction fails, as an engine says it.
func failure(tx ergon.Raw, reason string) *ergon.Error {
	return &ergon.Error{
		Category: ergon.CategoryBusiness, TransactionID: tx.ID(), Task: "task", Phase: ergon.PhaseProcess, Attempt: 1,
		Err: fmt.Errorf("%s", reason),
	}
}

// dead is a settlement as an engine makes it.
func dead(tx ergon.Raw, reason string) ergon.Settlement {
	return ergon.Settlement{
		Kind: ergon.Dead, Err: failure(tx, reason), Dead: ergon.DeadFacts{FailedAt: time.Now().UTC()},
	}
}
