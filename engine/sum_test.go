package engine_test

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
)

// Every number of a report is in the sum: a field that is added later too.
func TestReportPlus(t *testing.T) {
	var a, b engine.Report
	a.Task, b.Task = "score", "score"
	for i, r := range []*engine.Report{&a, &b} {
		v := reflect.ValueOf(r).Elem()
		for f := range v.NumField() {
			if v.Field(f).CanInt() {
				v.Field(f).SetInt(int64((i + 1) * (f + 1)))
			}
		}
	}
	sum := reflect.ValueOf(a.Plus(b))
	for f := range sum.NumField() {
		if sum.Field(f).CanInt() {
			require.EqualValues(t, 3*(f+1), sum.Field(f).Int(), sum.Type().Field(f).Name)
		}
	}
	require.Equal(t, "score", a.Plus(b).Task)
}

// What two engines of a task counted adds up, and nothing of it goes below what was
// shown of the first: series by series.
func TestMetricsAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(ids ...string) engine.Metrics {
			r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
				time.Sleep(time.Millisecond)
				switch tx.ID() {
				case "dead":
					return "", ergon.Business("no")
				case "slow":
					return "", ergon.Timeout("late")
				}
				return "x", nil
			}))
			for _, id := range ids {
				r.push(id)
			}
			e, wait := r.start(t)
			_, err := wait(false)
			require.NoError(t, err)
			return e.Metrics()
		}
		first, second := run("a", "dead"), run("b", "c", "slow", "dead")
		time.Sleep(time.Second)
		before := second
		both := second.After(first)
		require.Equal(t, before, second, "what it was made of is as it was")
		require.Equal(t, first.Since, both.Since)
		require.EqualValues(t, 6, both.Started)
		require.EqualValues(t, 3, both.Outputs)
		require.Equal(t, first.Batch.Count+second.Batch.Count, both.Batch.Count)
		require.Equal(t, first.Empty+second.Empty, both.Empty)
		for i, tx := range both.Transactions {
			require.Equal(t, first.Transactions[i].Count+second.Transactions[i].Count, tx.Count)
			require.Equal(t, first.Transactions[i].Duration.Count+second.Transactions[i].Duration.Count, tx.Duration.Count)
			if tx.Outcome == engine.Dead {
				require.Equal(t, int64(2), tx.Failed[ergon.CategoryBusiness])
				require.Equal(t, tx.Count-2, tx.Failed[ergon.CategoryTimeout])
			}
		}
		dead := int64(0)
		for _, d := range both.DeadLetters {
			dead += d.Count
		}
		require.EqualValues(t, 3, dead)
		for i, p := range both.Phases {
			require.Equal(t, first.Phases[i].Retries+second.Phases[i].Retries, p.Retries)
			for j, r := range p.Results {
				require.Equal(t, first.Phases[i].Results[j].Attempts+second.Phases[i].Results[j].Attempts, r.Attempts)
			}
		}
		require.Equal(t, second.Limits, both.Limits, "what it does now is not added up")
		require.Equal(t, second.Ready, both.Ready)
	})
}
