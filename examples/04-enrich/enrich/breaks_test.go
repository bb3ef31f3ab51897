package enrich_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/examples/04-enrich/enrich"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/kv"
	"github.com/ergon-framework/ergon/services/llm/llmtest"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql"
)

// order is so many lines of customers that there are, whose invoices have a name in common.
func order(name string, n int) (all []enrich.Line) {
	for i := range n {
		all = append(all, enrich.Line{
			InvoiceNo: fmt.Sprintf("%s-%d", name, i), Description: "ENAMEL MUG", CustomerID: strconv.Itoa(20001 + i), Country: "United Kingdom",
		})
	}
	return all
}

// finished waits until so many transactions are enriched lines, and so many dead letters.
func (w *world) finished(enriched, dead int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d lines and %d dead letters", enriched, dead), func() bool {
		return w.count("ENRICHED") >= enriched && w.count("ERGON_DLQ") >= dead
	})
	w.eventually("nothing waits", func() bool { return w.count("ERGON_PARKED") == 0 })
}

// failures is how many calls of an operation ended with a category.
func (w *world) failures(operation, category string) (n float64) {
	w.t.Helper()
	service, _, _ := strings.Cut(operation, ".")
	series := fmt.Sprintf(`ergon_service_call_duration_seconds_count{ergon_service=%q,ergon_service_operation=%q,error_type=%q} `, service, operation, category)
	_, body := w.ask("/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, series); ok {
			_, err := fmt.Sscan(value, &n)
			require.NoError(w.t, err)
		}
	}
	return n
}

// unready waits until the process is not ready, and says why.
func (w *world) unready(why string) {
	w.t.Helper()
	w.eventually("not ready: "+why, func() bool {
		code, body := w.ask("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, why)
	})
}

func (w *world) ready() {
	w.t.Helper()
	w.eventually("ready", func() bool {
		code, _ := w.ask("/readyz")
		return code == http.StatusOK
	})
}

// Each service fails in turn while lines come in, and is put right again. No line is lost,
// none has two outcomes, and only what is wrong with a line itself becomes a dead letter.
func TestServicesBreak(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.ready()

	// A model that is dead: every connection breaks. The breaker opens, readiness says so, and
	// all lines wait, parked.
	w.answer(func(llmtest.Request) llmtest.Answer { return llmtest.Answer{Break: -1} })
	w.publish(order("dead", 20)...)
	w.unready("service categories: the circuit breaker is open")
	w.eventually("all are parked", func() bool { return w.count("ERGON_PARKED") > 0 && w.failures("categories.ask", "SYSTEM") > 40 })
	require.Zero(t, w.count("ENRICHED"))
	require.Zero(t, w.count("ERGON_DLQ"))
	w.answer(classify)
	w.finished(20, 0)
	w.ready()

	// A model that has too much to do, and says when to come back.
	var busy atomic.Int64
	w.answer(func(r llmtest.Request) llmtest.Answer {
		if busy.Add(1) > 3 {
			return classify(r)
		}
		a := llmtest.Fail(http.StatusTooManyRequests, "slow down")
		a.RetryAfter = time.Second
		return a
	})
	w.publish(order("busy", 10)...)
	w.finished(30, 0)
	require.GreaterOrEqual(t, busy.Load(), int64(10+3))

	// A model that answers something else at first, and one that does not want to.
	var asked sync.Map
	w.answer(func(r llmtest.Request) llmtest.Answer {
		if strings.HasPrefix(r.User, "GUN") {
			return llmtest.Refuse("I can't talk of that.")
		}
		if _, again := asked.LoadOrStore(r.User, true); !again {
			return llmtest.Text(`{"category":"cars"}`)
		}
		return classify(r)
	})
	malformed := order("malformed", 4)
	for i := range malformed {
		malformed[i].Description += " " + strconv.Itoa(i)
	}
	malformed[3].Description = "GUN"
	w.publish(malformed...)
	w.finished(33, 1)
	w.answer(classify)

	// Customers whom the database does not know, and one whom nobody asks for.
	strangers := order("stranger", 3)
	strangers[0].CustomerID, strangers[1].CustomerID, strangers[2].CustomerID = "1", "'; drop table customers; --", ""
	w.publish(strangers...)
	w.finished(34, 3)

	// A database whose table is away, as in the midst of a migration.
	alter := w.alter()
	alter(`alter table customers rename to gone`)
	before := w.failures("customers.exists", "SYSTEM")
	w.publish(order("migrated", 10)...)
	w.eventually("each was tried, and is parked", func() bool { return w.failures("customers.exists", "SYSTEM") >= before+10 })
	require.Equal(t, 34, w.count("ENRICHED"))
	require.Equal(t, 3, w.count("ERGON_DLQ"))
	alter(`alter table gone rename to customers`)
	w.finished(44, 3)

	// A bucket that somebody deletes, and makes anew with what belongs in it. The cache is not
	// believed meanwhile.
	require.NoError(t, w.js().DeleteKeyValue(t.Context(), "REGIONS"))
	w.unready("service regions: ")
	w.publish(order("bucket", 10)...)
	w.eventually("each was tried, and is parked", func() bool { return w.failures("regions.get", "SYSTEM") >= 10 })
	require.Equal(t, 44, w.count("ENRICHED"))
	bucket, err := w.js().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "REGIONS"})
	require.NoError(t, err)
	value, err := json.Marshal(enrich.Region{Name: "Great Britain"})
	require.NoError(t, err)
	_, err = bucket.Put(t.Context(), kv.Key("United Kingdom"), value)
	require.NoError(t, err)
	w.finished(54, 3)
	w.ready()

	enriched, dead := outcomes(t, w.runner.Conn().Bus)
	require.Equal(t, map[string]string{
		"malformed-3": "BUSINESS categories.ask: the model refuses to answer",
		"stranger-0":  `BUSINESS customer "1" is not known`,
		"stranger-1":  `BUSINESS customer "'; drop table customers; --" is not known`,
	}, dead)
	require.Len(t, enriched, 54)
	for invoice, e := range enriched {
		want := enrich.Enriched{Invoice: invoice, Customer: e.Customer, Region: "UK and Ireland", Category: enrich.Kitchen}
		if strings.HasPrefix(invoice, "bucket") {
			want.Region = "Great Britain"
		}
		require.Equal(t, want, e)
	}
	require.Equal(t, 54+3, w.count("ENRICH"), "as many as were published")
}

// alter changes the database as somebody else does.
func (w *world) alter() func(statement string) {
	t := w.t
	db, err := sql.New(services.Setup[spec.SQL]{Name: "other", Config: spec.SQL{URL: "sqlite:" + w.database()}})
	require.NoError(t, err)
	require.NoError(t, db.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, db.Stop(context.WithoutCancel(t.Context()))) })
	op := db.Operation("alter", services.Once)
	return func(statement string) {
		_, err := sql.Exec(t.Context(), op, statement)
		require.NoError(t, err)
	}
}
