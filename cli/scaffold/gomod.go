package scaffold

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
)

// goVersion is what a project is written in: Ergon needs it.
const goVersion = "1.26.0"

// mod is the project's go.mod, and its go.sum where there can be one.
//
// With the source of Ergon at hand all that it requires is required here too, at the
// same versions and with the same checksums. So the project builds at once, without a
// network, and `go mod tidy` drops what it does not need.
func (p Project) mod(dir string) (mod, sum []byte, err error) {
	f := &modfile.File{}
	if err := f.AddModuleStmt(p.Module); err != nil {
		return nil, nil, err
	}
	if err := f.AddGoStmt(goVersion); err != nil {
		return nil, nil, err
	}
	var requires []*modfile.Require
	add := func(path, version string, indirect bool) {
		r := &modfile.Require{Indirect: indirect}
		r.Mod.Path, r.Mod.Version = path, version
		requires = append(requires, r)
	}
	switch {
	case p.Replace != "":
		from, sums, err := p.source(dir)
		if err != nil {
			return nil, nil, err
		}
		sum = sums
		add(Ergon, "v0.0.0", false)
		for _, r := range from.Require {
			add(r.Mod.Path, r.Mod.Version, r.Mod.Path != "go.uber.org/fx") // which main's package imports
		}
		if err := f.AddReplace(Ergon, "", p.Replace, ""); err != nil {
			return nil, nil, err
		}
	case p.Version != "":
		add(Ergon, p.Version, false)
	}
	f.SetRequireSeparateIndirect(requires)
	f.Cleanup()
	mod, err = f.Format()
	return mod, sum, err
}

// source reads what the source of Ergon requires. A relative path is as the go command
// has it: from the project's own directory.
func (p Project) source(dir string) (*modfile.File, []byte, error) {
	at := p.Replace
	if !filepath.IsAbs(at) {
		at = filepath.Join(dir, at)
	}
	name := filepath.Join(at, "go.mod")
	data, err := os.ReadFile(name) //nolint:gosec // it is what the caller names
	if err != nil {
		return nil, nil, fmt.Errorf("replace with %s: it is no directory with Ergon's source: %w", p.Replace, err)
	}
	from, err := modfile.Parse(name, data, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("replace with %s: %w", p.Replace, err)
	}
	if from.Module == nil || from.Module.Mod.Path != Ergon {
		return nil, nil, fmt.Errorf("replace with %s: its go.mod is not that of %s", p.Replace, Ergon)
	}
	sum, err := os.ReadFile(filepath.Join(at, "go.sum")) //nolint:gosec // likewise
	if err != nil {
		return nil, nil, fmt.Errorf("replace with %s: %w", p.Replace, err)
	}
	return from, sum, nil
}
