package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/stretchr/testify/require"
)

// fate is one row of the order of settlement: what happens to a transaction on its
// way. An empty phase is one that does well.
type fate struct {
	phase    ergon.Phase    // that fails for good
	category ergon.Category // of the failure
	hook     string         // the exception hook: none, ok, error, panic, timeout
	outputs  int            // how many, of which all but the last are confirmed if produce fails
	letter   string         // storing the dead letter: ok, once (fails once), never
	end      string         // "", stop (at the failure), lost (lease, at the failure)
}

func fates() []fate {
	var all []fate
	for _, phase := range []ergon.Phase{"", ergon.PhaseDecode, ergon.PhaseProcess, ergon.PhaseProduce, ergon.PhaseSuccess} {
		categories := []ergon.Category{ergon.CategoryBusiness, ergon.CategorySystem, ergon.CategoryTimeout}
		if phase == "" || phase == ergon.PhaseDecode {
			categories = categories[:1]
		}
		for _, category := range categories {
			for _, hook := range []string{"none", "ok", "error", "panic", "timeout"} {
				for outputs := range 3 {
					if outputs == 0 && phase == ergon.PhaseProduce {
						continue // nothing is sent, nothing fails
					}
					for _, letter := range []string{"ok", "once", "never"} {
						for _, end := range []string{"", "stop", "lost"} {
							all = append(all, fate{phase, category, hook, outputs, letter, end})
						}
					}
				}
			}
		}
	}
	return all
}

// failure is what fails the phase on every attempt.
func (f fate) failure(ctx context.Context) error {
	switch f.category {
	case ergon.CategoryBusiness:
		return ergon.Business("the rule")
	case ergon.CategoryTimeout:
		<-ctx.Done()
		return ctx.Err()
	}
	return errors.New("the system")
}

// TestEveryFate walks the order of settlement: every phase × category × exception
// hook × outputs × dead-letter store × stop × lost lease, against the rules of
// DESIGN §2 stated anew here.
func TestEveryFate(t *testing.T) {
	all := fates()
	require.Greater(t, len(all), 1000)
	for _, f := range all {
		if !t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) { synctest.Test(t, f.check) }) {
			return // the rows are many and fail alike
		}
	}
}

func (f fate) check(t *testing.T) {
	var hooks struct{ success, exception int }
	var log history
	settles := 0
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var r *rig
	var ended atomic.Bool
	disturb := func() { // at the failure, once: the stop or the loss of the lease
		if ended.Swap(true) {
			return
		}
		switch f.end {
		case "stop":
			stop()
		case "lost":
			r.queue.Expire()
			if got, err := r.queue.Source().Fetch(t.Context(), 1); err != nil || len(got) != 1 {
				t.Errorf("somebody else takes it: %v, %v", got, err)
			}
			time.Sleep(2 * time.Second) // virtual: the sweeper finds out
		}
	}
	h := &hooked[string, ergon.Outputs]{
		process: func(ctx context.Context, tx ergon.Transaction[string]) (ergon.Outputs, error) {
			if f.phase == "" {
				disturb()
			}
			if f.phase == ergon.PhaseProcess {
				disturb()
				return nil, f.failure(ctx)
			}
			outs := ergon.Outputs{}
			for i := range f.outputs {
				outs = append(outs, ergon.Output{Payload: i, Key: fmt.Sprint(i)})
			}
			return outs, nil
		},
		success: func(ctx context.Context, _ ergon.Transaction[string], _ ergon.Outputs) error {
			log.add("success")
			hooks.success++
			if f.phase == ergon.PhaseSuccess {
				disturb()
				return f.failure(ctx)
			}
			return nil
		},
		exception: func(ctx context.Context, _ ergon.Transaction[string], _ *ergon.Error) error {
			log.add("exception")
			hooks.exception++
			switch f.hook {
			case "error":
				return errors.New("the hook")
			case "panic":
				panic("the hook")
			case "timeout":
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		},
	}
	var task engine.Task
	if f.hook == "none" {
		task = engine.Consume("score", &successOnly{h}, engine.Routes("out"))
	} else {
		task = engine.Consume("score", h, engine.Routes("out"))
	}
	r = newRig(task)
	r.policy.Process.Retry.MaxAttempts, r.policy.Produce.Retry.MaxAttempts = 2, 2
	r.policy.Process.Retry.Timeout, r.policy.Produce.Retry.Timeout = dur(time.Second), dur(time.Second)
	r.policy.Success.Retry, r.policy.Exception.Retry = r.policy.Process.Retry, r.policy.Process.Retry
	r.policy.Exception.Retry.MaxAttempts = 1
	r.policy.Shutdown.Grace = dur(5 * time.Minute) // time enough: a stop alone changes no outcome
	if f.letter == "never" {
		r.policy.Shutdown.Grace = dur(time.Second)
	}
	r.policy.Loop.Mode = policy.ModeBatch // it fetches nothing while this one is held
	r.queueO.Lease = 3 * time.Second
	r.queueO.OnSettle = func(s memory.Settled) error {
		if s.Settlement.Kind != ergon.Dead {
			return nil
		}
		settles++
		switch {
		case f.letter == "once" && settles == 1:
			return errors.New("the store is down")
		case f.letter == "never":
			stop() // or it is tried for ever
			return errors.New("the store is down")
		}
		return nil
	}
	var sent atomic.Int64
	r.sinkO.OnSend = func(tx ergon.Raw) error {
		sent.Add(1)
		if f.phase != ergon.PhaseProduce || string(tx.Payload()) != fmt.Sprint(f.outputs-1) {
			return nil
		}
		disturb()
		if f.category == ergon.CategoryTimeout {
			return memory.Answer{Never: true}
		}
		return f.failure(t.Context())
	}
	payload := `"payload"`
	if f.phase == ergon.PhaseDecode {
		payload = `{`
	}
	r.make()
	r.queue.Push(raw("tx", payload))
	var outcome engine.Outcome
	finished, settledThen := 0, 0
	r.events.also = func(ev engine.Event) {
		if e, ok := ev.(engine.Finished); ok && finished == 0 {
			finished++
			outcome, settledThen = e.Outcome, len(r.queue.DeadLetters())+len(r.queue.Acked())
			stop() // one delivery is what is looked at
		}
	}
	_, err := r.engine(t).Run(ctx)
	require.NoError(t, err)
	require.Equal(t, f.want(), outcome)

	dead := r.queue.DeadLetters()
	switch outcome {
	case engine.Succeeded:
		require.Len(t, r.queue.Acked(), 1)
		require.Len(t, r.sink.All(), f.outputs, "all outputs are stored before the ack")
		require.Zero(t, hooks.exception)
		require.Equal(t, 1, hooks.success)
	case engine.Dead:
		require.Len(t, dead, 1)
		s := dead[0].Settlement
		require.Equal(t, f.phase, s.Err.Phase)
		require.Equal(t, f.category, s.Err.Category)
		require.Equal(t, f.hook == "error" || f.hook == "panic" || f.hook == "timeout", s.Dead.HandlerErr != nil)
		if f.hook != "none" {
			require.Equal(t, 1, hooks.exception, "once per delivery")
			require.Equal(t, "exception", log.all()[len(log.all())-1], "the success hook never after it")
		}
		switch f.phase {
		case ergon.PhaseProduce:
			require.Equal(t, [3]int{f.outputs, f.outputs - 1, 1}, [3]int{s.Dead.Outputs, s.Dead.Confirmed, s.Dead.Unknown})
		case ergon.PhaseSuccess:
			require.Equal(t, [3]int{f.outputs, f.outputs, 0}, [3]int{s.Dead.Outputs, s.Dead.Confirmed, s.Dead.Unknown})
		default:
			require.Zero(t, sent.Load(), "nothing is sent for what failed before")
			require.Zero(t, hooks.success)
		}
	case engine.Lost, engine.Released:
		require.Zero(t, settledThen, "it is still there, for another delivery")
	default:
		t.Fatalf("outcome %q", outcome)
	}
}

// want states the rules.
func (f fate) want() engine.Outcome {
	switch {
	case f.end == "lost" && f.phase != ergon.PhaseDecode:
		return engine.Lost // no outcome, nothing is settled
	case f.phase == "":
		return engine.Succeeded // a stop lets what runs finish
	case f.letter == "never":
		return engine.Released // never lost, and not a dead letter either
	}
	return engine.Dead
}

// successOnly hides the exception hook of a task.
type successOnly struct {
	task *hooked[string, ergon.Outputs]
}

func (s *successOnly) Process(ctx context.Context, tx ergon.Transaction[string]) (ergon.Outputs, error) {
	return s.task.Process(ctx, tx)
}

func (s *successOnly) HandleSuccess(ctx context.Context, tx ergon.Transaction[string], out ergon.Outputs) error {
	return s.task.HandleSuccess(ctx, tx, out)
}
