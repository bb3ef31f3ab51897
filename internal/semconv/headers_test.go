package semconv_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The names are frozen: what one release writes, in streams that are kept for years,
// the next one reads. A new one is added to testdata/headers.txt by hand.
func TestHeadersGolden(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "headers.go", nil, 0)
	require.NoError(t, err)
	var got []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			got = append(got, spec.Names[0].Name+" "+value)
		}
		return true
	})
	slices.Sort(got)
	want, err := os.ReadFile("testdata/headers.txt")
	require.NoError(t, err)
	require.Equal(t, strings.Split(strings.TrimSpace(string(want)), "\n"), got)
}
