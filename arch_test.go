package ergon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/ergon-framework/ergon"

// rule says what the packages under a path may import. The longest path that
// matches a package rules it; a package without a rule is a violation, so a new
// room argues for itself here and in docs/DESIGN.md.
type rule struct {
	pkg     string   // path below the module, "" is the root; "/..." takes what lies below
	ours    []string // packages of this module, with "/..." likewise; "*" is all but test kits
	outside []string // import path prefixes; the standard library is always allowed
	why     string
}

var rules = []rule{
	{"", nil, nil,
		"the vocabulary is a leaf: whoever writes a task or a connector takes on nothing else"},
	{"policy", nil, nil,
		"policies are data: they know nobody, so anyone can hold them"},
	{"policy/schema", nil, nil, "the schema describes data"},
	{"internal/resilience", []string{"", "policy"}, []string{"github.com/failsafe-go/failsafe-go"},
		"failsafe-go has one home, so that its traps are avoided in one place"},
	{"internal/natstest", nil, []string{"github.com/nats-io/nats-server/v2", "github.com/nats-io/nkeys", "github.com/stretchr/testify"},
		"the cluster that tests of several packages break, and who signs for their servers: it knows servers, and nothing of ours"},
	{"internal/sqlsuite", []string{"", "policy", "services", "services/spec", "services/sql"}, []string{"github.com/stretchr/testify", "go.opentelemetry.io/otel"},
		"what every database must do, for the tests of two modules"},
	{"internal/...", []string{"", "policy", "internal/..."}, nil,
		"shared parts know no transport"},
	{"engine", []string{"", "policy", "internal/..."}, nil,
		"the engine, and all that it imports, knows no transport"},
	{"bus", []string{"policy", "internal/..."}, []string{"github.com/nats-io/nats.go", "github.com/nats-io/nkeys", "github.com/nats-io/nuid"},
		"below the connectors nobody knows a Transaction"},
	{"bus/embedded", []string{"policy", "internal/..."}, []string{"github.com/nats-io/nats.go", "github.com/nats-io/nats-server/v2", "golang.org/x/sys"},
		"the nats-server has one home: whoever connects to a server does not link one"},
	{"connectors/memory", []string{"", "internal/..."}, nil,
		"a connector knows the contracts and its transport, and no policy (RFC-003 §8)"},
	{"connectors/jetstream", []string{"", "internal/...", "bus"}, []string{"github.com/nats-io/nats.go"},
		"a connector knows the contracts and its transport; connectors are siblings that never meet"},
	{"connectors/http", []string{"", "internal/..."}, nil,
		"a connector knows the contracts and its transport; what it stores in is whoever's who gives it a Sink"},
	{"connectors/connectortest", []string{"", "policy"}, nil,
		"it drives connectors through the contracts alone, and takes no assertion library into their tests"},
	{"services", []string{"", "policy", "internal/..."}, []string{"go.opentelemetry.io/otel"},
		"the seam is whoever's who writes a service, with an engine or without"},
	{"services/spec", []string{"policy"}, nil,
		"what a file says of services is data: whoever reads the file links no client library"},
	{"services/kv", []string{"", "internal/...", "services", "services/spec"}, []string{"github.com/nats-io/nats.go", "go.opentelemetry.io/otel"},
		"a service goes through the seam, and knows its client library and no engine"},
	{"services/kv/kvtest", []string{"services", "services/spec", "services/kv"}, nil,
		"a test kit takes no assertion library into a user's tests, and no client library either"},
	{"services/httpapi", []string{"", "internal/...", "services", "services/spec"}, []string{"go.opentelemetry.io/otel"},
		"a service goes through the seam, and knows its client library and no engine"},
	{"services/httpapi/httpapitest", []string{"services", "services/spec"}, nil,
		"a fake is a server: the client under test is the real one, and takes no assertion library along"},
	{"services/sql", []string{"", "internal/...", "services", "services/spec"}, []string{"go.opentelemetry.io/otel", "github.com/jackc/pgx/v5", "modernc.org/sqlite"},
		"a service goes through the seam, and knows its client library and no engine"},
	{"services/sql/sqltest", []string{"services", "services/spec", "services/sql"}, nil,
		"a test kit takes no assertion library into a user's tests, and goes through the service's own seam"},
	{"services/llm", []string{"", "internal/...", "services", "services/spec"}, []string{"go.opentelemetry.io/otel", "github.com/openai/openai-go", "github.com/invopop/jsonschema", "github.com/santhosh-tekuri/jsonschema"},
		"a service goes through the seam, and knows its client library and no engine"},
	{"services/llm/llmtest", []string{"services", "services/spec"}, nil,
		"a fake is a server: the client under test is the real one, and takes no assertion library along"},
	{"telemetry", []string{"", "engine", "services", "internal/..."}, []string{"go.opentelemetry.io", "google.golang.org/grpc/credentials", "github.com/go-logr/logr", "github.com/prometheus/client_golang", "github.com/prometheus/client_model", "github.com/prometheus/otlptranslator"},
		"OpenTelemetry, and Prometheus whose handler its exporter fills, have one home: who needs none of it links none; its exporters take TLS as gRPC's credentials"},
	{"tasks/transform", []string{""}, []string{"cel.dev/cel-go"},
		"CEL has one home, and a task knows the contracts alone: no engine, no file, no transport"},
	{"app/config", []string{"policy", "bus", "connectors/http", "telemetry", "services/spec", "tasks/transform", "internal/..."}, []string{"github.com/goccy/go-yaml"},
		"the file is data too: it wires nothing; what expressions stand in it is compiled with it, so that their faults have a line"},
	{"app/admin", []string{"", "engine", "internal/..."}, nil,
		"whoever asks how a process is needs no bus"},
	{"app", []string{"*"}, []string{"go.uber.org/fx", "github.com/nats-io/nats.go", "go.opentelemetry.io/otel/metric"},
		"here the parts meet"},
	{"cli/...", []string{"*"}, []string{"go.uber.org/fx", "github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term", "golang.org/x/mod/module", "github.com/nats-io/nats.go"},
		"commands stand on the app"},
	{"cli/scaffold", nil, []string{"golang.org/x/mod"},
		"it writes files, and knows Ergon by its path alone"},
	{"cmd/...", []string{"*"}, []string{"go.uber.org/fx"},
		"a binary is a list of modules"},
	{"examples/...", []string{"", "policy", "engine", "app", "cli", "bus", "services/...", "examples/..."}, []string{"go.uber.org/fx"},
		"an example shows what a user can do: no internals"},
	{"test/soak", []string{"", "policy", "engine", "bus", "bus/embedded", "connectors/jetstream"}, []string{"github.com/nats-io/nats.go"},
		"it puts a pipeline together of public parts, and measures them"},
	{"test/compose/counts", nil, []string{"github.com/nats-io/nats.go"}, "it counts what streams hold, and takes nobody's word for it"},
	{"test/mutants", nil, []string{"github.com/rogpeppe/go-internal"}, "it knows only files"},
	{"ergontest", []string{"", "policy", "engine", "connectors/memory"}, nil,
		"a test kit takes no assertion library into a user's tests, and no server into those that need none"},
	{"ergontest/natstest", []string{"bus/embedded"}, nil,
		"a test kit takes no assertion library into a user's tests"},
}

// testKits are for tests: no package that ships may import one.
var testKits = []string{"ergontest", "connectors/connectortest", "internal/natstest", "services/kv/kvtest", "services/httpapi/httpapitest", "services/llm/llmtest", "internal/sqlsuite", "services/sql/sqltest"}

type goPackage struct {
	ImportPath, Name, Doc string
	Imports               []string
	GoFiles               []string
	Standard              bool
}

// TestImports holds the table of docs/DESIGN.md "Packages": who may import whom.
func TestImports(t *testing.T) {
	packages := listPackages(t)
	require.Greater(t, len(packages), 8, "go list found too few packages to check anything")
	checked := 0
	for _, p := range packages {
		r, ok := ruleOf(below(p.ImportPath))
		if !ok {
			t.Errorf("%s has no rule: add it to the table in arch_test.go and docs/DESIGN.md", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			checked++
			if why := violation(r, below(p.ImportPath), imported); why != "" {
				t.Errorf("%s imports %s: %s (%s)", p.ImportPath, imported, why, r.why)
			}
		}
	}
	t.Logf("%d imports of %d packages follow %d rules", checked, len(packages), len(rules))
}

// TestRulesBite shows that the check can fail.
func TestRulesBite(t *testing.T) {
	for _, bad := range []struct{ pkg, imports string }{
		{"", module + "/policy"},
		{"", "github.com/nats-io/nats.go"},
		{"engine", module + "/bus"},
		{"engine", "github.com/failsafe-go/failsafe-go"},
		{"bus", module},
		{"bus", module + "/bus/embedded"},
		{"connectors/jetstream", module + "/connectors/memory"},
		{"connectors/jetstream", "go.uber.org/fx"},
		{"connectors/memory", module + "/policy"},
		{"connectors/http", module + "/connectors/jetstream"},
		{"connectors/http", module + "/policy"},
		{"connectors/http", module + "/bus"},
		{"app", module + "/ergontest"},
		{"app/admin", module + "/bus"},
		{"tasks/transform", module + "/engine"},
		{"app", "cel.dev/cel-go/cel"},
		{"connectors/connectortest", module + "/engine"},
		{"ergontest", module + "/bus/embedded"},
		{"ergontest/natstest", "github.com/stretchr/testify/require"},
		{"connectors/jetstream", module + "/connectors/connectortest"},
		{"bus", module + "/internal/natstest"},
		{"examples/02-retail", module + "/internal/identity"},
		{"services/kv", module + "/bus"},
		{"services/kv", module + "/services/kv/kvtest"},
		{"policy", "github.com/invopop/jsonschema"},
		{"services/sql", module + "/engine"},
		{"app", module + "/services/sql/sqltest"},
		{"telemetry", "modernc.org/sqlite"},
	} {
		r, ok := ruleOf(bad.pkg)
		require.True(t, ok, bad.pkg)
		require.NotEmpty(t, violation(r, bad.pkg, bad.imports), "%s may not import %s", bad.pkg, bad.imports)
	}
	_, ok := ruleOf("nowhere")
	require.False(t, ok)
}

// TestPackageComments: every package has one comment that says what it is.
func TestPackageComments(t *testing.T) {
	for _, p := range listPackages(t) {
		want := "Package " + p.Name
		if p.Name == "main" {
			want = "Command "
		}
		if !strings.HasPrefix(p.Doc, want) {
			t.Errorf("%s: its package comment begins %q, not with %q", p.ImportPath, p.Doc, want)
		}
	}
}

// TestStockBinaryLinksNoDatabase: the tasks of the stock binary have no services of these kinds, and
// the drivers of databases alone would make it 12 MB larger.
func TestStockBinaryLinksNoDatabase(t *testing.T) {
	deps := func(of string) []string {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", of)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, stderr.String())
		return strings.Fields(string(out))
	}
	links := func(all []string, path string) bool {
		return slices.ContainsFunc(all, func(p string) bool { return p == path || strings.HasPrefix(p, path+"/") })
	}
	stock := deps("./cmd/ergon")
	require.True(t, links(stock, module+"/cli"), "the list is one of what it links")
	for _, path := range []string{
		module + "/services/sql", "github.com/jackc/pgx", "modernc.org/sqlite",
		module + "/services/llm", "github.com/openai",
	} {
		require.False(t, links(stock, path), "cmd/ergon links %s", path)
	}
	with := deps("./services/sql")
	for _, path := range []string{module + "/services/sql", "github.com/jackc/pgx", "modernc.org/sqlite"} {
		require.True(t, links(with, path), "it would be seen: %s", path)
	}
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Doc,Imports,GoFiles", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var packages []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		if len(p.GoFiles) > 0 { // not one that holds tests alone
			packages = append(packages, p)
		}
	}
	return packages
}

func below(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func ruleOf(pkg string) (best rule, ok bool) {
	for _, r := range rules {
		if covers(r.pkg, pkg) && (!ok || len(r.pkg) > len(best.pkg)) {
			best, ok = r, true
		}
	}
	return best, ok
}

func covers(pattern, pkg string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == prefix || strings.HasPrefix(pkg, prefix+"/")
	}
	return pattern == pkg
}

func violation(r rule, pkg, imported string) string {
	if imported == module || strings.HasPrefix(imported, module+"/") {
		to := below(imported)
		for _, kit := range testKits {
			if covers(kit+"/...", to) && !covers(kit+"/...", pkg) {
				return "that is a test kit"
			}
		}
		if slices.Contains(r.ours, "*") || slices.ContainsFunc(r.ours, func(p string) bool { return covers(p, to) }) ||
			strings.HasSuffix(r.pkg, "/...") && covers(r.pkg, to) {
			return ""
		}
		return fmt.Sprintf("of ours it may import %q", r.ours)
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for _, prefix := range r.outside {
		if imported == prefix || strings.HasPrefix(imported, prefix+"/") {
			return ""
		}
	}
	return fmt.Sprintf("from outside it may import %q", r.outside)
}
