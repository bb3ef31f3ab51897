package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
)

// crash plays processes that die while they run everything that is in the queue,
// as the engine runs it: a start is recorded from the third delivery on.
func crash(t *testing.T, q *memory.Queue, times int) {
	t.Helper()
	for range times {
		all, err := q.Source().Fetch(t.Context(), 100)
		require.NoError(t, err)
		for _, d := range all {
			if d.Info().Deliveries > 2 {
				require.NoError(t, d.(ergon.StartRecorder).RecordStart(t.Context()))
			}
		}
		q.Expire()
	}
}

// What killed its processes as often as max_deliveries allows is set aside
// without being run.
func TestACrashLoopEnds(t *testing.T) {
	for crashes, dead := range map[int]bool{0: false, 4: false, 6: false, 7: true, 9: true} {
		synctest.Test(t, func(t *testing.T) {
			ran := 0
			r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
				ran++
				return ergon.None{}, nil
			}))
			r.policy.Transaction.MaxDeliveries = 5
			r.push("poison")
			crash(t, r.queue, crashes)
			report := r.run(t)
			if !dead {
				require.Equal(t, 1, ran)
				require.EqualValues(t, 1, report.Succeeded)
				return
			}
			require.Zero(t, ran)
			letter := r.onlyDead(t).Settlement.Err
			require.Equal(t, ergon.CategorySystem, letter.Category)
			require.Contains(t, letter.Reason(), "crashed")
			require.Contains(t, letter.Reason(), "max_deliveries is 5")
		})
	}
}

// Zero is no limit.
func TestNoLimitOfCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) { return ergon.None{}, nil }))
		r.policy.Transaction.MaxDeliveries = 0
		r.push("poison")
		crash(t, r.queue, 30)
		require.EqualValues(t, 1, r.run(t).Succeeded)
	})
}

// Restarts that drain count for nothing, whether what ran was finished or given
// back.
func TestRollingRestartsAreNoCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		restarting := true
		r := newRig(consume(func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
			if restarting {
				<-ctx.Done()
			}
			return ergon.None{}, ctx.Err()
		}))
		r.policy.Loop.Concurrency = 2
		r.policy.Shutdown.Grace = dur(time.Second)
		r.push("a", "b", "c", "d", "e")
		for range 20 {
			_, wait := r.start(t)
			time.Sleep(2 * time.Second)
			_, err := wait(true)
			require.NoError(t, err)
		}
		restarting = false
		report := r.run(t)
		require.EqualValues(t, 5, report.Succeeded)
		require.Empty(t, r.queue.DeadLetters())
		for _, ev := range eventsOf[engine.Started](r) {
			require.Zero(t, ev.Info.Crashes)
		}
	})
}

// Everything that ran beside the one that killed the process is suspected with it.
// Suspects run one at a time, so that the next crash is the guilty one's alone; the
// rest is not held up.
func TestSuspectsRunOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var suspects, all gauge
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			all.enter()
			defer all.leave()
			if strings.HasPrefix(tx.ID(), "suspect") {
				suspects.enter()
				defer suspects.leave()
			}
			time.Sleep(time.Second)
			return ergon.None{}, nil
		}))
		r.push("suspect 1", "suspect 2", "suspect 3")
		crash(t, r.queue, 4)
		r.push("a", "b", "c", "d", "e")
		began := time.Now()
		require.EqualValues(t, 8, r.run(t).Succeeded)
		require.Equal(t, 1, suspects.peak())
		require.Equal(t, 4, all.peak(), "the others take the slots")
		require.Equal(t, 3*time.Second, time.Since(began).Truncate(time.Second))
	})
}

// A suspect that waits for its turn is given back by a stop, and the record of one
// that ran is taken back.
func TestSuspectsAreReleasedByAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
			<-ctx.Done()
			return ergon.None{}, ctx.Err()
		}))
		r.policy.Shutdown.Grace = 0
		r.push("a", "b", "c")
		crash(t, r.queue, 4)
		_, wait := r.start(t)
		time.Sleep(time.Second)
		report, err := wait(true)
		require.NoError(t, err)
		require.EqualValues(t, 3, report.Released)
		time.Sleep(time.Second)
		again, err := r.queue.Source().Fetch(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, again, 3)
		for _, d := range again {
			require.Equal(t, 2, d.Info().Crashes, "of the third and the fourth delivery, and none of the fifth")
		}
	})
}

// A stop gives waiting suspects back at once, however long the one that runs takes.
func TestWaitingSuspectsDoNotWaitForTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var h history
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			time.Sleep(5 * time.Second)
			return ergon.None{}, nil
		}))
		r.queueO.OnSettle = func(s memory.Settled) error {
			h.add("%v %s after %v", s.Settlement.Kind, s.Transaction.ID(), time.Since(began))
			return nil
		}
		r.policy.Shutdown.Grace = dur(time.Minute)
		r.push("a", "b", "c")
		crash(t, r.queue, 4)
		_, wait := r.start(t)
		time.Sleep(time.Second)
		_, err := wait(true)
		require.NoError(t, err)
		require.Equal(t, []string{"release b after 1s", "release c after 1s", "ack a after 5s"}, h.all())
	})
}

// noRecord is a source whose starts can't be recorded.
type noRecord struct{ ergon.Source }

type unrecorded struct{ ergon.Delivery }

func (unrecorded) RecordStart(context.Context) error { return errors.New("no bucket") }
func (unrecorded) ForgetStart()                      {}

func (s noRecord) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	all, err := s.Source.Fetch(ctx, max)
	for i, d := range all {
		all[i] = unrecorded{d}
	}
	return all, err
}

// A start that can't be recorded runs, and that it was not recorded is told.
func TestAStartThatCannotBeRecordedRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) { return ergon.None{}, nil }))
		r.push("a")
		crash(t, r.queue, 2)
		r.source = noRecord{r.queue.Source()}
		require.EqualValues(t, 1, r.run(t).Succeeded)
		told := eventsOf[engine.StartNotRecorded](r)
		require.Len(t, told, 1)
		require.EqualError(t, told[0].Err, "no bucket")
	})
}

// watched is a source that tells when a start is recorded and when it is taken
// back.
type watched struct {
	ergon.Source
	h *history
}

type watchedStart struct {
	ergon.Delivery
	h *history
}

func (w watchedStart) RecordStart(context.Context) error { w.h.add("record"); return nil }
func (w watchedStart) ForgetStart()                      { w.h.add("forget") }

func (s watched) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	all, err := s.Source.Fetch(ctx, max)
	for i, d := range all {
		all[i] = watchedStart{d, s.h}
	}
	return all, err
}

// From the third delivery on a start is recorded before the code runs, once for all
// of its attempts, and taken back when the source has it again: a process that dies
// in between leaves its record, and what does well costs nothing.
func TestAStartIsRecordedWhileItLasts(t *testing.T) {
	for deliveries, want := range map[int][]string{
		2: {"run 1", "run 2", "settle"},
		3: {"record", "run 1", "run 2", "settle", "forget"},
		9: {"record", "run 1", "run 2", "settle", "forget"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var h history
			r := newRig(consume(func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
				n := ergon.ExecutionOf(ctx).Attempt
				h.add("run %d", n)
				if n == 1 {
					return ergon.None{}, errors.New("x")
				}
				return ergon.None{}, nil
			}))
			r.queueO.OnSettle = func(memory.Settled) error { h.add("settle"); return nil }
			r.policy.Transaction.MaxDeliveries = 100
			r.push("a")
			crash(t, r.queue, deliveries-1)
			r.source = watched{r.queue.Source(), &h}
			require.EqualValues(t, 1, r.run(t).Succeeded)
			require.Equal(t, want, h.all())
		})
	}
}

// What waits behind another message with its ID is set aside when its turn comes,
// as it would have been without that one.
func TestACrashLoopEndsBehindItsTwin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			ran++
			return ergon.None{}, nil
		}))
		r.policy.Transaction.MaxDeliveries = 5
		r.push("twin")
		crash(t, r.queue, 7)
		r.push("twin")
		guilty, err := r.queue.Source().Fetch(t.Context(), 1)
		require.NoError(t, err)
		guilty[0].Settle(ergon.Settlement{Kind: ergon.Release}, func(err error) { require.NoError(t, err) })
		report := r.run(t)
		require.Equal(t, 1, ran)
		require.EqualValues(t, 1, report.Succeeded)
		require.Equal(t, 7, 2+r.onlyDead(t).Info.Crashes)
	})
}

// One that was delivered again may be what kills the process although no start of it
// was recorded: it runs beside its like, and never beside a suspect.
func TestWhatComesAgainDoesNotRunBesideASuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var suspects, again, all gauge
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			mine := &again
			switch {
			case strings.HasPrefix(tx.ID(), "suspect"):
				mine = &suspects
			case tx.ID() == "new":
				return ergon.None{}, nil
			}
			mine.enter()
			defer mine.leave()
			all.enter()
			defer all.leave()
			time.Sleep(time.Second)
			return ergon.None{}, nil
		}))
		r.push("suspect 1", "suspect 2")
		crash(t, r.queue, 4)
		r.push("a", "b", "c")
		crash(t, r.queue, 1)
		r.push("new")
		began := time.Now()
		require.EqualValues(t, 6, r.run(t).Succeeded)
		require.Equal(t, 1, suspects.peak())
		require.Equal(t, 3, again.peak(), "they run beside one another")
		require.Equal(t, 3, all.peak(), "and not beside a suspect")
		require.Equal(t, 3*time.Second, time.Since(began).Truncate(time.Second))
	})
}
