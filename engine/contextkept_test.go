package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// kept are contexts that user code kept beyond their attempts, with what each told
// then.
type kept struct {
	mu   sync.Mutex
	ctxs []context.Context
	told []told
}

func (k *kept) keep(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ctxs = append(k.ctxs, ctx)
	k.told = append(k.told, toldBy(ctx))
}

// told is what a context tells, but for what an attempt draws.
type told struct {
	id, source, task, connector     string
	phase                           ergon.Phase
	attempt, maxAttempts, delivery  int
	deadline, contextsDeadline, now time.Time
}

func toldBy(ctx context.Context) told {
	x := ergon.ExecutionOf(ctx)
	deadline, _ := ctx.Deadline()
	return told{
		x.TransactionID, x.Source, x.Task, x.Connector, x.Phase, x.Attempt, x.MaxAttempts, x.Delivery,
		x.Deadline, deadline, x.At,
	}
}

func (k *kept) check(t *testing.T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, ctx := range k.ctxs {
		require.Equal(t, k.told[i], toldBy(ctx), "context %d", i)
	}
}

func (k *kept) phases() (all []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, x := range k.told {
		all = append(all, fmt.Sprintf("%s %d", x.phase, x.attempt))
	}
	return all
}

// R016: a context that is kept tells its own attempt's facts for ever, while later
// attempts and phases run: the first attempt's memory is the flight's, and is not used
// for another one.
func TestAKeptContextTellsItsOwnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k kept
		r := newRig(engine.Consume("score", &hooked[string, string]{
			process: func(ctx context.Context, _ ergon.Transaction[string]) (string, error) {
				k.keep(ctx)
				k.check(t)
				if ergon.ExecutionOf(ctx).Attempt < 3 {
					return "", errors.New("x")
				}
				return "x", nil
			},
			success: func(ctx context.Context, _ ergon.Transaction[string], _ string) error {
				k.keep(ctx)
				k.check(t)
				return errors.New("x")
			},
			exception: func(ctx context.Context, _ ergon.Transaction[string], _ *ergon.Error) error {
				k.keep(ctx)
				k.check(t)
				return nil
			},
		}))
		r.policy.Success.Retry.MaxAttempts = 2
		r.push("a")
		require.EqualValues(t, 1, r.run(t).Dead)
		require.Equal(t, []string{"process 1", "process 2", "process 3", "success 1", "success 2", "exception 1"}, k.phases())
		k.check(t)
	})
}

// keeper is a sink that keeps the contexts, and fails each first attempt of an output.
// It may look at one only later.
type keeper struct {
	*kept
	late bool
	ctxs []context.Context
}

func (s *keeper) Send(ctx context.Context, _ ergon.Raw, done func(error)) {
	if s.late {
		s.ctxs = append(s.ctxs, ctx)
	} else {
		s.keep(ctx)
	}
	if len(s.ctxs)+len(s.kept.ctxs) == 1 {
		done(errors.New("not yet"))
		return
	}
	done(nil)
}

func (s *keeper) Close(context.Context) error { return nil }

// A sink's context tells of produce and of its own attempt, whether it is asked at
// once or when the transaction is long done; a producer's as well.
func TestASinksContextTellsItsAttempt(t *testing.T) {
	process := func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }
	for name, task := range map[string]engine.Task{
		"consumer": consume(process),
		"producer": engine.Produce("score", &maker[string, string]{produce: process}),
	} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/late=%v", name, late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &keeper{kept: &kept{}, late: late}
					r := newRig(task)
					r.routes = s
					r.push("a")
					require.EqualValues(t, 1, r.run(t).Succeeded)
					for _, ctx := range s.ctxs {
						s.keep(ctx)
					}
					require.Equal(t, []string{"produce 1", "produce 2"}, s.phases())
					s.check(t)
					for _, x := range s.told {
						require.Equal(t, []any{"a", "test", "score", "memory", 1}, []any{x.id, x.source, x.task, x.connector, x.delivery})
						require.False(t, x.now.IsZero())
						require.False(t, x.deadline.IsZero())
						require.Equal(t, x.contextsDeadline, x.deadline)
					}
				})
			})
		}
	}
}
