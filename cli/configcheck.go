package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app/config"
)

func (c *command) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Report everything that is wrong with the configuration, and what is odd",
		Long: "Report all faults of the configuration at once, each with its place, its line and what to do:\n" +
			"exit code 2. Without one, report what is allowed and probably not meant, with advice: exit\n" +
			"code 0.",
		Example: "  ergon config check\n  ergon config check -f examples/02-retail/ergon.yaml --json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return c.configCheck() },
	}
}

// fault is a fault as --json has it.
type fault struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	Excerpt string `json:"excerpt,omitempty"`
}

func (c *command) configCheck() error {
	if _, err := c.logger(slog.LevelWarn); err != nil {
		return err
	}
	r, _, err := c.resolve(true)
	if err != nil {
		faults, ok := errors.AsType[*config.Error](err)
		if !ok || !c.json {
			return err
		}
		list := make([]fault, len(faults.Faults))
		for i, f := range faults.Faults {
			list[i] = fault(f)
		}
		if err := c.printCheck(false, list, nil); err != nil {
			return err
		}
		return &exitError{code: exitUsage}
	}
	warnings := r.Warnings()
	if c.json {
		return c.printCheck(true, nil, warnings)
	}
	var b strings.Builder
	for _, w := range warnings {
		fmt.Fprintf(&b, "%s: %s: warning: %s\n", w.Origin, w.Path, w.Message)
		if w.Advice != "" {
			fmt.Fprintf(&b, "    %s\n", w.Advice)
		}
	}
	tasks := orNone(strings.Join(r.Config.TaskNames(), ", "), "none")
	fmt.Fprintf(&b, "%s: no faults, %s; app %s, tasks: %s\n", orNone(c.file, defaultFile), plural(len(warnings), "warning"), r.Config.App, tasks)
	return c.printf("%s", b.String())
}

// printCheck prints lists that are empty as such, for who reads them by a program.
func (c *command) printCheck(ok bool, faults []fault, warnings []config.Warning) error {
	if faults == nil {
		faults = []fault{}
	}
	if warnings == nil {
		warnings = []config.Warning{}
	}
	return c.printJSON(struct {
		OK       bool             `json:"ok"`
		Faults   []fault          `json:"faults"`
		Warnings []config.Warning `json:"warnings"`
	}{ok, faults, warnings})
}

func plural(n int, what string) string {
	switch n {
	case 0:
		return "no " + what + "s"
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
