package ergon_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
)

// R026, R058, R067, R131: the contracts of tasks and connectors, word for word.
// Whoever changes one breaks every task or connector there is, and says so here.
func TestContractsAreFrozen(t *testing.T) {
	for contract, want := range map[reflect.Type][]string{
		reflect.TypeFor[ergon.Consumer[int, string]]():       {"Process func(context.Context, ergon.Transaction[int]) (string, error)"},
		reflect.TypeFor[ergon.Producer[int, string]]():       {"Produce func(context.Context, ergon.Transaction[int]) (string, error)"},
		reflect.TypeFor[ergon.SuccessHandler[int, string]](): {"HandleSuccess func(context.Context, ergon.Transaction[int], string) error"},
		reflect.TypeFor[ergon.ExceptionHandler[int]]():       {"HandleException func(context.Context, ergon.Transaction[int], *ergon.Error) error"},
		reflect.TypeFor[ergon.Source](): {
			"Close func(context.Context) error",
			"Fetch func(context.Context, int) ([]ergon.Delivery, error)",
		},
		reflect.TypeFor[ergon.Delivery](): {
			"Extend func(context.Context) error",
			"Info func() ergon.DeliveryInfo",
			"Settle func(ergon.Settlement, func(error))",
			"Transaction func() ergon.Transaction[[]uint8]",
		},
		reflect.TypeFor[ergon.Sink](): {
			"Close func(context.Context) error",
			"Send func(context.Context, ergon.Transaction[[]uint8], func(error))",
		},
	} {
		var got []string
		for m := range contract.Methods() {
			got = append(got, m.Name+" "+m.Type.String())
		}
		require.Equal(t, want, got, contract)
	}
}

// R024, R034, R041, R045, R054, R088: what a task is handed is data: no connector,
// no credential, no policy and no worker can be reached from it.
func TestTasksAreHandedData(t *testing.T) {
	for _, handed := range []reflect.Type{
		reflect.TypeFor[ergon.Execution](), reflect.TypeFor[ergon.Envelope](), reflect.TypeFor[ergon.Error](),
	} {
		require.Empty(t, notData(handed), handed)
	}
	// What a transaction shows beside its payload, it shows by value, and no method
	// changes it.
	tx := reflect.TypeFor[ergon.Transaction[int]]()
	for f := range tx.Fields() {
		require.False(t, f.IsExported(), "%s can be written to", f.Name)
	}
	for m := range tx.Methods() {
		require.Equal(t, 1, m.Type.NumIn(), "%s takes nothing", m.Name)
		require.Equal(t, 1, m.Type.NumOut(), m.Name)
		require.Empty(t, notData(m.Type.Out(0)), m.Name)
	}

	type leaky struct{ Sink ergon.Sink }
	require.NotEmpty(t, notData(reflect.TypeFor[leaky]()), "the check can fail")
	require.NotEmpty(t, notData(reflect.TypeFor[func()]()))
}

// notData says what in the exported part of a type is no data: text, numbers,
// times, errors, and structs of them.
func notData(typ reflect.Type) []string {
	switch {
	case typ == reflect.TypeFor[time.Time](), typ == reflect.TypeFor[error](), typ == reflect.TypeFor[ergon.Metadata]():
		return nil
	}
	switch typ.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		return nil
	case reflect.Struct:
		var bad []string
		for f := range typ.Fields() {
			if f.IsExported() {
				for _, b := range notData(f.Type) {
					bad = append(bad, f.Name+" "+b)
				}
			}
		}
		return bad
	default:
		return []string{typ.String()}
	}
}

// R088: policies are the engine's: no connector and no service reads one. A service has
// a policy of its own calls, which it hands to the seam as it is.
func TestConnectorsReadNoPolicy(t *testing.T) {
	looked := 0
	for _, p := range listPackages(t) {
		pkg := below(p.ImportPath)
		if covers("connectors/connectortest/...", pkg) || !covers("connectors/...", pkg) && (!covers("services/...", pkg) || pkg == "services" || pkg == "services/spec") {
			continue
		}
		looked++
		require.NotContains(t, p.Imports, module+"/policy", pkg)
	}
	require.GreaterOrEqual(t, looked, 2)
}

// notForTasks are packages by which a task would do itself what services,
// connectors and the engine do for it.
var notForTasks = []string{"net", "os", "syscall", "io/fs", "io/ioutil", "database/sql", "sync", "runtime", "plugin", "unsafe", "log"}

// R002, R003, R012, R055, R060, R063, R115: no compiler keeps a task from I/O,
// goroutines and retry loops of its own. The tasks that Ergon shows keep to the
// rules.
func TestTasksOfTheExamplesKeepTheRules(t *testing.T) {
	tasks := 0
	require.NoError(t, filepath.WalkDir("examples", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if isTask, faults := taskFaults(file); isTask {
			tasks++
			require.Empty(t, faults, path)
		}
		return nil
	}))
	require.GreaterOrEqual(t, tasks, 2, "there are examples to look at")

	bad, err := parser.ParseFile(token.NewFileSet(), "bad.go", `package bad
import ("net/http"; "time")
var seen int
func (s *T) Process(ctx context.Context, tx ergon.Transaction[int]) (int, error) {
	s.last = tx.ID()
	s.count++
	go s.work()
	time.Sleep(1)
	results := make(chan int)
	return 0, nil
}`, parser.SkipObjectResolution)
	require.NoError(t, err)
	isTask, faults := taskFaults(bad)
	require.True(t, isTask)
	require.Equal(t, []string{
		`imports "net/http"`, "has the global variable seen", "Process writes s.last", "Process writes s.count",
		"Process starts a goroutine", "Process sleeps", "Process uses a channel",
	}, faults, "the check can fail")
}

// taskFaults looks at a file that declares a task, and at its methods.
func taskFaults(file *ast.File) (isTask bool, faults []string) {
	fault := func(format string, a ...any) { faults = append(faults, fmt.Sprintf(format, a...)) }
	for _, i := range file.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		if slices.ContainsFunc(notForTasks, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") }) {
			fault("imports %q", path)
		}
	}
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && decl.Tok == token.VAR && v.Names[0].Name != "_" {
					fault("has the global variable %s", v.Names[0].Name)
				}
			}
		case *ast.FuncDecl:
			if decl.Recv == nil {
				continue
			}
			isTask = isTask || decl.Name.Name == "Process" || decl.Name.Name == "Produce"
			methodFaults(decl, fault)
		}
	}
	return isTask, faults
}

func methodFaults(decl *ast.FuncDecl, fault func(string, ...any)) {
	self := ""
	if names := decl.Recv.List[0].Names; len(names) > 0 {
		self = names[0].Name
	}
	written := func(e ast.Expr) {
		if s, ok := e.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && self != "" && x.Name == self {
				fault("%s writes %s.%s", decl.Name.Name, self, s.Sel.Name)
			}
		}
	}
	ast.Inspect(decl.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			fault("%s starts a goroutine", decl.Name.Name)
		case *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			fault("%s uses a channel", decl.Name.Name)
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				written(e)
			}
		case *ast.IncDecStmt:
			written(n.X)
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && n.Sel.Name == "Sleep" {
				fault("%s sleeps", decl.Name.Name)
			}
		}
		return true
	})
}
