package records_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/internal/records"
)

// read returns what a reader gives, a line for each call of Next: the record's
// number, line and data, or the error's text.
func read(t *testing.T, r *records.Reader) (got []string) {
	t.Helper()
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			_, again := r.Next()
			require.ErrorIs(t, again, io.EOF, "the end stays the end")
			return got
		}
		if err != nil {
			require.Zero(t, record)
			got = append(got, err.Error())
			if _, ok := errors.AsType[*records.MalformedError](err); !ok {
				_, again := r.Next()
				require.Equal(t, err, again, "an error of the input stays")
				return got
			}
			continue
		}
		got = append(got, brief(record))
	}
}

func open(t *testing.T, input, name string, format records.Format, id string) *records.Reader {
	t.Helper()
	r, err := records.NewReader(strings.NewReader(input), name, format, id)
	require.NoError(t, err)
	return r
}

func TestFormatOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]records.Format{
		"":                  records.JSONL,
		"-":                 records.JSONL,
		"orders.csv":        records.CSV,
		"in/ORDERS.CSV":     records.CSV,
		"orders.jsonl":      records.JSONL,
		"orders.ndjson":     records.JSONL,
		"order.json":        records.Raw,
		"a.BIN":             records.Raw,
		"photo.jpg":         "",
		"csv":               "",
		"orders.csv.backup": "",
		"orders.json.gz":    "",
		"orders.tsv":        "",
	} {
		require.Equal(t, want, records.FormatOf(name), name)
	}
}

func TestParseFormat(t *testing.T) {
	t.Parallel()
	for _, f := range []records.Format{records.CSV, records.JSONL, records.Raw} {
		got, err := records.ParseFormat(string(f))
		require.NoError(t, err)
		require.Equal(t, f, got)
	}
	_, err := records.ParseFormat("xml")
	require.EqualError(t, err, `format "xml" is not known: use csv, jsonl or raw`)
	_, err = records.NewReader(strings.NewReader(""), "x", "xml", "")
	require.ErrorContains(t, err, "use csv, jsonl or raw")
}

func TestJSONL(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		input string
		want  []string
	}{
		"empty":        {"", nil},
		"blank lines":  {"\n \t\r\n\n", nil},
		"values":       {"{\"a\": 1}\n[1, 2]\n\"x\"\n1.50\nnull\n", []string{`1@1 {"a": 1}`, `2@2 [1, 2]`, `3@3 "x"`, `4@4 1.50`, `5@5 null`}},
		"no last end":  {"{}\n{}", []string{`1@1 {}`, `2@2 {}`}},
		"CRLF":         {"{}\r\n\r\n{}\r\n", []string{`1@1 {}`, `2@3 {}`}},
		"BOM":          {"\uFEFF{}\n", []string{`1@1 {}`}},
		"trimmed":      {" \t{ \"a\" : 1 }  \n", []string{`1@1 { "a" : 1 }`}},
		"order kept":   {`{"b":1,"a":2}`, []string{`1@1 {"b":1,"a":2}`}},
		"cut off":      {"{}\n{\"a\":\n{}\n", []string{`1@1 {}`, `in.jsonl:2: not a JSON value: unexpected end of JSON input at byte 5`, `3@3 {}`}},
		"two on one":   {"{} {}\n{}", []string{`in.jsonl:1: not a JSON value: invalid character '{' after top-level value at byte 4`, `2@2 {}`}},
		"offset":       {"  x\n", []string{`in.jsonl:1: not a JSON value: invalid character 'x' looking for beginning of value at byte 3`}},
		"NUL":          {"\"a\x00\"\n1\n", []string{`in.jsonl:1: NUL byte at byte 3`, `2@2 1`}},
		"bad UTF-8":    {"\"ä\xff\"\n1\n", []string{`in.jsonl:1: invalid UTF-8 at byte 4`, `2@2 1`}},
		"foreign line": {"ID,NAME\n1\n", []string{`in.jsonl:1: not a JSON value: invalid character 'I' looking for beginning of value at byte 1`, `2@2 1`}},
		"NBSP":         {"\u00a01\n", []string{"in.jsonl:1: not a JSON value: invalid character 'Â' looking for beginning of value at byte 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, read(t, open(t, c.input, "in.jsonl", records.JSONL, "")))
		})
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	const input = "\uFEFFa\r\n\x00\xff\n"
	r := open(t, input, "dir/photo.bin", records.Raw, "")
	record, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, []byte(input), record.Data, "not a byte is changed")
	require.Equal(t, 1, record.Number)
	require.Equal(t, 1, record.Line)
	require.Equal(t, "application/octet-stream", record.ContentType)
	_, err = r.Next()
	require.Equal(t, io.EOF, err)

	record, err = open(t, "{}", "order.JSON", records.Raw, "fixed").Next()
	require.NoError(t, err)
	require.Equal(t, "application/json", record.ContentType)
	require.Equal(t, "fixed", record.ID, "one record may have a constant ID")

	record, err = open(t, "", "empty.bin", records.Raw, "").Next()
	require.NoError(t, err)
	require.Empty(t, record.Data)
}

func TestContentTypeOfRows(t *testing.T) {
	t.Parallel()
	for _, f := range []records.Format{records.CSV, records.JSONL} {
		record, err := open(t, "1\n2\n", "-", f, "").Next()
		require.NoError(t, err)
		require.Equal(t, "application/json", record.ContentType)
	}
}

// A record at the limit is read, one byte more is not, and what follows is read
// again.
func TestLimit(t *testing.T) {
	t.Parallel()
	const limit = 100
	exact, over := strings.Repeat("x", limit-2), strings.Repeat("x", limit-1)
	huge := strings.Repeat("y", 1<<20)
	for name, c := range map[string]struct {
		format records.Format
		input  string
		want   []string
	}{
		"jsonl": {records.JSONL, `"` + exact + "\"\r\n\"" + over + "\"\n\"" + huge + "\"\n1\n", []string{
			`1@1 "` + exact + `"`, "in:2: record is larger than 100 bytes", "in:3: record is larger than 100 bytes", "4@4 1",
		}},
		"jsonl, last": {records.JSONL, "1\n" + huge, []string{"1@1 1", "in:2: record is larger than 100 bytes"}},
		"csv":         {records.CSV, "a\n" + huge + "\n1\n", []string{"in:2: record is larger than 100 bytes", `2@3 {"a":"1"}`}},
		"csv, many lines": {records.CSV, "a\n\"" + strings.Repeat("z\n", 60) + "\"\n2\n", append(append([]string{
			"in:2: field 1: the quote is not closed within 100 bytes",
		}, lines(59, 2, "z")...), "in:62: field 1: the quote is not closed", `62@63 {"a":"2"}`)},
		"csv, a huge one within": {records.CSV, "a\n\"b\n" + huge + "\n2\n", []string{
			"in:2: field 1: the quote is not closed within 100 bytes", "in:3: record is larger than 100 bytes", `3@4 {"a":"2"}`,
		}},
		"csv, a huge one after": {records.CSV, "a\n\"b\nc\n" + huge + "\n2\n", []string{
			"in:2: field 1: the quote is not closed within 100 bytes", `2@3 {"a":"c"}`, "in:4: record is larger than 100 bytes", `4@5 {"a":"2"}`,
		}},
		"raw":      {records.Raw, exact, []string{"1@1 " + exact}},
		"raw over": {records.Raw, huge, []string{"in:1: record is larger than 100 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := records.NewReaderOfMax(strings.NewReader(c.input), "in", c.format, "", limit)
			require.NoError(t, err)
			require.Equal(t, c.want, read(t, r))
		})
	}
}

// The limit that holds outside of tests: what is larger costs no memory.
func TestMaxRecordBytes(t *testing.T) {
	t.Parallel()
	value := `"` + strings.Repeat("x", records.MaxRecordBytes-2) + `"`
	r := open(t, value+"\n"+value+" \n1", "-", records.JSONL, "{n}")
	record, err := r.Next()
	require.NoError(t, err)
	require.Len(t, record.Data, records.MaxRecordBytes)
	_, err = r.Next()
	require.EqualError(t, err, "stdin:2: record is larger than 8388608 bytes")
	record, err = r.Next()
	require.NoError(t, err)
	require.Equal(t, "1", string(record.Data))
}

func TestInputError(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for format, input := range map[records.Format]string{
		records.JSONL: "{}\n{}",
		records.CSV:   "a\n1\n2",
	} {
		in := io.MultiReader(strings.NewReader(input), iotest.ErrReader(broken))
		r, err := records.NewReader(in, "dir/in", format, "")
		require.NoError(t, err)
		got := read(t, r)
		require.Len(t, got, 2, "a line that the error cut off is not a record")
		require.Equal(t, `read "dir/in": disk on fire`, got[1])
		_, err = r.Next()
		require.ErrorIs(t, err, broken)
	}

	r, err := records.NewReader(iotest.ErrReader(broken), "-", records.Raw, "")
	require.NoError(t, err)
	_, err = r.Next()
	require.EqualError(t, err, `read "stdin": disk on fire`)
	_, err = records.NewReader(iotest.ErrReader(broken), "in.csv", records.CSV, "")
	require.ErrorIs(t, err, broken)
	require.EqualError(t, err, `read "in.csv": disk on fire`)

	// Within a quoted field nobody knows what the row would have been.
	in := io.MultiReader(strings.NewReader("a\n\"1\n2\n"), iotest.ErrReader(broken))
	r, err = records.NewReader(in, "in.csv", records.CSV, "")
	require.NoError(t, err)
	require.Equal(t, []string{`read "in.csv": disk on fire`}, read(t, r))
}

// How the input arrives changes nothing.
func TestOneByteAtATime(t *testing.T) {
	t.Parallel()
	const input = "\uFEFFa,b\r\n1,\"x\r\ny\"\r\n\r\n2\r\n3,z"
	r, err := records.NewReader(iotest.OneByteReader(strings.NewReader(input)), "in.csv", records.CSV, "")
	require.NoError(t, err)
	require.Equal(t, read(t, open(t, input, "in.csv", records.CSV, "")), read(t, r))
}
