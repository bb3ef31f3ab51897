package enrich_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/ergontest"
	"github.com/ergon-framework/ergon/examples/04-enrich/enrich"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/kv"
	"github.com/ergon-framework/ergon/services/kv/kvtest"
	"github.com/ergon-framework/ergon/services/llm/llmtest"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql"
)

var errDown = errors.New("down")

// known are the customers that there are.
type known []string

func (k known) Exists(_ context.Context, id string) (bool, error) {
	if id == "down" {
		return false, errDown
	}
	for _, is := range k {
		if is == id {
			return true, nil
		}
	}
	return false, nil
}

// categories are by description.
type categories map[string]enrich.Category

func (c categories) Of(_ context.Context, description string) (enrich.Category, error) {
	if category, ok := c[description]; ok {
		return category, nil
	}
	return "", errDown
}

// The task is tested with fakes of what it asks for; a test needs no file, no bus and no
// model.
func TestEnricher(t *testing.T) {
	regions := kvtest.New[enrich.Region](t, services.Setup[spec.KV]{})
	regions.Set(kv.Key("United Kingdom"), enrich.Region{Name: "UK and Ireland"})
	task := engine.Consume("enrich", &enrich.Enricher{Regions: regions, Customers: known{"20001"}, Categories: categories{"MUG": enrich.Kitchen}})
	line := enrich.Line{InvoiceNo: "700001", StockCode: "10115A", Description: "MUG", CustomerID: "20001", Country: "United Kingdom"}
	with := func(change func(*enrich.Line)) ergon.Transaction[enrich.Line] {
		l := line
		change(&l)
		return ergon.New(l)
	}
	got := ergontest.Run(t, task,
		ergon.New(line),
		with(func(l *enrich.Line) { l.CustomerID = "" }), // a guest
		with(func(l *enrich.Line) { l.CustomerID = "1" }),
		with(func(l *enrich.Line) { l.Country = "Atlantis" }),
		with(func(l *enrich.Line) { l.Description = "" }),
		with(func(l *enrich.Line) { l.CustomerID = "down" }),
		with(func(l *enrich.Line) { l.Description = "LAMP" }),
	)
	want := enrich.Enriched{Invoice: "700001", StockCode: "10115A", Customer: "20001", Region: "UK and Ireland", Category: enrich.Kitchen}
	require.Equal(t, []enrich.Enriched{want}, ergontest.Sent[enrich.Enriched](t, got[0]))
	want.Customer = ""
	require.Equal(t, []enrich.Enriched{want}, ergontest.Sent[enrich.Enriched](t, got[1]))
	for i, reason := range []string{`customer "1" is not known`, `country "Atlantis" has no region`, "the line has no description"} {
		got[2+i].Expect(t, ergon.CategoryBusiness)
		require.Equal(t, reason, got[2+i].Err.Reason())
		require.Len(t, got[2+i].Attempts, 1)
	}
	for _, r := range got[5:] {
		r.Expect(t, errDown)
		require.Len(t, r.Attempts, 8)
	}

	regions.Fail(-1, errDown, "get")
	got = ergontest.Run(t, task, ergon.New(line))
	got[0].Expect(t, errDown)
}

// The table is what Exists asks.
func TestCustomerTable(t *testing.T) {
	table, err := enrich.NewCustomerTable(services.Setup[spec.SQL]{Name: "customers", Config: spec.SQL{URL: "sqlite::memory:"}})
	require.NoError(t, err)
	require.NoError(t, table.Start(t.Context()))
	defer func() { require.NoError(t, table.Stop(context.Background())) }()
	_, err = table.Exists(t.Context(), "20001")
	require.ErrorIs(t, err, ergon.CategorySystem, "a table that is missing is no answer")
	require.NoError(t, table.Fill(t.Context()))
	for id, want := range map[string]bool{"20001": true, "24000": true, "21170": false, "24001": false, "": false} {
		is, err := table.Exists(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, is, id)
	}
	empty := table.Operation("empty", services.Once)
	_, err = sql.Exec(t.Context(), empty, `delete from customers where id <> '20002'`)
	require.NoError(t, err)
	require.NoError(t, table.Fill(t.Context()))
	is, err := table.Exists(t.Context(), "20001")
	require.NoError(t, err)
	require.False(t, is, "what is there is left alone")
}

// The model is asked for one of the categories and nothing else.
func TestClassifier(t *testing.T) {
	endpoint := llmtest.New(t, func(llmtest.Request) llmtest.Answer { return llmtest.JSON(enrich.Answer{Category: enrich.Toys}) })
	m, err := enrich.NewClassifier(endpoint.Setup("categories"))
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Stop(context.Background())) }()
	category, err := m.Of(t.Context(), "TIN WHISTLE")
	require.NoError(t, err)
	require.Equal(t, enrich.Toys, category)
	asked := endpoint.Requests()[0]
	require.Equal(t, "TIN WHISTLE", asked.User)
	for _, c := range []enrich.Category{enrich.Kitchen, enrich.Home, enrich.Garden, enrich.Toys, enrich.Stationery, enrich.Other} {
		require.Contains(t, string(asked.Schema), `"`+string(c)+`"`)
	}
}
