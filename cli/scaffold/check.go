package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// nameForm is what can be a directory, a word of a subject, and part of a stream's name.
var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// Check says what is wrong with the names.
func (p Project) Check() error {
	if !nameForm.MatchString(p.Name) {
		return fmt.Errorf("name %q: it is 1 to 64 lower-case letters, digits, - and _, beginning with a letter", p.Name)
	}
	if strings.HasPrefix(p.Name, "ergon_") {
		return fmt.Errorf("name %q: streams that begin with ERGON_ are Ergon's own: take another one", p.Name)
	}
	if entries, _ := templates.ReadDir("templates"); slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() && e.Name() == p.Name }) {
		return fmt.Errorf("name %q: a directory of the project is called so, and the program that go build makes could not be: take another one", p.Name)
	}
	mod := p.Module
	if mod == "" {
		mod = p.Name
	}
	if err := module.CheckImportPath(mod); err != nil {
		cause := err
		if bad, ok := errors.AsType[*module.InvalidPathError](err); ok {
			cause = bad.Err // what is said already
		}
		return fmt.Errorf("module path %q: %w", mod, cause)
	}
	first, _, _ := strings.Cut(mod, "/")
	if slices.Contains(taken(), first) {
		return fmt.Errorf("module path %q: %s is the Go tool's or the standard library's, whose packages would be found instead: give it another one with --module", mod, first)
	}
	if mod == Ergon || strings.HasPrefix(mod, Ergon+"/") {
		return fmt.Errorf("module path %q: it is Ergon's own: give it another one with --module", mod)
	}
	return nil
}

// taken are the first elements of the standard library's paths, and what the Go tool
// has a meaning of its own for.
func taken() []string {
	return []string{
		"archive", "bufio", "bytes", "cmd", "cmp", "compress", "container", "context", "crypto", "database", "debug", "embed",
		"encoding", "errors", "expvar", "flag", "fmt", "go", "hash", "html", "image", "index", "internal", "io", "iter", "log",
		"maps", "math", "mime", "net", "os", "path", "plugin", "reflect", "regexp", "runtime", "simd", "slices", "sort", "strconv",
		"strings", "structs", "sync", "syscall", "testing", "text", "time", "unicode", "unique", "unsafe", "vendor", "weak",
		"all", "main", "std", "tool", "work", "example", "test", "builtin",
	}
}
