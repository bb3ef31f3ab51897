package ergon_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	lastRule    = 131
	lastDefect  = 12
	conformance = "docs/reference/conformance.md"
)

// stillToCome are the parts that may owe a rule.
var stillToCome = []string{"telemetry", "services", "runner", "HTTP"}

// TestConformance: the page that maps each rule to its test has all rules, and all
// the tests that it names exist.
func TestConformance(t *testing.T) {
	page, err := os.ReadFile(conformance)
	require.NoError(t, err)
	tests, err := testsBelow(os.DirFS("."))
	require.NoError(t, err)
	require.Greater(t, len(tests), 300, "too few tests found to check anything")
	counts, faults := checkConformance(string(page), tests)
	for _, fault := range faults {
		t.Error(fault)
	}
	t.Logf("%v", counts)
}

// TestConformanceBites shows that the check can fail.
func TestConformanceBites(t *testing.T) {
	tests := map[string]string{"engine.TestGood": `t.Run("a case", …)`}
	var page strings.Builder
	page.WriteString("## The rules\n\n| Rule | What | Kind | Where or why |\n|---|---|---|---|\n")
	for n := 1; n <= lastRule; n++ {
		row := "test | `engine.TestGood`"
		switch n {
		case 2:
			continue
		case 3:
			row = "test | it is clear"
		case 4:
			row = "test | `engine.TestGone`"
		case 5:
			row = "test | `engine.TestGood/another case`"
		case 6:
			row = "shape | no"
		case 7:
			row = "owed | the moon: later"
		case 8:
			row = "maybe | `engine.TestGood`"
		case 9:
			row = "shape | one word of Python, and `engine.TestGone`"
		case 10:
			row = "test | `engine.TestGood/a case` | too much"
		case 11:
			row = "shape | Python words; there is one variant here"
		case 12:
			row = "owed | telemetry: its spans. The rest: `engine.TestGood/a case`"
		case 13:
			fmt.Fprintf(&page, "| R%03d | twice | %s |\n", n, row)
		}
		fmt.Fprintf(&page, "| R%03d | what | %s |\n", n, row)
	}
	page.WriteString("| R132 | what | test | `engine.TestGood` |\n")
	page.WriteString("\n## The reference's own tests\n\n| Behaviour | Kind | Where or why |\n|---|---|---|\n| it works | test | `engine.TestGone` |\n")
	page.WriteString("\n## Defects of the reference\n\n| Defect | What | Where |\n|---|---|---|\n")
	for n := range lastDefect - 1 {
		where := "`engine.TestGood`"
		if n == 4 {
			where = "nobody knows"
		}
		fmt.Fprintf(&page, "| %d | what | %s |\n", n+1, where)
	}
	_, faults := checkConformance(page.String(), tests)
	require.Equal(t, []string{
		`R003: kind "test", and no test is named`,
		`R004: there is no test engine.TestGone`,
		`R005: engine.TestGood has no "another case"`,
		`R006: "no" is not a reason`,
		`R007: "the moon" is owed by no part still to come: [telemetry services runner HTTP]`,
		`R008: kind "maybe" is none of test, shape, owed`,
		`R009: there is no test engine.TestGone`,
		`R010: a row has 4 cells, and this one 5`,
		`R013: it has two rows`,
		`R132: there is no such rule`,
		`R002: it has no row`,
		`it works: there is no test engine.TestGone`,
		`defect 5: no test is named`,
		`defect 12: it has no row`,
	}, faults)

	_, faults = checkConformance("# Nothing", tests)
	require.Contains(t, faults, "R001: it has no row")
	require.Contains(t, faults, "defect 1: it has no row")
	require.Contains(t, faults, "the reference's own tests: the table is empty")

	found, err := testsBelow(os.DirFS("."))
	require.NoError(t, err)
	require.Contains(t, found, "ergon.TestConformanceBites")
	require.Contains(t, found, "engine.TestModel")
	require.Contains(t, found, "connectors/jetstream.FuzzRoundTrip")
	require.NotContains(t, found, "engine.TestMain")
	require.NotContains(t, found, "engine.newRig")
}

// checkConformance returns how many rules are of each kind, and all that is wrong
// with the page. tests are the sources of all tests by their name.
func checkConformance(page string, tests map[string]string) (counts map[string]int, faults []string) {
	counts = map[string]int{}
	fault := func(who, format string, a ...any) { faults = append(faults, who+": "+fmt.Sprintf(format, a...)) }
	tables := tablesOf(page)

	seen := map[string]bool{}
	for _, row := range tables["The rules"] {
		id := row[0]
		if n, err := strconv.Atoi(strings.TrimPrefix(id, "R")); err != nil || n < 1 || n > lastRule || id != ruleID(n) {
			fault(id, "there is no such rule")
			continue
		}
		if seen[id] {
			fault(id, "it has two rows")
			continue
		}
		seen[id] = true
		if len(row) != 4 {
			fault(id, "a row has 4 cells, and this one %d", len(row))
			continue
		}
		counts[row[2]]++
		checkTarget(id, row[2], row[3], tests, fault)
	}
	for n := 1; n <= lastRule; n++ {
		if !seen[ruleID(n)] {
			fault(ruleID(n), "it has no row")
		}
	}

	own := tables["The reference's own tests"]
	if len(own) == 0 {
		fault("the reference's own tests", "the table is empty")
	}
	for _, row := range own {
		if len(row) != 3 {
			fault(row[0], "a row has 3 cells, and this one %d", len(row))
			continue
		}
		checkTarget(row[0], row[1], row[2], tests, fault)
	}

	defects := map[string]bool{}
	for _, row := range tables["Defects of the reference"] {
		defects[row[0]] = true
		if checkTests("defect "+row[0], row[len(row)-1], tests, fault) == 0 {
			fault("defect "+row[0], "no test is named")
		}
	}
	for n := 1; n <= lastDefect; n++ {
		if !defects[strconv.Itoa(n)] {
			fault("defect "+strconv.Itoa(n), "it has no row")
		}
	}
	return counts, faults
}

func ruleID(n int) string { return fmt.Sprintf("R%03d", n) }

// checkTarget looks at a row's kind and at what it says for it.
func checkTarget(who, kind, target string, tests map[string]string, fault func(string, string, ...any)) {
	named := checkTests(who, target, tests, fault)
	switch kind {
	case "test":
		if named == 0 {
			fault(who, `kind "test", and no test is named`)
		}
	case "shape":
		if len(strings.Fields(target)) < 3 {
			fault(who, "%q is not a reason", target)
		}
	case "owed":
		part, _, _ := strings.Cut(target, ":")
		if !slices.Contains(stillToCome, part) {
			fault(who, "%q is owed by no part still to come: %v", part, stillToCome)
		}
	default:
		fault(who, "kind %q is none of test, shape, owed", kind)
	}
}

// A test is written `package.TestName` or `package.TestName/subtest`, the package
// by its path below the module; the root is ergon.
var testName = regexp.MustCompile("`([a-z0-9_./-]+\\.(?:Test|Fuzz|Example)[A-Za-z0-9_]*)(?:/([^`]+))?`")

// checkTests returns how many tests a text names.
func checkTests(who, text string, tests map[string]string, fault func(string, string, ...any)) int {
	named := testName.FindAllStringSubmatch(text, -1)
	for _, m := range named {
		source, ok := tests[m[1]]
		switch {
		case !ok:
			fault(who, "there is no test %s", m[1])
		case m[2] != "" && !strings.Contains(source, strconv.Quote(m[2])):
			fault(who, "%s has no %q", m[1], m[2])
		}
	}
	return len(named)
}

// tablesOf returns the rows of each table of a page, by the heading above it.
func tablesOf(page string) map[string][][]string {
	tables := map[string][][]string{}
	heading, header := "", true
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "## "); ok {
			heading = text
		}
		if !strings.HasPrefix(line, "|") {
			header = true
			continue
		}
		if header || strings.HasPrefix(line, "|---") {
			header = false
			continue
		}
		var row []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			row = append(row, strings.TrimSpace(cell))
		}
		tables[heading] = append(tables[heading], row)
	}
	return tables
}

// testsBelow finds all tests, fuzz tests and examples of the module; each comes
// with the source of its file, in which its subtests are named.
func testsBelow(module fs.FS) (map[string]string, error) {
	tests := map[string]string{}
	err := fs.WalkDir(module, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name != "." && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_")) {
				return filepath.SkipDir
			}
			if _, err := fs.Stat(module, path.Join(name, "go.mod")); err == nil && name != "." {
				return filepath.SkipDir // another module
			}
			return nil
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		source, err := fs.ReadFile(module, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		pkg := path.Dir(name)
		if pkg == "." {
			pkg = "ergon"
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && runs(f) {
				tests[pkg+"."+f.Name.Name] = string(source)
			}
		}
		return nil
	})
	return tests, err
}

// runs reports whether go test runs a function.
func runs(f *ast.FuncDecl) bool {
	if f.Recv != nil {
		return false
	}
	params := f.Type.Params.List
	if strings.HasPrefix(f.Name.Name, "Example") {
		return len(params) == 0
	}
	if len(params) != 1 {
		return false
	}
	pointer, ok := params[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	of, ok := pointer.X.(*ast.SelectorExpr)
	return ok && (of.Sel.Name == "T" && strings.HasPrefix(f.Name.Name, "Test") || of.Sel.Name == "F" && strings.HasPrefix(f.Name.Name, "Fuzz"))
}
