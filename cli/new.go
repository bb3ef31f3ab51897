package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/mod/module"

	"github.com/ergon-framework/ergon/cli/scaffold"
)

func (c *command) newCommand() *cobra.Command {
	p := scaffold.Project{}
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a new project that builds, tests and runs at once",
		Long: "Write a new project into the directory NAME, which must be missing or empty: a program with\n" +
			"one task, a service that the task stands on and a fake of it, their tests, an ergon.yaml, a\n" +
			"docker-compose.yml with NATS, and a README.md that says what to try.\n\n" +
			"NAME is of lower-case letters, digits, - and _. It becomes the program's name, and part of\n" +
			"the names of its streams. With --replace the project builds on a directory with Ergon's\n" +
			"source, without a network, instead of on a published version.",
		Example: "  ergon new shop\n" +
			"  ergon new shop --module example.com/acme/shop\n" +
			"  ergon new shop --replace ~/src/ergon && cd shop && go test ./...",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			p.Name = args[0]
			for _, name := range []string{"module", "replace"} {
				if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
					return usage("--%s is empty", name)
				}
			}
			return c.newProject(p)
		},
	}
	cmd.Flags().StringVar(&p.Module, "module", "", "the `PATH` of its Go module (default: NAME)")
	cmd.Flags().StringVar(&p.Replace, "replace", "", "build with Ergon's source in `DIR`")
	_ = cmd.MarkFlagDirname("replace") // it is there
	return cmd
}

// newInfo is a project as `ergon new --json` has it.
type newInfo struct {
	Dir    string   `json:"dir"`
	Module string   `json:"module"`
	Files  []string `json:"files"`
	Next   []string `json:"next"` // commands
}

func (c *command) newProject(p scaffold.Project) error {
	if err := p.Check(); err != nil {
		return usage("%w", err)
	}
	if p.Replace != "" {
		at, err := filepath.Abs(p.Replace) // it is named from here, and used from there
		if err != nil {
			return usage("--replace %q: %w", p.Replace, err)
		}
		p.Replace = at
	}
	p.Version = ergonVersion()
	files, err := p.Write(p.Name)
	if path, ok := errors.AsType[*fs.PathError](err); ok && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, fs.ErrPermission)) {
		return fmt.Errorf("write the project: %w: make room for it there, or have another directory", path)
	}
	if err != nil {
		return usage("%w", err)
	}
	info := newInfo{Dir: p.Name, Module: orNone(p.Module, p.Name), Files: files, Next: []string{"cd " + p.Name}}
	switch {
	case p.Replace != "":
	case p.Version == "":
		info.Next = append(info.Next, "go get "+scaffold.Ergon+"@latest", "go mod tidy")
	default:
		info.Next = append(info.Next, "go mod tidy")
	}
	info.Next = append(info.Next, "go test ./...", p.Build(), "."+string(os.PathSeparator)+p.Name+" publish "+p.Name+".orders --file testdata/orders.jsonl",
		"."+string(os.PathSeparator)+p.Name+" run --until-empty")
	if c.json {
		return c.printJSON(info)
	}
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "  %s/%s\n", p.Name, f)
	}
	return c.printf("wrote %d files:\n%s\nnext:\n  %s\n", len(files), b.String(), strings.Join(info.Next, "\n  "))
}

// ergonVersion is the published version that this program was built with, "" for none.
func ergonVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range append(info.Deps, &info.Main) {
		// Where Ergon is what was built, its version may be made up of a commit that was
		// never published.
		made := m == &info.Main && (module.IsPseudoVersion(m.Version) || strings.Contains(m.Version, "+dirty"))
		if m.Path == scaffold.Ergon && m.Replace == nil && strings.HasPrefix(m.Version, "v") && !made {
			return m.Version
		}
	}
	return ""
}
