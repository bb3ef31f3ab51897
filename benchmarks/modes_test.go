package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/benchmarks/harness"
	"github.com/ergon-framework/ergon/benchmarks/tasks"
	"github.com/ergon-framework/ergon/benchmarks/work"
)

// What was measured can be shown again, and is the same then.
func TestKeepAndShowAgain(t *testing.T) {
	dir := t.TempDir()
	kept, svg, again := filepath.Join(dir, "kept.json"), filepath.Join(dir, "a.svg"), filepath.Join(dir, "b.svg")
	var out, shown, progress bytes.Buffer
	err := run(t.Context(), []string{"-n", "100", "-rounds", "2", "-w", "W1,W2", "-c", "raw-wire,ergon", "-svg", svg, "-json", kept}, &out, &progress)
	require.NoError(t, err, progress.String())
	require.NoError(t, run(t.Context(), []string{"-from", kept, "-svg", again}, &shown, &progress))
	require.Equal(t, out.String(), shown.String())
	first, err := os.ReadFile(svg)
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(first, new(struct{})))
	second, err := os.ReadFile(again)
	require.NoError(t, err)
	require.Equal(t, string(first), string(second))
	r, err := harness.ReadRecord(kept)
	require.NoError(t, err)
	require.Len(t, r.Results, 2*2*2)
}

func TestFlat(t *testing.T) {
	var out, progress bytes.Buffer
	err := run(t.Context(), []string{"-flat", "-n", "300", "-rounds", "1", "-backlogs", "100,400"}, &out, &progress)
	require.NoError(t, err, progress.String())
	require.Regexp(t, `backlog +repeated[^\n]+\n +100 +3 [^\n]+\n +400 +1 `, out.String())
	require.Regexp(t, `tasks +repeated[^\n]+\n +1 [^\n]+\n +10 [^\n]+\n +100 `, out.String())
	require.Regexp(t, `tasks-raw +repeated[^\n]+\n +1 [^\n]+\n +10 [^\n]+\n +100 `, out.String())
	require.Regexp(t, `tasks-apart +repeated[^\n]+\n +1 [^\n]+\n +10 [^\n]+\n +100 `, out.String())
	require.Regexp(t, `slots +repeated[^\n]+\n +1 [^\n]+\n +16 [^\n]+\n +256 [^\n]+\n +4096 `, out.String())
}

// Tasks that get their transactions as they are published do no more a second than that.
func TestFlatPaced(t *testing.T) {
	var out, progress bytes.Buffer
	err := run(t.Context(), []string{"-flat", "-n", "300", "-rounds", "1", "-backlogs", "", "-slots", "", "-tasks", "2", "-paced", "600"}, &out, &progress)
	require.NoError(t, err, progress.String())
	require.Contains(t, out.String(), "they get 600 transactions a second together")
	rates := regexp.MustCompile(`(?m)^ +2 +1 +\S+ +1\.00 +(\d+) `).FindAllStringSubmatch(out.String(), -1)
	require.Len(t, rates, 3, out.String())
	for _, r := range rates {
		rate, err := strconv.Atoi(r[1])
		require.NoError(t, err)
		require.LessOrEqual(t, rate, 600*300/299+1, "the first is due at once")
	}
}

func TestScale(t *testing.T) {
	var out, progress bytes.Buffer
	err := run(t.Context(), []string{"-scale", "-n", "600", "-rounds", "1"}, &out, &progress)
	require.NoError(t, err, progress.String())
	require.Regexp(t, `(?m)^ +1 +\d+ +1\.00 +100\.0 % `, out.String())
	require.Regexp(t, `(?m)^ +3 +\d+ +\d\.\d\d( +\d+\.\d %){3} `, out.String())
}

// swaps publishes each output where its neighbour's belongs.
func swaps(ctx context.Context, job *work.Job) error {
	job.Parts[0].Output, job.Parts[1].Output = job.Parts[1].Output, job.Parts[0].Output
	return tasks.Run(ctx, job)
}

// The other modes believe a contender no more than the comparison does.
func TestLiarsAreFoundInModes(t *testing.T) {
	for name, c := range map[string]struct {
		measure func(contender string) error
		find    map[string]string
	}{
		"flat": {func(name string) error {
			_, err := harness.Flat(t.Context(), harness.FlatOptions{N: 90, Rounds: 1, Backlogs: []int64{30}, One: name, Timeout: time.Minute})
			return err
		}, map[string]string{"drops": "1 lost", "doubles": "1 duplicates", "miscalculates": "the sum of the totals stored", "ends": "the contender ended before"}},
		"tasks": {func(name string) error {
			_, err := harness.Flat(t.Context(), harness.FlatOptions{N: 10, Rounds: 1, Tasks: []int{2}, Many: name, Timeout: time.Minute})
			return err
		}, map[string]string{"swaps": "and not at out."}},
		"scale": {func(name string) error {
			_, err := harness.Scale(t.Context(), harness.ScaleOptions{N: 90, Rounds: 1, Processes: []int{2}, Contender: name, Timeout: time.Minute})
			return err
		}, map[string]string{"drops": "1 lost", "doubles": "1 duplicates", "miscalculates": "the sum of the totals stored", "ends": "the contender ended before"}},
	} {
		for contender, found := range c.find {
			t.Run(name+"/"+contender, func(t *testing.T) { // in turns: each has a server of its own
				require.ErrorContains(t, c.measure(contender), found)
			})
		}
	}
}

// A run that gets nowhere ends by -timeout, and with it all that was started.
func TestModesAreBounded(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	_, err := harness.Flat(t.Context(), harness.FlatOptions{N: 10, Rounds: 1, Backlogs: []int64{10}, One: "idles", Timeout: 300 * time.Millisecond})
	require.ErrorContains(t, err, "-timeout is too short")
	_, err = harness.Scale(t.Context(), harness.ScaleOptions{N: 10, Rounds: 1, Processes: []int{2}, Contender: "idles", Timeout: 300 * time.Millisecond})
	require.ErrorContains(t, err, "-timeout is too short")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestFlagsOfModes(t *testing.T) {
	for args, want := range map[string]string{
		"-flat -scale":                     "exclude each other",
		"-http -flat":                      "exclude each other",
		"-http -w W1":                      "-w means nothing with -http",
		"-http -n 1":                       "two requests",
		"-flat -c raw":                     "-c means nothing with -flat",
		"-scale -svg x":                    "-svg means nothing with -scale",
		"-from x -n 5":                     "-n means nothing with -from",
		"-from nowhere.json":               "nowhere.json",
		"-backlogs 5":                      "with -flat only",
		"-flat -backlogs 5,x":              `"x" is no number`,
		"-flat -backlogs 0":                "a backlog of 0",
		"-tasks 5":                         "with -flat only",
		"-flat -tasks 0":                   "must be 1 and above",
		"-flat -slots 1,-4":                "must be 1 and above",
		"-paced 5":                         "with -flat only",
		"-flat -paced -5":                  "-paced must be 0 or above",
		"-flat -slots x":                   `-slots: "x" is no number`,
		"-flat -backlogs= -tasks= -slots=": "nothing to measure",
		"-scale -n 1":                      "two transactions",
		"-flat -rounds 0":                  "one round",
		"-json no/such/dir/f":              "is not a directory",
		"-svg modes_test.go/xy":            "is not a directory",
	} {
		err := run(t.Context(), strings.Fields(args), &bytes.Buffer{}, &bytes.Buffer{})
		require.ErrorContains(t, err, want, args)
	}
}
