package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each mutant still fits the code. Whether a test notices it takes a run of the
// command.
func TestMutantsApply(t *testing.T) {
	mutants, err := load("testdata")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(mutants), 12)
	changed := map[string]string{} // by what changed it
	for _, m := range mutants {
		require.NotEmpty(t, m.rules, m.name)
		files, err := m.apply(filepath.Join("..", ".."))
		require.NoError(t, err)
		var all strings.Builder
		for _, c := range m.changes {
			all.WriteString(files[filepath.Join("..", "..", c.file)])
		}
		require.NotContains(t, changed, all.String(), "%s changes what another mutant changes", m.name)
		changed[all.String()] = m.name
	}
}

func TestParse(t *testing.T) {
	m, err := parse("two", []byte(`It breaks things (R001, R131)
-- a/b.go --
<<<<
	one
	two
====
	three
>>>>

<<<<
	four
====
>>>>
-- c.go --
<<<<
====, not a marker
====

>>>>
`))
	require.NoError(t, err)
	require.Equal(t, mutant{
		name: "two", does: "It breaks things", rules: []int{1, 131},
		changes: []change{
			{"a/b.go", "\tone\n\ttwo\n", "\tthree\n"},
			{"a/b.go", "\tfour\n", ""},
			{"c.go", "====, not a marker\n", "\n"},
		},
	}, m)
}

func TestParseFindsFaults(t *testing.T) {
	const good = "It breaks things (R001)\n-- a.go --\n<<<<\nold\n====\nnew\n>>>>\n"
	_, err := parse("good", []byte(good))
	require.NoError(t, err)
	for name, c := range map[string]struct{ from, to, want string }{
		"no rule":        {" (R001)", "", "first line"},
		"a short rule":   {"R001", "R1", "first line"},
		"two lines":      {"things", "things\nbadly", "first line"},
		"no such rule":   {"R001", "R132", "no rule R132"},
		"rule zero":      {"R001", "R000", "no rule R000"},
		"no file":        {"-- a.go --\n", "", "first line"},
		"nothing at all": {"-- a.go --\n<<<<\nold\n====\nnew\n>>>>\n", "", "changes nothing"},
		"an empty file":  {"<<<<\nold\n====\nnew\n>>>>\n", "", "a.go: it has no change"},
		"no end":         {">>>>\n", "", "a.go: a change is lines"},
		"no middle":      {"====\n", "", "a.go: a change is lines"},
		"text beside it": {"<<<<\n", "text\n<<<<\n", "a.go: a change is lines"},
		"text after it":  {">>>>\n", ">>>>\ntext\n", "a.go: a change is lines"},
		"nothing old":    {"old\n", "", "no old lines"},
		"no difference":  {"new\n", "old\n", "changes nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, good, c.from)
			_, err := parse("bad", []byte(strings.Replace(good, c.from, c.to, 1)))
			require.ErrorContains(t, err, c.want)
		})
	}
}

// Lines are found once, as whole lines, or the mutant is out of date.
func TestApply(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a", "b.go")
	write(t, path, "if a {\n\tif b {\n\t\tdo()\n\t}\n}\nend\nend\n")
	apply := func(changes ...change) (map[string]string, error) {
		for i := range changes {
			changes[i].file = "a/b.go"
		}
		return mutant{name: "m", changes: changes}.apply(root)
	}
	files, err := apply(change{old: "if a {\n", new: "{\n"}, change{old: "\t\tdo()\n", new: ""})
	require.NoError(t, err)
	require.Equal(t, map[string]string{path: "{\n\tif b {\n\t}\n}\nend\nend\n"}, files)

	for old, times := range map[string]string{"gone\n": "0 times", "end\n": "2 times", "\tdo()\n": "0 times", "if a\n": "0 times"} {
		_, err := apply(change{old: old, new: "x\n"})
		require.ErrorContains(t, err, "mutant m: the engine changed, update the mutant: a/b.go has these lines "+times)
	}
	_, err = mutant{name: "m", changes: []change{{"gone.go", "a\n", "b\n"}}}.apply(root)
	require.ErrorContains(t, err, "mutant m: the engine changed")
}

// The tests that must notice are those of what is changed.
func TestPackages(t *testing.T) {
	of := func(files ...string) []string {
		var m mutant
		for _, file := range files {
			m.changes = append(m.changes, change{file: file})
		}
		return m.packages()
	}
	require.Equal(t, engine, of("engine/a.go", "engine/b.go"))
	require.Equal(t, engine, of("internal/resilience/a.go"))
	require.Equal(t, []string{"./bus", "./connectors/memory"}, of("connectors/memory/a.go", "bus/b.go"))
}

func TestPick(t *testing.T) {
	all := func() []mutant { return []mutant{{name: "a"}, {name: "b"}, {name: "c"}} }
	picked, err := pick(all(), nil)
	require.NoError(t, err)
	require.Len(t, picked, 3)
	picked, err = pick(all(), []string{"c", "a"})
	require.NoError(t, err)
	require.Equal(t, []mutant{{name: "a"}, {name: "c"}}, picked)
	_, err = pick(all(), []string{"a", "d"})
	require.ErrorContains(t, err, "there is no testdata/d.txt")
}

func TestLoadNamesEveryFault(t *testing.T) {
	dir := t.TempDir()
	_, err := load(dir)
	require.ErrorContains(t, err, "no mutant")
	write(t, filepath.Join(dir, "a.txt"), "no rules")
	write(t, filepath.Join(dir, "b.txt"), "It has rules (R001)")
	_, err = load(dir)
	require.ErrorContains(t, err, "mutant a: its first line")
	require.ErrorContains(t, err, "mutant b: it changes nothing")
}

func TestJudge(t *testing.T) {
	const begins = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/one"}
{"Action":"output","Package":"p","Test":"TestA/one","Output":"text\n"}
`
	for name, c := range map[string]struct {
		events string
		want   verdict
		says   string
	}{
		"all pass": {begins + `{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}`, verdict{}, "SURVIVED"},
		"one fails": {begins + `{"Action":"fail","Package":"p","Test":"TestA/one"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`, verdict{failed, "TestA/one"}, "caught by TestA/one"},
		"the process dies": {begins + `{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"fail","Package":"p"}`, verdict{crashed, "TestA"}, "caught by TestA, which crashed"},
		"it hangs": {begins + `{"Action":"output","Package":"p","Test":"TestA/one","Output":"panic: test timed out after 1m0s\n"}
{"Action":"fail","Package":"p","Test":"TestA/one"}
{"Action":"fail","Package":"p"}`, verdict{timedOut, "TestA/one"}, "caught: timeout in TestA/one"},
		"a goroutine is left over": {`{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`, verdict{leftOver, "p"}, "caught at the end of the tests of p"},
		"another package goes on": {begins + `{"Action":"run","Package":"q","Test":"TestB"}
{"Action":"fail","Package":"q","Test":"TestB"}
{"Action":"fail","Package":"q"}
{"Action":"fail","Package":"p"}`, verdict{failed, "TestB"}, "caught by TestB"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := judge(strings.NewReader(c.events))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, c.says, got.String())
		})
	}
	_, err := judge(strings.NewReader(begins + `{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"q","FailedBuild":"q [q.test]"}`))
	require.ErrorContains(t, err, "the tests of q do not build")
	_, err = judge(strings.NewReader("go: no such tool"))
	require.Error(t, err)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}
