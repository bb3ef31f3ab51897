package sqlsuite

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql"
)

// holding runs during while a transaction holds a connection.
func holding(t *testing.T, db *sql.DB, during func()) {
	t.Helper()
	err := sql.InTx(t.Context(), db.Operation("hold", services.Once), func(ctx context.Context, tx *sql.Tx) error {
		during()
		return nil
	})
	require.NoError(t, err)
}

func usedUp(t *testing.T, where Where) {
	db := Fresh(t, where, func(s *services.Setup[spec.SQL]) {
		s.Config.Connections, s.Config.Idle = 1, 1
	})
	find := db.Operation("find", services.Once)
	holding(t, db, func() {
		require.NoError(t, db.Health())
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := sql.One[int](ctx, find, `select count(*) from items`)
		require.ErrorIs(t, err, ergon.CategoryTimeout)
		require.ErrorContains(t, err, "no connection came free in time: 1 are in use")
		require.ErrorContains(t, db.Health(), "1 are in use")
	})
	require.Zero(t, count(t, find))
	require.NoError(t, db.Health(), "it is well again")
}

func life(t *testing.T, where Where) {
	db, err := sql.New(Setup(where(t)))
	require.NoError(t, err)
	op := db.Operation("find", services.Once)
	ctx := t.Context()
	ask := func() error { _, err := sql.One[int](ctx, op, `select 42`); return err }
	require.NoError(t, db.Stop(ctx), "before it was started")
	require.ErrorIs(t, db.Health(), sql.ErrStopped)
	require.ErrorIs(t, ask(), sql.ErrStopped)
	for range 2 {
		require.NoError(t, db.Start(ctx))
		require.ErrorContains(t, db.Start(ctx), "started already")
		require.NoError(t, ask())
		require.NoError(t, db.Health())
		require.NoError(t, db.Stop(ctx))
		require.NoError(t, db.Stop(ctx))
		require.ErrorIs(t, ask(), sql.ErrStopped)
	}
}

func metrics(t *testing.T, where Where) {
	reader := sdkmetric.NewManualReader()
	s := Setup(where(t))
	s.Meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	s.Config.Connections, s.Config.Idle = 2, 1
	db, err := sql.New(s)
	require.NoError(t, err)
	require.NoError(t, db.Start(t.Context()))
	read := func() map[string]int64 {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &all))
		got := map[string]int64{}
		for _, scope := range all.ScopeMetrics {
			for _, m := range scope.Metrics {
				sum := m.Data.(metricdata.Sum[int64])
				for _, p := range sum.DataPoints {
					pool, _ := p.Attributes.Value("db.client.connection.pool.name")
					require.Equal(t, "shop", pool.AsString())
					state, _ := p.Attributes.Value("db.client.connection.state")
					got[m.Name+state.AsString()] = p.Value
				}
			}
		}
		return got
	}
	want := map[string]int64{
		"db.client.connection.countused": 1, "db.client.connection.countidle": 0, "db.client.connection.max": 2,
		"db.client.connection.idle.max": 1, "db.client.connection.pending_requests": 0, "db.client.connection.timeouts": 0,
	}
	holding(t, db, func() { require.Equal(t, want, read()) })
	want["db.client.connection.countused"], want["db.client.connection.countidle"] = 0, 1
	require.Equal(t, want, read())
	require.NoError(t, db.Stop(t.Context()))
	require.Empty(t, read(), "a stopped one says nothing")
}

func spans(t *testing.T, system string, where Where) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	db := Fresh(t, where, nil)
	op := db.Operation("put", services.Once)
	ctx, parent := provider.Tracer("test").Start(t.Context(), "process.attempt.1")
	_, err := sql.Exec(ctx, op, "insert\ninto items (id, name) values ($1, $2)", 1, "a secret")
	require.NoError(t, err)
	_, err = sql.Exec(ctx, op, "insert into items (id, name) values ($1, $2)", 1, "a secret")
	require.Error(t, err)
	parent.End()
	got := recorder.Ended()
	require.Len(t, got, 3)
	require.Empty(t, got[2].Attributes(), "the caller's span is the caller's")
	for i, s := range got[:2] {
		has := attribute.NewSet(s.Attributes()...)
		value := func(key attribute.Key) string { v, _ := has.Value(key); return v.AsString() }
		require.Equal(t, "shop.put", s.Name())
		require.Equal(t, system, value("db.system.name"))
		require.Equal(t, "INSERT", value("db.operation.name"))
		require.Equal(t, i == 1, value("db.response.status_code") != "", "a code of what failed")
		for _, a := range s.Attributes() {
			require.NotContains(t, a.Value.String(), "secret")
		}
	}
}
