package cli

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
)

func (c *command) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Report everything that is wrong with the configuration, and what is odd",
		Long: "Report all faults of the configuration at once, each with its place, its line and what to do:\n" +
			"exit code 2. Without one, report what is allowed and probably not meant, with advice: exit\n" +
			"code 0. Where this program has tasks, those of the file are held against them: what no module\n" +
			"provides, and routes that a task does not have or that are not bound, are faults. For that its\n" +
			"services are made and not started; no bus is asked.",
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
	r, warnings, err := c.checked()
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

// checked reads the configuration and holds it against the tasks of this program. A
// program without any is a tool, and knows nothing of the file's.
func (c *command) checked() (*config.Resolved, []config.Warning, error) {
	r, _, err := c.resolve(true)
	if err != nil {
		return nil, nil, err
	}
	warnings := r.Warnings()
	tasks, err := c.registered(app.Options{Config: r.Config})
	if _, ok := errors.AsType[*app.WiringError](err); ok { // of the services
		return nil, nil, wiringFaults(r, err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make this program's tasks, to check what the configuration binds them to: %w", err)
	}
	if len(tasks) == 0 {
		return r, warnings, nil
	}
	if err := tasks.Check(r.Config); err != nil {
		return nil, nil, wiringFaults(r, err)
	}
	for _, w := range tasks.Advice(r.Config) {
		w.Origin = r.Near(w.Path)
		warnings = append(warnings, w)
	}
	for _, name := range tasks.Unconfigured(r.Config) {
		warnings = append(warnings, config.Warning{
			Path: "tasks." + name, Origin: r.Near("tasks." + name),
			Message: "this program has the task, and it has no configuration: " + c.program() + " run is refused without the names of others",
			Advice:  "add it with its source, or name the tasks to run",
		})
	}
	return r, warnings, nil
}

// wiringFaults gives faults of the wiring their places in the file.
func wiringFaults(r *config.Resolved, err error) error {
	wiring, ok := errors.AsType[*app.WiringError](err)
	if !ok {
		return err
	}
	out := &config.Error{}
	for _, err := range wiring.Faults {
		f := config.Fault{Message: err.Error()}
		if at, ok := errors.AsType[*app.WiringFault](err); ok {
			o := r.Near(at.Path)
			f.Path, f.File, f.Line, f.Column = at.Path, o.File, o.Line, o.Column
		}
		out.Faults = append(out.Faults, f)
	}
	slices.SortStableFunc(out.Faults, func(a, b config.Fault) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return out
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
