package records_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/internal/records"
)

func brief(r records.Record) string {
	return fmt.Sprintf("%d@%d %s", r.Number, r.Line, r.Data)
}

// lines are n records of one column with the same value. The first one has the
// given number, and the line after the header's.
func lines(n, number int, value string) (want []string) {
	for i := range n {
		want = append(want, fmt.Sprintf(`%d@%d {"a":%q}`, number+i, number+i+1, value))
	}
	return want
}

func TestCSV(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		input string
		want  []string
	}{
		"only a header": {"a,b\n", nil},
		"rows":          {"a,b\n1,2\n3,4\n", []string{`1@2 {"a":"1","b":"2"}`, `2@3 {"a":"3","b":"4"}`}},
		"no last end":   {"a\n1", []string{`1@2 {"a":"1"}`}},
		"CRLF":          {"a,b\r\n1,2\r\n", []string{`1@2 {"a":"1","b":"2"}`}},
		"BOM":           {"\uFEFFa,b\n1,2\n", []string{`1@2 {"a":"1","b":"2"}`}},
		"BOM, quoted":   {"\uFEFF\"a\",b\n1,2\n", []string{`1@2 {"a":"1","b":"2"}`}},
		"blank lines":   {"\n\r\na\n\n1\n\n\n2\n\n", []string{`1@5 {"a":"1"}`, `2@8 {"a":"2"}`}},
		"quoted":        {"a,b\n\"1,5\",\"say \"\"hi\"\"\"\n", []string{`1@2 {"a":"1,5","b":"say \"hi\""}`}},
		"newline":       {"a,b\n\"x\r\n\r\ny\",2\n3,4\n", []string{`1@2 {"a":"x\n\ny","b":"2"}`, `2@5 {"a":"3","b":"4"}`}},
		"empty fields":  {"a,b,c\n,,\n\"\",,\"\"\n", []string{`1@2 {"a":"","b":"","c":""}`, `2@3 {"a":"","b":"","c":""}`}},
		"spaces kept":   {"a, b\n 1 ,2 \n", []string{`1@2 {"a":" 1 "," b":"2 "}`}},
		"header order":  {"z,a,m\n1,2,3\n", []string{`1@2 {"z":"1","a":"2","m":"3"}`}},
		"escapes":       {"a\n\"\\\t\x01\x1f/<&>é\u2028😀\"\n", []string{"1@2 {\"a\":\"\\\\\\t\\u0001\\u001f/<&>é\u2028😀\"}"}},
		"header quotes": {"\"a \"\"x\"\"\",\"b,c\"\n1,2\n", []string{`1@2 {"a \"x\"":"1","b,c":"2"}`}},
		"lone CR":       {"a\nx\ry\n", []string{`1@2 {"a":"x\ry"}`}},

		"too few":      {"a,b\n1,2\n3\n4,5\n", []string{`1@2 {"a":"1","b":"2"}`, `in.csv:3: 1 fields, expected 2`, `3@4 {"a":"4","b":"5"}`}},
		"too many":     {"a,b\n1,2,3\n4,5\n", []string{`in.csv:2: 3 fields, expected 2`, `2@3 {"a":"4","b":"5"}`}},
		"swallowed":    {"a,b\n\"1,2\n3,4\n5\",6,7\n8,9\n", []string{`in.csv:2: 3 fields, expected 2 (the record ends on line 4)`, `2@5 {"a":"8","b":"9"}`}},
		"bare quote":   {"a,b\n5\" pipe,2\n3,4\n", []string{`in.csv:2: field 1: quote in an unquoted field`, `2@3 {"a":"3","b":"4"}`}},
		"after quote":  {"a,b\n1,\"x\" y\n3,4\n", []string{`in.csv:2: field 2: text after the closing quote`, `2@3 {"a":"3","b":"4"}`}},
		"not closed":   {"a,b\n1,\"x\n3,4\n\n5,6", []string{`in.csv:2: field 2: the quote is not closed`, `2@3 {"a":"3","b":"4"}`, `3@5 {"a":"5","b":"6"}`}},
		"last line":    {"a\n1\n\"", []string{`1@2 {"a":"1"}`, `in.csv:3: field 1: the quote is not closed`}},
		"again, later": {"a,b\n1,\"x\n3,\"4\"\n5,\"y\n7,8\n", []string{`in.csv:2: field 2: text after the closing quote`, `2@3 {"a":"3","b":"4"}`, `in.csv:4: field 2: the quote is not closed`, `4@5 {"a":"7","b":"8"}`}},
		"invalid UTF8": {"a,b\nx,\xff\n3,4\n", []string{`in.csv:2: field 2: invalid UTF-8 at byte 1`, `2@3 {"a":"3","b":"4"}`}},
		"split rune":   {"a,b\n\xc3,\xa9\n3,4\n", []string{`in.csv:2: field 1: invalid UTF-8 at byte 1`, `2@3 {"a":"3","b":"4"}`}},
		"NUL":          {"a,b\nx,y\x00\n3,4\n", []string{`in.csv:2: field 2: NUL byte at byte 2`, `2@3 {"a":"3","b":"4"}`}},
		"bad, 2 lines": {"a,b\n1,\"x\n\xff\"\n3,4\n", []string{`in.csv:2: field 2: invalid UTF-8 at byte 3`, `2@4 {"a":"3","b":"4"}`}},
		"CR before LF": {"a\n\"\nx\r\r\n1\n", []string{`in.csv:2: field 1: the quote is not closed`, `2@3 {"a":"x\r"}`, `3@4 {"a":"1"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, read(t, open(t, c.input, "in.csv", records.CSV, "")))
		})
	}
}

func TestCSVHeaderFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ input, want string }{
		"no input":   {"", `line 1: no header row`},
		"only blank": {"\n\n", `line 1: no header row`},
		"duplicate":  {"a,b,a\n1,2,3\n", `line 1: column 3 has the name "a" of column 1`},
		"empty":      {"a,,c\n", `line 1: column 2 has no name`},
		"spaces":     {"a,b, \n", `line 1: column 3 has no name`},
		"newline":    {"a,\"b\nc\"\n", `line 1: column 2: control character in the name "b\nc"`},
		"old Mac":    {"a,b\r1,2\r", `line 1: column 2: control character in the name "b\r1"`},
		"quote":      {"a,b\"\n1,2\n", `line 1: field 2: quote in an unquoted field`},
		"UTF-16":     {"\xff\xfea\x00,\x00b\x00\n\x00", `line 1: field 1: NUL byte at byte 4`},
		"binary":     {"\x89PNG\r\n\x1a\n", `line 1: field 1: invalid UTF-8 at byte 1`},
		"later line": {"\n\na,a\n", `line 3: column 2 has the name "a" of column 1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := records.NewReader(strings.NewReader(c.input), "dir/in.csv", records.CSV, "")
			require.EqualError(t, err, `read the header of "dir/in.csv": `+c.want)
			require.Nil(t, r)
		})
	}
}

// A stray quote must not cost time in the square of the file's size: 50,000
// lines, each of which opens a field that only the next one ends.
func TestCSVResynchronisesInLinearTime(t *testing.T) {
	t.Parallel()
	const n = 50_000
	input := "a,b\n" + strings.Repeat("1,\"x\n", n) + strings.Repeat("\n", n)
	got := read(t, open(t, input, "in.csv", records.CSV, ""))
	require.Len(t, got, n)
	require.Equal(t, "in.csv:2: field 2: text after the closing quote", got[0])
	require.Equal(t, "in.csv:50001: field 2: the quote is not closed", got[n-1])
}
