package records_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/internal/records"
)

// FuzzCSV: whatever the input, each step is a record with valid JSON or a
// malformed error, on a later line than the one before. Where encoding/csv reads
// the whole input without a complaint the records are the same.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"a,b\n1,2\n", "a,b\r\n1,\"x\r\ny\"\r\n\r\n3\r\n", "\uFEFFa\n\"\"\"\"\n\"", "a\n\"x\ny\n\"z\"\n", "a,b\n\xff,\x00\n",
		"a\n\"\nx\r\r\n1\n", "a,b\n\"1,2\n3,4\n5\",6,7\n", "a\n" + strings.Repeat("z\n", 40) + "\"" + strings.Repeat("z\n", 40),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input string) {
		const limit = 64
		r, err := records.NewReaderOfMax(strings.NewReader(input), "in.csv", records.CSV, "{n}", limit)
		if err != nil {
			require.Nil(t, r)
			require.ErrorContains(t, err, `"in.csv": line `)
			return
		}
		var rows [][]string
		before, steps, malformed := 1, 0, 0
		for {
			record, err := r.Next()
			if err == io.EOF {
				break
			}
			steps++
			at := record.Line
			if err != nil {
				bad, ok := errors.AsType[*records.MalformedError](err)
				require.True(t, ok, "%v", err)
				require.NotEmpty(t, bad.Reason)
				at = bad.Line
				malformed++
			} else {
				require.Equal(t, steps, record.Number)
				rows = append(rows, values(t, record.Data))
			}
			require.Greater(t, at, before)
			before = at
		}
		require.LessOrEqual(t, before, 1+strings.Count(input, "\n"))

		if want, ok := reference(input, limit); ok {
			require.Zero(t, malformed)
			require.Equal(t, want, rows)
		}
	})
}

// reference is what encoding/csv makes of the input, if it accepts it and it
// holds nothing that is refused by rule.
func reference(input string, limit int) ([][]string, bool) {
	input = strings.TrimPrefix(input, "\uFEFF")
	if !utf8.ValidString(input) || strings.ContainsRune(input, 0) || len(input) > limit {
		return nil, false
	}
	all, err := csv.NewReader(strings.NewReader(input)).ReadAll()
	if err != nil || len(all) < 2 {
		return nil, false
	}
	return all[1:], true
}

// values are the object's values in their order; it may hold strings only.
func values(t *testing.T, object []byte) (values []string) {
	require.True(t, json.Valid(object), "%s", object)
	require.True(t, utf8.Valid(object), "%s", object)
	d := json.NewDecoder(bytes.NewReader(object))
	var names []string
	_, err := d.Token()
	require.NoError(t, err)
	for d.More() {
		name, err := d.Token()
		require.NoError(t, err)
		value, err := d.Token()
		require.NoError(t, err)
		require.NotContains(t, names, name)
		names = append(names, name.(string))
		values = append(values, value.(string))
	}
	return values
}

// FuzzJSONL: each line that is not blank is one step, and a record's data is the
// line, trimmed.
func FuzzJSONL(f *testing.F) {
	f.Add("{}\n\n[1]\r\nx\n")
	f.Add("\uFEFF1\n \"\xff\"\n\x00")
	f.Fuzz(func(t *testing.T, input string) {
		r, err := records.NewReader(strings.NewReader(input), "in", records.JSONL, "{n}")
		require.NoError(t, err)
		in := strings.Split(strings.TrimPrefix(input, "\uFEFF"), "\n")
		steps := 0
		for {
			record, err := r.Next()
			if err == io.EOF {
				break
			}
			if steps++; err == nil {
				require.Equal(t, strings.Trim(in[record.Line-1], " \t\r"), string(record.Data))
				require.True(t, json.Valid(record.Data))
			}
		}
		blank := func(s string) bool { return strings.Trim(s, " \t\r") == "" }
		require.Equal(t, len(slices.DeleteFunc(in, blank)), steps)
	})
}

// FuzzTemplate: a template is refused, or each ID it makes fits in a header and
// comes out again the same.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"{n}", "{file}-{n}-{hash}", "{{{field:a}}}", "{field:b", "}}{line}", "{field:a} "} {
		f.Add(seed, `{"a":"x"}`)
	}
	f.Add("{field:a}", `{"a":"\r\n"}`)
	f.Fuzz(func(t *testing.T, template, record string) {
		var first []string
		for range 2 {
			r, err := records.NewReader(strings.NewReader(record), "in", records.JSONL, template)
			if err != nil {
				require.ErrorContains(t, err, "ID template")
				return
			}
			var ids []string
			for {
				record, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					ids = append(ids, err.Error())
					continue
				}
				require.NotEmpty(t, record.ID)
				require.Equal(t, strings.TrimSpace(record.ID), record.ID)
				require.False(t, strings.ContainsFunc(record.ID, unicode.IsControl), "%q", record.ID)
				ids = append(ids, record.ID)
			}
			if first == nil {
				first = ids
			}
			require.Equal(t, first, ids)
		}
	})
}
