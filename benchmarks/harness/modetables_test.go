package harness

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFlatTable(t *testing.T) {
	var results []FlatResult
	for round := range time.Duration(3) { // medians: 10, 20, 40
		for _, k := range []time.Duration{4, 1, 2} {
			results = append(results, FlatResult{
				Dimension: "backlog", Value: int64(k) * 1000, Repeats: 5, CPU: (9 + round) * k * time.Microsecond, Empty: 3 * time.Millisecond, Rate: 700, MaxRSS: 32 << 20,
			})
		}
	}
	var text strings.Builder
	require.NoError(t, FlatTable(&text, FlatOptions{N: 5000, Rounds: 3}, results))
	require.Regexp(t, `(?s)1000 +5 +10\.00 +0\.50 +700 +3\.0 +32\.0.*2000 +5 +20\.00 +1\.00 .*4000 +5 +40\.00 +2\.00 .*±60\.0 %`, text.String())
	require.Contains(t, text.String(), "n = 5000, medians of 3 rounds")
	require.NotContains(t, text.String(), "slots")
}

func TestScaleTable(t *testing.T) {
	var text strings.Builder
	require.NoError(t, ScaleTable(&text, 5000, 1, []ScaleResult{
		{Processes: 2, Rate: 1500, Shares: []float64{0.6, 0.4}, Cores: 0.5},
		{Processes: 1, Rate: 1000, Shares: []float64{1}, Cores: 0.25},
	}))
	require.Regexp(t, `(?s)1 +1000 +1\.00 +100\.0 % +0\.25.*2 +1500 +0\.75 +60\.0 % 40\.0 % +0\.50`, text.String())
}

// A backlog that is smaller than a run is repeated, and a larger one is a run.
func TestFlatSettings(t *testing.T) {
	o := FlatOptions{N: 1000, Rounds: 1, Timeout: time.Second, Backlogs: []int64{300, 1000, 4000}, Tasks: []int{7}, Slots: []int{9}, One: "one", Many: "many", Apart: "apart"}
	all, err := o.settings()
	require.NoError(t, err)
	require.Equal(t, []setting{
		{"backlog", 300, "one", 300, 3, 0, concurrency},
		{"backlog", 1000, "one", 1000, 1, 0, concurrency},
		{"backlog", 4000, "one", 4000, 1, 0, concurrency},
		{"tasks", 7, "many", 1000, 1, 7, concurrency},
		{"tasks-apart", 7, "apart", 1000, 1, 7, concurrency},
		{"slots", 9, "one", 1000, 1, 0, 9},
	}, all)
	o.Backlogs = []int64{0}
	_, err = o.settings()
	require.ErrorContains(t, err, "a backlog of 0")
}
