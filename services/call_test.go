package services_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
)

func seam(t testing.TB, change func(*policy.Phase), opts ...services.Option) *services.Seam {
	p := policy.DefaultService()
	p.Retry.Jitter = 0
	if change != nil {
		change(&p)
	}
	s, err := services.New("rates", p, opts...)
	require.NoError(t, err)
	return s
}

// fails n times with err, then answers.
func fails(n int, err error) func(context.Context, string) (int, error) {
	return func(context.Context, string) (int, error) {
		if n--; n >= 0 {
			return 7, err
		}
		return 42, nil
	}
}

func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := seam(t, nil)
		get, add := s.Operation("get", services.Idempotent), s.Operation("add", services.Once)

		n, err := services.Call(t.Context(), get, "EUR", fails(2, io.ErrUnexpectedEOF))
		require.NoError(t, err)
		require.Equal(t, 42, n)

		n, err = services.Call(t.Context(), get, "EUR", fails(3, io.ErrUnexpectedEOF))
		require.EqualError(t, err, "SYSTEM: rates.get: unexpected EOF (after 3 attempts)")
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Zero(t, n, "what came with an error is nothing")

		_, err = services.Call(t.Context(), add, "EUR", fails(1, io.ErrUnexpectedEOF))
		require.EqualError(t, err, "SYSTEM: rates.add: unexpected EOF", "an operation that happens once is not tried again")

		_, err = services.Call(t.Context(), get, "EUR", fails(1, ergon.Business("no such currency: %w", io.EOF)))
		require.EqualError(t, err, "BUSINESS: rates.get: no such currency: EOF")
		require.ErrorIs(t, err, io.EOF)

		_, err = services.Call(t.Context(), add, "EUR", fails(1, ergon.RetryAfter(time.Minute, io.EOF)))
		after, ok := ergon.RetryAfterOf(err)
		require.True(t, ok, "the engine is told when to come back")
		require.Equal(t, time.Minute, after)

		m := s.Metrics()
		require.Equal(t, "rates.get", m.Operations[0].Name)
		require.EqualValues(t, 4, m.Operations[0].Retries)
		require.Zero(t, m.Operations[0].Running)
		counts := map[ergon.Category]uint64{}
		for _, c := range m.Operations[0].Calls {
			counts[c.Category] = c.Duration.Count
		}
		require.Equal(t, map[ergon.Category]uint64{"": 1, ergon.CategoryBusiness: 1, ergon.CategorySystem: 1}, counts)
	})
}

// R068: a service's time is its own, and says so.
func TestCallTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := seam(t, func(p *policy.Phase) { p.Retry.MaxAttempts = 2 })
		get := s.Operation("get", services.Idempotent)
		own := errors.New("i/o timeout") // as client libraries have it
		hang := func(ctx context.Context, _ string) (int, error) {
			<-ctx.Done()
			return 0, own
		}
		began := time.Now()
		_, err := services.Call(t.Context(), get, "EUR", hang)
		require.EqualError(t, err, "TIMEOUT: rates.get: it took longer than 5s: i/o timeout (after 2 attempts)")
		require.ErrorIs(t, err, own)
		require.ErrorIs(t, err, ergon.CategoryTimeout)
		require.Equal(t, 10*time.Second+50*time.Millisecond, time.Since(began))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		_, err = services.Call(ctx, get, "EUR", hang)
		require.ErrorIs(t, err, ergon.CategoryTimeout, "the caller's time was over")
		require.Equal(t, time.Second, time.Since(began), "and nothing is tried again")

		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = services.Call(gone, get, "EUR", hang)
		require.ErrorIs(t, err, ergon.CategorySystem)
	})
}

func TestCallClassifies(t *testing.T) {
	missing := errors.New("404")
	s := seam(t, nil, services.Classify(func(err error) ergon.Category {
		if errors.Is(err, missing) {
			return ergon.CategoryBusiness
		}
		return ""
	}))
	get := s.Operation("get", services.Idempotent)
	_, err := services.Call(t.Context(), get, "EUR", fails(9, missing))
	require.EqualError(t, err, "BUSINESS: rates.get: 404")
	_, err = services.Call(t.Context(), get, "EUR", fails(1, context.DeadlineExceeded))
	require.NoError(t, err, "what the function does not know is as ever: TIMEOUT, and tried again")
}

// A panic is a failure of the call alone, with its stack.
func TestCallPanics(t *testing.T) {
	get := seam(t, func(p *policy.Phase) { p.Retry.MaxAttempts = 1 }).Operation("get", services.Idempotent)
	_, err := services.Call(t.Context(), get, "EUR", func(context.Context, string) (int, error) { panic("boom") })
	require.EqualError(t, err, "SYSTEM: rates.get: panic: boom")
	var p *ergon.PanicError
	require.ErrorAs(t, err, &p)
	require.Contains(t, string(p.Stack), "TestCallPanics")
}

// The limits are the service's, over all its operations.
func TestCallIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := seam(t, func(p *policy.Phase) { p.Bulkhead.MaxConcurrency = 2 })
		get, add := s.Operation("get", services.Idempotent), s.Operation("add", services.Once)
		release := make(chan struct{})
		hold := func(ctx context.Context, _ string) (int, error) {
			<-release
			return 1, nil
		}
		done := make(chan error, 3)
		for _, op := range []*services.Operation{get, add} {
			go func() { _, err := services.Call(t.Context(), op, "EUR", hold); done <- err }()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := services.Call(ctx, get, "EUR", hold)
		require.EqualError(t, err, "TIMEOUT: rates.get: it waited for its turn: context deadline exceeded")
		go func() { _, err := services.Call(t.Context(), get, "EUR", hold); done <- err }()
		synctest.Wait()
		require.EqualValues(t, 2, s.Metrics().Operations[0].Running)
		close(release)
		for range 3 {
			require.NoError(t, <-done)
		}
	})
}

// An open breaker turns calls away at once, says when to come back, and closes after a
// call that does well; those that come while one is tried wait for it.
func TestCallBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := seam(t, func(p *policy.Phase) {
			p.Retry.MaxAttempts = 1
			p.Breaker.Failures, p.Breaker.Delay = 3, policy.Duration(10*time.Second)
		})
		get := s.Operation("get", services.Idempotent)
		for range 5 {
			_, err := services.Call(t.Context(), get, "EUR", fails(1, ergon.Business("no such currency")))
			require.ErrorIs(t, err, ergon.CategoryBusiness, "which is nobody's failure")
		}
		require.NoError(t, s.Health())
		for range 3 {
			_, err := services.Call(t.Context(), get, "EUR", fails(1, io.EOF))
			require.ErrorIs(t, err, io.EOF)
		}
		require.EqualError(t, s.Health(), `service "rates": the circuit breaker is open: the next call is let through in 10s; the latest failure: SYSTEM: EOF`)
		time.Sleep(4 * time.Second)
		_, err := services.Call(t.Context(), get, "EUR", fails(0, nil))
		require.ErrorIs(t, err, services.ErrOpen)
		require.ErrorIs(t, err, ergon.CategorySystem)
		after, ok := ergon.RetryAfterOf(err)
		require.True(t, ok)
		require.Equal(t, 6*time.Second, after)

		time.Sleep(6 * time.Second)
		release, trial := make(chan struct{}), make(chan error, 1)
		go func() {
			_, err := services.Call(t.Context(), get, "EUR", func(context.Context, string) (int, error) { <-release; return 1, nil })
			trial <- err
		}()
		synctest.Wait()
		go func() {
			_, err := services.Call(t.Context(), get, "EUR", fails(0, nil))
			trial <- err
		}()
		synctest.Wait()
		require.Empty(t, trial, "the second waits for the first")
		close(release)
		require.NoError(t, <-trial)
		require.NoError(t, <-trial)
		require.NoError(t, s.Health())
		m := s.Metrics()
		require.True(t, m.HasBreaker)
		require.False(t, m.Open)
		require.EqualValues(t, 1, m.Opened)
		require.EqualValues(t, 1, m.Operations[0].Rejected)
	})
}

// Turned away, an idempotent call is not tried again here: that is for whoever can wait
// without holding a slot.
func TestOpenBreakerIsNotRetried(t *testing.T) {
	s := seam(t, func(p *policy.Phase) { p.Breaker.Failures = 1 })
	get := s.Operation("get", services.Idempotent)
	calls := 0
	_, err := services.Call(t.Context(), get, "EUR", func(context.Context, string) (int, error) { calls++; return 0, io.EOF })
	require.ErrorIs(t, err, services.ErrOpen)
	require.Equal(t, 1, calls)
}

type observer struct {
	answer any
	with   bool
	err    error
	seen   []any
}

func (o *observer) Before(_ context.Context, operation string, request any) (any, bool, error) {
	o.seen = append(o.seen, operation, request)
	return o.answer, o.with, o.err
}

func (o *observer) After(_ context.Context, operation string, request, response any, err error) {
	o.seen = append(o.seen, operation, request, response, err)
}

// A recorder sees a call as its caller does, and a replayer stands in for the service.
func TestCallObserver(t *testing.T) {
	get := seam(t, nil).Operation("get", services.Idempotent)
	o := &observer{}
	n, err := services.Call(ergon.WithCallObserver(t.Context(), o), get, "EUR", fails(1, io.EOF))
	require.NoError(t, err)
	require.Equal(t, 42, n)
	require.Equal(t, []any{"rates.get", "EUR", "rates.get", "EUR", 42, nil}, o.seen, "once, whatever the attempts")

	never := func(context.Context, string) (int, error) { panic("it was called") }
	n, err = services.Call(ergon.WithCallObserver(t.Context(), &observer{answer: 5, with: true}), get, "EUR", never)
	require.NoError(t, err)
	require.Equal(t, 5, n)
	_, err = services.Call(ergon.WithCallObserver(t.Context(), &observer{with: true, err: io.EOF}), get, "EUR", never)
	require.Equal(t, io.EOF, err)
	_, err = services.Call(ergon.WithCallObserver(t.Context(), &observer{answer: "five", with: true}), get, "EUR", never)
	require.EqualError(t, err, "SYSTEM: rates.get: whoever observes calls answered with a string: it returns a int")
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", "Rates", "9", "rates/eu", "ra tes", string(make([]byte, 99))} {
		_, err := services.New(name, policy.DefaultService())
		require.ErrorContains(t, err, "a service's name has", name)
	}
	p := policy.DefaultService()
	p.Retry.MaxAttempts, p.Retry.Jitter = 0, 3
	_, err := services.New("rates", p)
	require.ErrorContains(t, err, `service "rates": policy: `)
	require.ErrorContains(t, err, "retry.max_attempts")
	require.ErrorContains(t, err, "retry.jitter")
	s := seam(t, nil)
	s.Operation("get", services.Once)
	require.Panics(t, func() { s.Operation("get", services.Once) })
	require.Panics(t, func() { s.Operation("GET", services.Once) })
}

// The plain path costs an allocation: its context.
func TestCallAllocates(t *testing.T) {
	get := seam(t, nil).Operation("get", services.Idempotent)
	ask := fails(0, nil)
	ctx := t.Context()
	got := testing.AllocsPerRun(1000, func() { _, _ = services.Call(ctx, get, "EUR", ask) })
	require.LessOrEqual(t, got, 3.0)
	runtime.KeepAlive(get)
}

func BenchmarkCall(b *testing.B) {
	for name, change := range map[string]func(*policy.Phase){
		"plain": nil,
		"limits": func(p *policy.Phase) {
			p.Bulkhead.MaxConcurrency, p.Breaker.Failures = 8, 5
		},
	} {
		b.Run(name, func(b *testing.B) {
			get := seam(b, change).Operation("get", services.Idempotent)
			ask := fails(0, nil)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				_, _ = services.Call(ctx, get, "EUR", ask)
			}
		})
	}
}

// A service that takes longer than most has the default policy with a time of its own, and a
// policy that was given as it is.
func TestSetupWithin(t *testing.T) {
	s := services.Setup[int]{Name: "judge"}.Within(time.Minute)
	want := policy.DefaultService()
	want.Retry.Timeout = policy.Duration(time.Minute)
	require.Equal(t, want, s.Policy)
	s.Policy.Retry.Timeout = policy.Duration(time.Second)
	require.Equal(t, s, s.Within(time.Minute))
}
