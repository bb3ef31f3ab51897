package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestCheckSubject(t *testing.T) {
	for _, s := range []string{"a", "a.b", "A-1_x.$y", "é.b"} {
		require.NoError(t, checkSubject(s, false), s)
	}
	for _, s := range []string{"*", ">", "a.*", "*.b.>", "a.>"} {
		require.NoError(t, checkSubject(s, true), s)
		require.Error(t, checkSubject(s, false), s)
	}
	for _, s := range []string{"", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\x00", "a*", "a.>.b", ">.a", "a.b>", "**", "a\u00a0b", "a\n"} {
		require.Error(t, checkSubject(s, true), "%q", s)
	}
}

func TestCheckName(t *testing.T) {
	for _, s := range []string{"RETAIL", "a-b_c", "$x", "é"} {
		require.NoError(t, checkName("stream", s), s)
	}
	for _, s := range []string{"", "a b", "a.b", "a*", ">", "a/b", `a\b`, "a\n", "\x7f", strings.Repeat("x", 256)} {
		require.Error(t, checkName("stream", s), "%q", s)
	}
}

// matches is the meaning of a pattern, written down as plainly as possible.
func matches(pattern, subject []string) bool {
	switch {
	case len(pattern) == 0:
		return len(subject) == 0
	case len(subject) == 0:
		return false
	case pattern[0] == ">":
		return true
	default:
		return (pattern[0] == "*" || pattern[0] == subject[0]) && matches(pattern[1:], subject[1:])
	}
}

// all is every subject of up to four tokens, of three that can be told apart and
// that patterns name only two of.
func all() [][]string {
	var out [][]string
	level := [][]string{nil}
	for range 4 {
		var next [][]string
		for _, s := range level {
			for _, t := range []string{"a", "b", "other"} {
				next = append(next, append(append([]string{}, s...), t))
			}
		}
		out, level = append(out, next...), next
	}
	return out
}

// Patterns of three tokens or fewer are told apart by subjects of four or fewer.
func TestPatterns(t *testing.T) {
	subjects := all()
	pattern := rapid.Custom(func(t *rapid.T) string {
		tokens := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*"}), 1, 3).Draw(t, "tokens")
		if rapid.Bool().Draw(t, "rest") {
			tokens[len(tokens)-1] = ">"
		}
		return strings.Join(tokens, ".")
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := pattern.Draw(t, "a"), pattern.Draw(t, "b")
		as, bs := strings.Split(a, "."), strings.Split(b, ".")
		wantCovers, wantOverlap := true, false
		for _, s := range subjects {
			inA, inB := matches(as, s), matches(bs, s)
			wantCovers = wantCovers && (!inB || inA)
			wantOverlap = wantOverlap || inA && inB
		}
		require.Equal(t, wantCovers, covers(a, b), "%s covers %s", a, b)
		require.Equal(t, wantOverlap, overlap(a, b), "%s overlaps %s", a, b)
		require.Equal(t, overlap(a, b), overlap(b, a))

		patterns := rapid.SliceOfN(pattern, 0, 6).Draw(t, "patterns")
		kept := union(patterns)
		require.IsIncreasing(t, append([]string{""}, kept...))
		for _, p := range patterns {
			_, ok := coveredBy(kept, p)
			require.True(t, ok, "%s in %s", p, kept)
		}
		for i, p := range kept {
			_, ok := coveredBy(append(append([]string{}, kept[:i]...), kept[i+1:]...), p)
			require.False(t, ok, "%s twice in %s", p, kept)
		}
	})
}
