// Package scaffold writes new projects: a program with one task, a service that the
// task stands on, their tests, and all that it takes to run them.
package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"
)

// Each file of a project is a template, under its own name and ".tmpl": a go.mod would
// end this module, and a file beginning with a dot would not be embedded.
//
//go:embed templates
var templates embed.FS

// Ergon is the module that a project stands on.
const Ergon = "github.com/ergon-framework/ergon"

// Project is what is to be written. Check it before.
type Project struct {
	// Name is the program's, its directory's and its configuration's.
	Name string
	// Module is the path of its Go module. Default: Name.
	Module string
	// Version is the version of Ergon that it requires; "" leaves the choice to the
	// first `go get`. It is ignored with Replace.
	Version string
	// Replace is a directory with Ergon's source, to build with instead of a published
	// version; "" for none.
	Replace string
}

// Build is the command that makes the program, under the project's name: go build alone
// would name it after the module.
func (p Project) Build() string {
	if p.Module == "" || path.Base(p.Module) == p.Name {
		return "go build"
	}
	return "go build -o " + p.Name + " ."
}

// Write writes the project into a directory, which is made if it is missing and must be
// empty if it is there. It returns the files that it wrote, by their slashed paths in
// it. After an error what was written is removed again.
func (p Project) Write(dir string) (files []string, err error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Module == "" {
		p.Module = p.Name
	}
	made, err := makeEmpty(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(dir, files, made))
			files = nil
		}
	}()
	mod, sum, err := p.mod(dir)
	if err != nil {
		return nil, err
	}
	write := func(name string, data []byte) error {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil { //nolint:gosec // it is source, for everybody to read
			return err
		}
		files = append(files, name)
		return os.WriteFile(at, data, 0o644) //nolint:gosec // likewise
	}
	if err := write("go.mod", mod); err != nil {
		return files, err
	}
	if len(sum) > 0 {
		if err := write("go.sum", sum); err != nil {
			return files, err
		}
	}
	err = fs.WalkDir(templates, "templates", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := p.render(name)
		if err != nil {
			return err
		}
		return write(target(name), data)
	})
	return files, err
}

// render fills a template in.
func (p Project) render(name string) ([]byte, error) {
	text, err := templates.ReadFile(name)
	if err != nil {
		return nil, err
	}
	t, err := template.New(path.Base(name)).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]string{
		"Name": p.Name, "Module": p.Module, "Ergon": Ergon,
		// A stream's name; with the underscore that NATS allows where a subject's word
		// has a dash.
		"Stream":  strings.ToUpper(p.Name),
		"Replace": p.Replace, "Version": p.Version, "Build": p.Build(),
	})
	return b.Bytes(), err
}

// target is the file that a template becomes.
func target(name string) string {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "templates/"), ".tmpl")
	if base := path.Base(name); base == "gitignore" {
		return path.Join(path.Dir(name), "."+base)
	}
	return name
}

// makeEmpty makes sure of an empty directory. made says that it was not there.
func makeEmpty(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, os.MkdirAll(dir, 0o755) //nolint:gosec // it is source, for everybody to read
	case err != nil:
		return false, fmt.Errorf("%s: it is there, and no directory that can be read: name another one: %w", dir, err)
	case len(entries) > 0:
		return false, fmt.Errorf("%s: it is there and not empty (%s): name another one, or empty it", dir, entries[0].Name())
	}
	return false, nil
}

// remove takes back what was written into a directory that was empty.
func remove(dir string, files []string, made bool) error {
	if made {
		return os.RemoveAll(dir)
	}
	var errs []error
	for _, f := range files {
		first, _, _ := strings.Cut(f, "/")
		errs = append(errs, os.RemoveAll(filepath.Join(dir, first)))
	}
	return errors.Join(errs...)
}
