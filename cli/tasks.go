package cli

import (
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
)

// taskInfo is a task as `ergon tasks` shows it.
type taskInfo struct {
	Name   string            `json:"name"`
	In     string            `json:"in,omitempty"`
	Out    string            `json:"out,omitempty"`
	Source string            `json:"source,omitempty"`
	Routes map[string]string `json:"routes,omitempty"`
	Fault  string            `json:"fault,omitempty"`
}

func (c *command) tasksCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "tasks",
		Short: "List this program's tasks and what they are bound to",
		Long: "List the tasks that this program has, with the types of what they take and return, and what\n" +
			"the configuration binds them to. Services are made and not started, and no bus is asked.",
		Example: "  ergon tasks\n  ergon tasks -f examples/02-retail/ergon.yaml --json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return c.tasks() },
	}
}

func (c *command) tasks() error {
	log, err := c.logger(slog.LevelWarn)
	if err != nil {
		return err
	}
	cfg, _, err := c.load(false)
	if err != nil {
		return err
	}
	registered, err := c.registered(app.Options{Config: cfg, Logger: log})
	if err != nil {
		return err
	}
	if registered, err = registered.With(cfg); err != nil {
		return err
	}
	list := make([]taskInfo, 0, len(registered))
	for _, t := range registered {
		info := taskInfo{Name: t.Name(), Routes: map[string]string{}}
		if t.Err() != nil {
			info.Fault = t.Err().Error()
		}
		if t.In() != nil {
			info.In, info.Out = t.In().String(), t.Out().String()
		}
		for _, r := range t.Routes() {
			info.Routes[r] = ""
		}
		if bound, ok := cfg.Tasks[t.Name()]; ok {
			info.Source = sourceLine(bound.Source)
			for name, r := range bound.Routes {
				info.Routes[name] = routeLine(r)
			}
			for name, to := range info.Routes {
				if to == "" && bound.Source.Answers() {
					info.Routes[name] = "the answer"
				}
			}
		}
		list = append(list, info)
	}
	if c.json {
		return c.printJSON(struct {
			Tasks []taskInfo `json:"tasks"`
		}{list})
	}
	if len(list) == 0 {
		return c.printf("this program has no tasks: pass modules that provide some to cli.Main\n")
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TASK\tIN\tOUT\tSOURCE\tROUTES")
	for _, t := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.Name, t.In, t.Out, orNone(t.Source, "not configured"), routesLine(t.Routes))
	}
	return w.Flush()
}

// registered makes the tasks of this program's modules, with the services that they need.
// Nothing is started.
func (c *command) registered(opts app.Options) (tasks app.Registered, err error) {
	err = fx.New(c.modules, app.Registry, fx.Supply(opts), fx.Populate(&tasks), fx.NopLogger, fx.RecoverFromPanics()).Err()
	return tasks, err
}

func sourceLine(s config.Source) string {
	line := streamLine(s)
	if s.HTTP == nil {
		return line
	}
	var paths []string
	for _, r := range s.HTTP.Routes {
		paths = append(paths, orNone(r.Method, "POST")+" "+r.Path)
	}
	http := "http " + strings.Join(paths, ", ")
	if s.Answers() {
		return http + " (answers)"
	}
	return http + " → " + line
}

func streamLine(s config.Source) string {
	if js := s.JetStream; js != nil {
		return fmt.Sprintf("jetstream %s (%s)", js.Stream, orNone(strings.Join(js.Subjects, ", "), "all of it"))
	}
	return ""
}

func routeLine(r config.Route) string {
	if js := r.JetStream; js != nil {
		return "jetstream " + js.Subject
	}
	if r.HTTP != nil {
		return "http " + r.HTTP.String()
	}
	return ""
}

func routesLine(routes map[string]string) string {
	var parts []string
	for _, name := range sortedKeys(routes) {
		parts = append(parts, name+" → "+orNone(routes[name], "not bound"))
	}
	return orNone(strings.Join(parts, ", "), "-")
}

func orNone(s, none string) string {
	if s == "" {
		return none
	}
	return s
}
