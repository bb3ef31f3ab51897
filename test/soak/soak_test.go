package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(storeVariable); dir != "" { // the server that soak starts is this binary
		exit(serve(dir, os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// A short soak counts right. What it holds is not judged: it is over before
// anything has its size.
func TestSoak(t *testing.T) {
	const n = 1000
	temp, profiles := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	var out bytes.Buffer
	r, err := soak(t.Context(), &out, n, profiles)
	require.NoError(t, err)
	require.Equal(t, ends{outputs: n - n/100, letters: n / 100}, r.ends)
	require.NoError(t, r.ends.fault())
	require.EqualValues(t, n/100, r.report.Retries)
	require.Len(t, r.samples, samples)
	for i, m := range measures {
		require.False(t, r.samples[0][i] <= 0, "%s is measured, or n/a", m.name)
	}
	require.Equal(t, 10, strings.Count(out.String(), "\n"), "a line for each tenth:\n%s", &out)
	for _, name := range []string{"heap-010.pprof", "heap-100.pprof"} {
		require.FileExists(t, filepath.Join(profiles, name))
	}
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left, "the store is gone")
}

// What is ended early says so, and leaves nothing behind either.
func TestSoakEndsWithItsContext(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(t.Context())
	err := run(ctx, writer(cancel), 2000, "") // at the first line
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "of 2000")
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
}

type writer func()

func (w writer) Write(p []byte) (int, error) {
	w()
	return len(p), nil
}

// series makes samples of a run that holds its size after the first quarter, and
// then adds to one measure.
func series(measure int, perSample float64) []sample {
	all := make([]sample, samples)
	for i := range all {
		all[i] = sample{300, 10, 50, 12}
		all[i][0] += float64(i % 7 * 3) // what comes and goes
		if i < samples/4 {
			all[i][1] = 5
		}
		all[i][measure] += perSample * float64(i)
	}
	return all
}

func TestJudge(t *testing.T) {
	require.NoError(t, judge(series(1, 0)))
	require.NoError(t, judge(series(2, 10)), "resident memory is shown, not judged")
	require.ErrorContains(t, judge(series(0, 1)), "goroutines grew")
	require.ErrorContains(t, judge(series(1, 0.02)), "heap grew")
	require.ErrorContains(t, judge(series(3, 0.1)), "files grew")
	require.ErrorContains(t, judge(series(1, 0)[1:]), "99 samples")
	untold := series(3, 0.1)
	for i := range untold {
		untold[i][3] = math.NaN()
	}
	require.NoError(t, judge(untold), "a system that does not tell")
}

func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		add  func(*tally)
		want ends
	}{
		"all well": {func(t *tally) {}, ends{outputs: 9, letters: 1}},
		"lost":     {func(t *tally) { t.of = append(t.of, 0) }, ends{outputs: 9, letters: 1, lost: 1}},
		"twice":    {func(t *tally) { t.add("3", false) }, ends{outputs: 10, letters: 1, doubled: 1}},
		"both":     {func(t *tally) { t.add("7", false) }, ends{outputs: 10, letters: 1, doubled: 1, astray: 1}},
		"unknown":  {func(t *tally) { t.add("10", false) }, ends{outputs: 10, letters: 1, astray: 1}},
		"no ID":    {func(t *tally) { t.add("", true) }, ends{outputs: 9, letters: 2, astray: 1}},
	} {
		counted := tally{of: make([]uint16, 10)}
		for _, id := range []string{"0", "1", "2", "3", "4", "5", "6", "8", "9"} {
			counted.add(id, false)
		}
		counted.add("7", true)
		c.add(&counted)
		got := counted.sum()
		require.Equal(t, c.want, got, name)
		require.Equal(t, name == "all well", got.fault() == nil, name)
	}
}
