package docs_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	page, err := parse("a\n```sh run fails\nfalse\n```\n<!--\n```go file=a/b.go\npackage b\n```\n-->\n```\nx\n```\n")
	require.NoError(t, err)
	require.Equal(t, []snippet{
		{line: 3, lang: "sh", marks: []string{"run", "fails"}, text: "false\n"},
		{line: 7, lang: "go", marks: []string{"file=a/b.go"}, text: "package b\n"},
		{line: 11, marks: []string{}, text: "x\n"},
	}, page)
	name, more := page[1].file()
	require.Equal(t, "a/b.go", name)
	require.False(t, more)
	name, more = snippet{marks: []string{"add=a"}}.file()
	require.Equal(t, "a", name)
	require.True(t, more)
	require.True(t, marked(page[1:2]))
	require.False(t, marked(page[2:]))
	require.NoError(t, check(page))
	_, err = parse("```sh run\ntrue\n")
	require.ErrorContains(t, err, "line 2")
}

func TestCheckRefusesWhatWouldBePassedOver(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"```sh\n```", "```sh fails\n```", "```sh rnu\n```", "```go\n```", "```go file=../a.go\n```", "```go run\n```",
		"```output\n```", "```sh ignored\n```\n```output\n```", "```sh run ignored\n```", "```sh run\n```\n```output x\n```",
	} {
		page, err := parse(bad)
		require.NoError(t, err)
		require.Error(t, check(page), bad)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a\nb\n", "a\nb", true}, {"a\n", "a\nb\n", false}, {"a\n", "", false}, {"a.\n", "ab\n", false},
		{"a … c\n", "a b c\n", true}, {"a … c\n", "a b\nc\n", false}, {"a\n", "a  \n", true},
		{"…\nb\n", "a\nb\n", true}, {"…\nb\n", "b\n", true}, {"a\n…\n", "a\nb\nc\n", true}, {"a\n…\nd\n", "a\nb\nc\n", false},
	} {
		require.Equal(t, c.ok, matches(c.want, c.got), "%q %q", c.want, c.got)
	}
}
