package policy_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ergon-framework/ergon/policy"
)

func seconds(s float64) policy.Duration { return policy.Duration(s * float64(time.Second)) }

// R075, with the tuples of the reference's tests: backoff, multiplier and cap in
// seconds, then the delays of retries 0, 1, 2 …, or those of the retries named.
// Where the reference differs from RFC-003, the answer is the RFC's.
func TestDelay(t *testing.T) {
	for _, tt := range []struct {
		name                string
		backoff, mult, ceil float64
		from                int
		want                []float64
	}{
		{"zero backoff returns zero", 0, 2, 10, 5, []float64{0}},
		{"zero backoff ignores cap and multiplier", 0, 3, 100, 0, []float64{0, 0, 0, 0, 0}},
		{"linear constant delay", 2, 1, 0, 0, []float64{2, 2, 2, 2, 2, 2}},
		{"linear with cap", 2, 1, 5, 0, []float64{2, 2, 2, 2, 2, 2}},
		{"exponential growth", 1, 2, 0, 0, []float64{1, 2, 4, 8, 16}},
		{"exponential with cap reaches the cap", 1, 2, 5, 0, []float64{1, 2, 4, 5, 5}},
		{"exponential with cap, late", 1, 2, 5, 10, []float64{5}},
		{"respects cap", 1, 2, 3, 10, []float64{3}},
		{"cap exactly at growth boundary", 1, 2, 8, 3, []float64{8, 8}},
		{"cap equal to backoff", 3, 2, 3, 0, []float64{3, 3, 3, 3, 3, 3}},
		{"cap below backoff", 1, 2, 0.5, 0, []float64{0.5}},
		{"large attempt", 1, 2, 10, 1000, []float64{10}},
		{"no cap unbounded growth", 1, 2, 0, 20, []float64{1 << 20}},
		{"attempt zero returns base", 5, 3, 0, 0, []float64{5}},
		{"fractional backoff", 0.1, 2, 0, 3, []float64{0.8}},
		{"fractional multiplier", 10, 1.5, 0, 2, []float64{22.5}},
		{"default of process", 0.2, 3, 60, 0, []float64{0.2, 0.6, 1.8, 5.4, 16.2, 48.6, 60, 60}},
		{"before the first retry counts as the first", 5, 3, 0, -1, []float64{5}},
		{"unchecked multiplier does not shrink", 2, 0, 0, 0, []float64{2, 2, 2}},
		{"unchecked multiplier that is no number", 2, math.NaN(), 0, 0, []float64{2, 2, 2}},
		{"unchecked negative backoff", -2, 2, 0, 0, []float64{0, 0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := policy.Retry{Backoff: seconds(tt.backoff), BackoffMultiplier: tt.mult, BackoffCap: seconds(tt.ceil), Jitter: 1}
			e := policy.Empty{Backoff: r.Backoff, BackoffMultiplier: r.BackoffMultiplier, BackoffCap: r.BackoffCap}
			for i, want := range tt.want {
				require.Equal(t, seconds(want).D(), r.Delay(tt.from+i), "retry %d", tt.from+i)
				require.Equal(t, r.Delay(tt.from+i), e.Delay(tt.from+i), "R078: one formula")
			}
		})
	}
}

// The reference overflowed without a cap. Here the longest wait is the longest
// duration, and never a negative one.
func TestDelaySaturates(t *testing.T) {
	for _, n := range []int{63, 64, 1000, math.MaxInt} {
		for _, mult := range []float64{2, 1e300, math.Inf(1)} {
			r := policy.Retry{Backoff: seconds(1), BackoffMultiplier: mult}
			require.Equal(t, time.Duration(math.MaxInt64), r.Delay(n))
			r.BackoffCap = seconds(7)
			require.Equal(t, 7*time.Second, r.Delay(n))
		}
	}
}

func TestDelayProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := policy.Retry{
			Backoff:           policy.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "backoff")),
			BackoffMultiplier: rapid.Float64Range(1, 1e6).Draw(t, "multiplier"),
			BackoffCap:        policy.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "cap")),
			Jitter:            rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
		n := rapid.IntRange(0, 2000).Draw(t, "n")
		d := r.Delay(n)
		require.GreaterOrEqual(t, d, time.Duration(0))
		require.LessOrEqual(t, d, r.Delay(n+1), "waits do not shrink")
		if r.BackoffCap > 0 {
			require.LessOrEqual(t, d, r.BackoffCap.D())
		} else {
			require.GreaterOrEqual(t, d, r.Backoff.D())
		}
		j := r.Jittered(d, rapid.Float64Range(0, 1).Draw(t, "random"))
		require.GreaterOrEqual(t, j, time.Duration(0))
		if d < time.Duration(math.MaxInt64/4) {
			low, high := float64(d)*(1-r.Jitter), float64(d)*(1+r.Jitter)
			slack := 1 + high*1e-12
			require.InDelta(t, (low+high)/2, float64(j), (high-low)/2+slack)
		}
	})
}

func TestJittered(t *testing.T) {
	for _, tt := range []struct {
		jitter, random float64
		d, want        time.Duration
	}{
		{0.2, 0, 10 * time.Second, 8 * time.Second},
		{0.2, 0.5, 10 * time.Second, 10 * time.Second},
		{0.2, 1, 10 * time.Second, 12 * time.Second},
		{0.2, 0.75, 10 * time.Second, 11 * time.Second},
		{1, 0, 10 * time.Second, 0},
		{0, 0.9, 10 * time.Second, 10 * time.Second},
		{0.2, 0.9, 0, 0},
		{1, 1, math.MaxInt64, math.MaxInt64},
		// unchecked numbers never make a wait negative or endless
		{5, 0, 10 * time.Second, 0},
		{-1, 0, 10 * time.Second, 10 * time.Second},
		{math.NaN(), 0, 10 * time.Second, 10 * time.Second},
		{0.2, math.NaN(), 10 * time.Second, 10 * time.Second},
		{0.2, 7, 10 * time.Second, 10 * time.Second},
	} {
		t.Run(fmt.Sprintf("%v of %v at %v", tt.jitter, tt.d, tt.random), func(t *testing.T) {
			require.Equal(t, tt.want, policy.Retry{Jitter: tt.jitter}.Jittered(tt.d, tt.random))
		})
	}
}

// Jitter is after the cap: what waits the cap is spread as well.
func TestJitterIsAfterTheCap(t *testing.T) {
	r := policy.Retry{Backoff: seconds(1), BackoffMultiplier: 2, BackoffCap: seconds(5), Jitter: 0.2}
	require.Equal(t, 6*time.Second, r.Jittered(r.Delay(100), 1))
}
