package scaffold_test

import (
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"

	"github.com/ergon-framework/ergon/cli/scaffold"
)

func write(t *testing.T, p scaffold.Project) (dir string, files []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "project")
	files, err := p.Write(dir)
	require.NoError(t, err)
	return dir, files
}

// What is written is what is said, nothing is left to fill in, and Go code is formatted
// whatever the names are.
func TestWrite(t *testing.T) {
	t.Parallel()
	for _, p := range []scaffold.Project{
		{Name: "shop"}, {Name: "zoo-2_x", Module: "zz.example/zoo"}, {Name: "a", Version: "v1.2.3"}, {Name: "shop", Replace: "../../.."},
	} {
		if p.Replace != "" {
			p.Replace, _ = filepath.Abs("../..")
		}
		dir, files := write(t, p)
		var found []string
		require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			require.NoError(t, err)
			if d.IsDir() {
				return nil
			}
			rel, err := filepath.Rel(dir, name)
			require.NoError(t, err)
			found = append(found, filepath.ToSlash(rel))
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			require.NotEmpty(t, data, rel)
			require.NotContains(t, string(data), "{{", rel)
			require.NotContains(t, string(data), "<no value>", rel)
			if filepath.Ext(name) == ".go" {
				formatted, err := format.Source(data)
				require.NoError(t, err, rel)
				require.Equal(t, string(formatted), string(data), rel)
			}
			return nil
		}))
		require.ElementsMatch(t, files, found)
		for _, want := range []string{"go.mod", "main.go", "ergon.yaml", "docker-compose.yml", "README.md", ".gitignore", "price/price.go", "price/price_test.go", "catalog/catalog.go", "catalog/fake.go"} {
			require.Contains(t, files, want)
		}
	}
}

func TestGoMod(t *testing.T) {
	t.Parallel()
	read := func(p scaffold.Project) *modfile.File {
		dir, _ := write(t, p)
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		require.NoError(t, err)
		f, err := modfile.Parse("go.mod", data, nil)
		require.NoError(t, err)
		return f
	}
	f := read(scaffold.Project{Name: "shop"})
	require.Equal(t, "shop", f.Module.Mod.Path)
	own, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	require.Contains(t, string(own), "\ngo "+f.Go.Version+"\n", "it is written in what Ergon is")
	require.Empty(t, f.Require, "the first go get chooses")
	f = read(scaffold.Project{Name: "shop", Module: "example.com/shop", Version: "v1.2.3"})
	require.Equal(t, "example.com/shop", f.Module.Mod.Path)
	require.Len(t, f.Require, 1)
	require.Equal(t, "v1.2.3", f.Require[0].Mod.Version)
	require.Empty(t, f.Replace)

	// A relative path is meant from the project, as the go command means it.
	ours, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "project")
	rel, err := filepath.Rel(dir, ours)
	require.NoError(t, err)
	_, err = scaffold.Project{Name: "shop", Version: "v9.9.9", Replace: rel}.Write(dir)
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	require.NoError(t, err)
	require.Contains(t, string(data), "replace "+scaffold.Ergon+" => "+rel+"\n")
	require.NotContains(t, string(data), "v9.9.9")
	require.FileExists(t, filepath.Join(dir, "go.sum"))
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, module, want string }{
		{"", "", "name"}, {"Shop", "", "name"}, {"1shop", "", "name"}, {"a b", "", "name"}, {"../a", "", "name"}, {"a/b", "", "name"},
		{"catalog", "", "a directory of the project"}, {"price", "example.com/x", "a directory of the project"}, {"testdata", "", "a directory of the project"},
		{strings.Repeat("a", 65), "", "name"}, {"é", "", "name"}, {"-a", "", "name"}, {"ergon_dlq", "", "Ergon's own"},
		{"a", "A b", "module path"}, {"a", "/a", "module path"}, {"a", "a/../b", "module path"}, {"a", "a//b", "module path"}, {"a", "a\nb", "module path"},
		{"net", "", "standard library"}, {"a", "net/http", "standard library"}, {"test", "", "standard library"},
		{"a", scaffold.Ergon, "Ergon's own"}, {"a", scaffold.Ergon + "/x", "Ergon's own"},
	} {
		p := scaffold.Project{Name: c.name, Module: c.module}
		require.ErrorContains(t, p.Check(), c.want, "%q %q", c.name, c.module)
		dir := filepath.Join(t.TempDir(), "project")
		_, err := p.Write(dir)
		require.Error(t, err)
		require.NoDirExists(t, dir)
	}
	for _, p := range []scaffold.Project{{Name: "shop"}, {Name: "a"}, {Name: "net", Module: "example.com/net"}, {Name: "network"}} {
		require.NoError(t, p.Check())
	}
}

// The first elements of the standard library's paths, of the Go that tests this.
func TestStandardNamesAreTaken(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "std").Output()
	require.NoError(t, err)
	for path := range strings.FieldsSeq(string(out)) {
		first, _, _ := strings.Cut(path, "/")
		require.ErrorContains(t, scaffold.Project{Name: "a", Module: first}.Check(), "standard library", first)
	}
}

// What fails leaves things as they were.
func TestWriteTakesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := scaffold.Project{Name: "shop", Replace: filepath.Join(dir, "nowhere")}
	_, err := bad.Write(filepath.Join(dir, "shop"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoDirExists(t, filepath.Join(dir, "shop"))

	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.Mkdir(empty, 0o755))
	_, err = bad.Write(empty)
	require.Error(t, err)
	entries, err := os.ReadDir(empty)
	require.NoError(t, err)
	require.Empty(t, entries)

	other := filepath.Join(dir, "other")
	require.NoError(t, os.Mkdir(other, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(other, "go.mod"), []byte("module other\n"), 0o600))
	bad.Replace = other
	_, err = bad.Write(empty)
	require.ErrorContains(t, err, "its go.mod is not that of "+scaffold.Ergon)
	require.NoError(t, os.WriteFile(filepath.Join(other, "go.mod"), []byte("modul\n"), 0o600))
	_, err = bad.Write(empty)
	require.ErrorContains(t, err, "go.mod:1")

	_, err = scaffold.Project{Name: "shop"}.Write(other)
	require.ErrorContains(t, err, "it is there and not empty (go.mod)")
	data, err := os.ReadFile(filepath.Join(other, "go.mod"))
	require.NoError(t, err)
	require.Equal(t, "modul\n", string(data))
}
