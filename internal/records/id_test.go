package records_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/internal/records"
)

func TestDefaultID(t *testing.T) {
	t.Parallel()
	const data = `{"a":"1"}`
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(data)))[:16]
	for name, base := range map[string]string{
		"-": "stdin", "": "stdin", "orders.csv": "orders.csv", "/tmp/in/two words.csv": "two words.csv",
	} {
		for _, template := range []string{"", records.DefaultID} {
			r := open(t, "a\n,\n1\n1\n", name, records.CSV, template)
			_, err := r.Next()
			require.Error(t, err)
			for n := 2; n <= 3; n++ { // an exact repeat is a record of its own
				record, err := r.Next()
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("%s-%d-%s", base, n, hash), record.ID)
			}
		}
	}
}

// Reading again gives the same IDs, and repairing a bad record leaves those of
// the others as they are: what is published again is known.
func TestIDsAreStable(t *testing.T) {
	t.Parallel()
	ids := func(input string) (ids []string) {
		r := open(t, input, "in.csv", records.CSV, "")
		for {
			record, err := r.Next()
			if err == io.EOF {
				return ids
			}
			ids = append(ids, record.ID)
		}
	}
	broken := "a,b\n1,2\n3\n\"4,5\n6,7\n"
	require.Equal(t, ids(broken), ids(broken))
	before, after := ids(broken), ids("a,b\n1,2\n3,x\n4,5\n6,7\n")
	require.Equal(t, "", before[1])
	require.Equal(t, "", before[2])
	require.Equal(t, before[0], after[0])
	require.Equal(t, before[3], after[3])
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	const row = `{"no":"A 1","n":1.50,"big":12345678901234567890,"ok":true,"nul":null,"obj":{"x":1},"arr":[1],"nl":"a\nb","pad":" x","del":"\u007f","empty":"","é\"{":"odd"}`
	for template, want := range map[string]string{
		"{n}":                     "2",
		"{line}":                  "3",
		"{file}/{n}":              "in.jsonl/2",
		"x{hash}":                 "x" + fmt.Sprintf("%x", sha256.Sum256([]byte(row)))[:16],
		"{field:no}":              "A 1",
		"{field:n}":               "1.50",
		"{field:big}":             "12345678901234567890",
		"{field:ok}-{n}":          "true-2",
		"{{{n}}}":                 "{2}",
		"{{n}}{n}":                "{n}2",
		"é{n}":                    "é2",
		"{n}{field:empty}":        "2",
		`{field:é"{}`:             "odd",
		"{field:empty}":           "!the ID is empty",
		"{field:none}":            `!field "none" is missing`,
		"{field:NO}":              `!field "NO" is missing`,
		"{field:nul}":             `!field "nul" is null: an ID takes a string, a number or a boolean`,
		"{field:obj}":             `!field "obj" is an object: an ID takes a string, a number or a boolean`,
		"{field:arr}":             `!field "arr" is an array: an ID takes a string, a number or a boolean`,
		"{field:nl}":              `!the ID "a\nb" has a control character`,
		"{field:del}":             `!the ID "\x7f" has a control character`,
		"{field:pad}":             `!the ID " x" begins or ends with a space`,
		"{field:no}{field:none}-": `!field "none" is missing`,
	} {
		t.Run(template, func(t *testing.T) {
			t.Parallel()
			r := open(t, "nothing\n\n"+row+"\n", "dir/in.jsonl", records.JSONL, template)
			_, err := r.Next()
			require.Error(t, err)
			record, err := r.Next()
			if reason, bad := strings.CutPrefix(want, "!"); bad {
				require.EqualError(t, err, "dir/in.jsonl:3: "+reason)
				return
			}
			require.NoError(t, err)
			require.Equal(t, want, record.ID)
		})
	}
}

func TestTemplateOfOtherRecords(t *testing.T) {
	t.Parallel()
	for _, input := range []string{"[1]", `"x"`, "1", "null"} {
		_, err := open(t, input, "-", records.JSONL, "{field:a}").Next()
		require.EqualError(t, err, `stdin:1: field "a": the record is not a JSON object`)
	}
	record, err := open(t, `{"a":"x","a":"y"}`, "-", records.JSONL, "{field:a}").Next()
	require.NoError(t, err)
	require.Equal(t, "y", record.ID, "as encoding/json reads it")

	record, err = open(t, "no,a\n7,\"x,y\"\n", "-", records.CSV, "{field:a}/{field:no}").Next()
	require.NoError(t, err)
	require.Equal(t, "x,y/7", record.ID)

	record, err = open(t, `{"no": 7}`, "order.json", records.Raw, "{field:no}").Next()
	require.NoError(t, err)
	require.Equal(t, "7", record.ID)
	_, err = open(t, "\x00", "photo.jpg", records.Raw, "{field:no}").Next()
	require.EqualError(t, err, `photo.jpg:1: field "no": the record is not a JSON object`)
}

func TestTemplateFaults(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"{nr}":       `{nr} is not known: there are {file}, {n}, {line}, {hash} and {field:NAME}`,
		"{N}":        `{N} is not known`,
		"{}":         `{} is not known`,
		"{n":         `{n is not closed: write {{ for a brace`,
		"{":          `{ is not closed`,
		"n}":         `} closes nothing: write }} for a brace`,
		"{field:}":   `{field:} names no field`,
		"{field}":    `{field} is not known`,
		"fixed":      `gives every record the same ID: add {n}, {line}, {hash} or {field:NAME}`,
		"{file}":     `gives every record the same ID`,
		"{field:no}": `ID template: "in.csv" has no column "no"; it has a, b`,
	} {
		t.Run(template, func(t *testing.T) {
			t.Parallel()
			_, err := records.NewReader(strings.NewReader("a,b\n1,2\n"), "in.csv", records.CSV, template)
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, "ID template")
		})
	}
}
