package kvtest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/kv"
	"github.com/ergon-framework/ergon/services/kv/kvtest"
	"github.com/ergon-framework/ergon/services/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("no leader")

// What it does besides is in the suite of package kv.

func TestFaultsMeetThePolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := kvtest.New[int](t, services.Setup[spec.KV]{})
		s.Set("a", 1)
		require.Zero(t, s.Attempts())

		s.Fail(2, errDown, "get")
		v, err := s.Get(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Equal(t, 3, s.Attempts("get"), "the seam tried again")

		s.Fail(-1, errDown)
		_, err = s.Get(ctx, "a")
		require.ErrorIs(t, err, errDown)
		require.ErrorIs(t, err, ergon.CategorySystem)
		require.ErrorContains(t, err, "kv.get")
		s.Heal()

		s.Fail(1, kv.ErrNotFound, "get")
		_, err = s.Get(ctx, "a")
		require.ErrorIs(t, err, kv.ErrNotFound)
		require.ErrorIs(t, err, ergon.CategoryBusiness)

		began := time.Now()
		s.Delay(time.Minute, "get")
		_, err = s.Get(ctx, "a")
		require.ErrorIs(t, err, ergon.CategoryTimeout)
		require.Greater(t, time.Since(began), 15*time.Second, "three attempts of 5s")
		_, err = s.Put(ctx, "a", 2)
		require.NoError(t, err, "only gets take long")
		s.Delay(0, "get")
		v, err = s.Get(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, 2, v)
	})
}

func TestLostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := kvtest.New[int](t, services.Setup[spec.KV]{})
		s.LoseAnswers(1, errDown, "create")
		_, err := s.Create(ctx, "a", 1)
		require.NoError(t, err, "its second attempt finds its first")
		require.Equal(t, 2, s.Attempts("create"))
		_, err = s.Create(ctx, "a", 1)
		require.ErrorIs(t, err, kv.ErrExists)

		s.LoseAnswers(-1, errDown, "put")
		_, err = s.Put(ctx, "a", 2)
		require.ErrorIs(t, err, errDown)
		v, err := s.Get(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, 2, v, "it was done all the same")
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy.DefaultService()
		p.Retry.MaxAttempts = 1
		p.Breaker = policy.Breaker{Failures: 2, Delay: policy.Duration(time.Minute), Successes: 1}
		s := kvtest.New[int](t, services.Setup[spec.KV]{Name: "regions", Policy: p})
		s.Fail(2, errDown)
		for range 2 {
			_, err := s.Get(t.Context(), "a")
			require.ErrorIs(t, err, errDown)
		}
		_, err := s.Get(t.Context(), "a")
		require.ErrorIs(t, err, services.ErrOpen)
		require.ErrorIs(t, s.Health(), services.ErrOpen)
		require.Equal(t, 2, s.Attempts())
	})
}

func TestTimeIsVirtual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kvtest.New[int](t, services.Setup[spec.KV]{Config: spec.KV{TTL: policy.Duration(time.Hour)}})
		s.Set("a", 1)
		_, err := s.PutTTL(t.Context(), "b", 2, time.Minute)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = s.Get(t.Context(), "b")
		require.ErrorIs(t, err, kv.ErrNotFound)
		_, err = s.Get(t.Context(), "a")
		require.NoError(t, err)
		time.Sleep(time.Hour)
		_, err = s.Get(t.Context(), "a")
		require.ErrorIs(t, err, kv.ErrNotFound)
	})
}

func TestOthersWrites(t *testing.T) {
	s := kvtest.New[int](t, services.Setup[spec.KV]{})
	s.Fail(-1, errDown)
	s.Set("a", 1)
	s.SetBytes("b", []byte("{"))
	s.Set("c", 1)
	s.Remove("c")
	s.Heal()
	_, err := s.Get(t.Context(), "b")
	require.ErrorIs(t, err, kv.ErrDecode)
	_, err = s.Get(t.Context(), "c")
	require.ErrorIs(t, err, kv.ErrNotFound)
}

func TestStartThatFails(t *testing.T) {
	s := kvtest.NotStarted[int](t, services.Setup[spec.KV]{})
	s.Set("a", 1)
	require.ErrorIs(t, s.Health(), kv.ErrNotStarted)
	_, err := s.Get(t.Context(), "a")
	require.ErrorIs(t, err, kv.ErrNotStarted)
	s.Fail(1, errDown, "start")
	require.ErrorIs(t, s.Start(context.Background()), errDown)
	require.NoError(t, s.Start(context.Background()))
	require.NoError(t, s.Health())
	v, err := s.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 1, v)
}
