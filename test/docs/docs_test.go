//go:build unix

// Package docs_test runs the documentation: the blocks of docs/tutorial.md and of each
// docs/how-to/*.md that has marked ones, in their order, in a directory of their own.
// The first line of a fenced block says what becomes of it:
//
//	```sh run            the shell runs it, with -eu; directory and exported variables stay
//	```sh run fails      likewise, and it must fail
//	```output            what the block before it prints, stdout and stderr; … is anything
//	```go file=a/a.go    it is written to that file; likewise yaml, json and others
//	```go add=a/a.go     it is added to that file
//	```sh ignored        nothing; of any language, and visible as such
//	```                  nothing: a drawing, a wire format
//
// A block may stand in an HTML comment, for what a reader need not see. A page that has
// marked blocks must mark all of them. All Go code that it wrote is compiled at its end,
// by go vet, and must be formatted. Commands find `ergon` in PATH, its source in $ERGON, a
// NATS server in $NATS_URL, and testdata/<name of the page> in $PAGE; they have no network
// and a home of their own, and what they leave running is ended with the page.
package docs_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon/ergontest/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPages(t *testing.T) {
	repo, err := filepath.Abs("../..")
	require.NoError(t, err)
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./cmd/ergon")
	build.Dir = repo
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	pages, err := filepath.Glob(filepath.Join(repo, "docs", "how-to", "*.md"))
	require.NoError(t, err)
	ran := 0
	for _, name := range append(pages, filepath.Join(repo, "docs", "tutorial.md")) {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		page, err := parse(string(data))
		require.NoError(t, err, name)
		if !marked(page) {
			continue
		}
		ran++
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			require.NoError(t, check(page), name)
			newPage(t, name, repo, bin).run(page)
		})
	}
	require.GreaterOrEqual(t, ran, 4, "the tutorial, and the how-tos that have blocks to run")
}

// page is a page that is run.
type page struct {
	t         *testing.T
	name      string
	home      string
	dir       string // where the next block runs
	variables string // a file with what was exported
	env       []string
}

func newPage(t *testing.T, name, repo, bin string) *page {
	home, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE", "GOMODCACHE").Output()
	require.NoError(t, err)
	caches := strings.Fields(string(out))
	work := filepath.Join(home, "work")
	require.NoError(t, os.Mkdir(work, 0o750))
	return &page{
		t: t, name: filepath.Base(name), home: home, dir: work, variables: filepath.Join(home, "variables"),
		env: []string{
			"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "LC_ALL=C",
			"GOCACHE=" + caches[0], "GOMODCACHE=" + caches[1], "GOBIN=" + bin, "GOPROXY=off", "GOWORK=off",
			"GOFLAGS=-ldflags=-w", // without what a debugger reads a program is linked in half the time
			"ERGON=" + repo, "PAGE=" + filepath.Join(repo, "test/docs/testdata", strings.TrimSuffix(filepath.Base(name), ".md")), "NATS_URL=" + natstest.Start(t),
			// Pages run at the same time; a default port is one for all.
			"ERGON_BUS_LISTEN=127.0.0.1:0", "ERGON_ADMIN_LISTEN=off",
		},
	}
}

func (p *page) run(blocks []snippet) {
	code := false
	for i, s := range blocks {
		file, more := s.file()
		switch {
		case s.has("ignored"):
		case s.has("run"):
			printed := p.shell(s)
			if i+1 < len(blocks) && blocks[i+1].lang == "output" {
				want := blocks[i+1]
				if !matches(want.text, printed) {
					p.t.Fatalf("%s:%d: it should print\n%s\nand printed\n%s", p.name, want.line, want.text, printed)
				}
			}
		case file != "":
			code = code || s.lang == "go"
			file = filepath.Join(p.dir, file)
			require.NoError(p.t, os.MkdirAll(filepath.Dir(file), 0o750))
			how := os.O_TRUNC | os.O_CREATE
			if more {
				how, s.text = os.O_APPEND, "\n"+s.text // to what is there
			}
			f, err := os.OpenFile(file, how|os.O_WRONLY, 0o600)
			require.NoError(p.t, err, "%s:%d", p.name, s.line)
			_, err = f.WriteString(s.text)
			require.NoError(p.t, errors.Join(err, f.Close()))
		}
	}
	if code {
		p.shell(snippet{text: "test -z \"$(gofmt -d . | tee /dev/stderr)\"\ngo vet ./...\n"})
	}
}

// shell runs a block and returns what it prints. It prints into a file: what it leaves
// running would hold a pipe open.
func (p *page) shell(s snippet) string {
	t := p.t
	t.Helper()
	where := filepath.Join(p.home, "where")
	script := "set -eu\n[ ! -e \"$PAGE_VARIABLES\" ] || . \"$PAGE_VARIABLES\"\n" + s.text + "\nexport -p >\"$PAGE_VARIABLES\"\npwd >\"$PAGE_WHERE\"\n"
	out, err := os.CreateTemp(p.home, "out")
	require.NoError(t, err)
	defer func() { _ = out.Close() }()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, out, out
	cmd.Env = append(p.env, "PWD="+p.dir, "PAGE_VARIABLES="+p.variables, "PAGE_WHERE="+where)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end all of it
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	failed := cmd.Wait()
	printed, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	switch {
	case s.has("fails") && failed == nil:
		t.Fatalf("%s:%d: it should fail\n%s%s", p.name, s.line, s.text, printed)
	case s.has("fails"):
		return string(printed)
	case failed != nil:
		t.Fatalf("%s:%d: %v\n%s%s", p.name, s.line, failed, s.text, printed)
	}
	dir, err := os.ReadFile(where)
	require.NoError(t, err)
	p.dir = strings.TrimSpace(string(dir))
	return string(printed)
}
