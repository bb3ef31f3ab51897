package app

import (
	"fmt"
	"slices"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/tasks/transform"
)

// With adds the tasks that a configuration makes itself, those with a use. The
// error is a *WiringError with every fault; the tasks without one are there all
// the same.
func (r Registered) With(cfg *config.Config) (Registered, error) {
	all := slices.Clone(r)
	var faults []error
	for _, name := range cfg.TaskNames() {
		t := cfg.Tasks[name]
		if t.Use == "" {
			continue
		}
		if slices.ContainsFunc(r, func(t Task) bool { return t.Name() == name }) {
			faults = append(faults, taskFault(name, ".use", "a module of this program provides it, and tasks.%s.use makes another: rename the one in the configuration, or remove its use", name))
			continue
		}
		task, err := configured(name, t)
		if err != nil {
			faults = append(faults, taskFault(name, ".use", "%w", err))
			continue
		}
		all = append(all, task)
	}
	if len(faults) > 0 {
		return sorted(all), &WiringError{faults}
	}
	return sorted(all), nil
}

// Check holds the tasks that a configuration names against those that there are, as a run
// does, and opens nothing. The error is a *WiringError with every fault. A task that is not
// configured is none: a run of others does without it.
func (r Registered) Check(cfg *config.Config) error {
	if len(cfg.Tasks) == 0 {
		return nil
	}
	_, err := bind(r, Options{Config: cfg, Only: cfg.TaskNames()})
	return err
}

// Unconfigured are the names of the tasks without which a run that names none is refused.
func (r Registered) Unconfigured(cfg *config.Config) []string {
	var out []string
	for _, t := range r {
		if _, ok := cfg.Tasks[t.Name()]; !ok && !spare(Options{Config: cfg}) {
			out = append(out, t.Name())
		}
	}
	return out
}

// configured makes a task of what the configuration says. What Parse returned has
// no faults; a configuration that a program made may.
func configured(name string, c config.Task) (Task, error) {
	if c.Use != config.UseTransform || c.Transform == nil {
		return Task{}, fmt.Errorf("use: %q is not known, or has nothing to go by: config.Config.Validate says more", c.Use)
	}
	t, err := transform.Compile(c.Transform.Spec(c.Outputs()))
	if err != nil {
		return Task{}, fmt.Errorf("transform: %w", err)
	}
	return engine.Consume(name, t, engine.Routes(t.Routes()...), engine.Codecs(t.Codec())), nil
}

// leftOut tells of the tasks that are there and that nobody configured.
func (r *Runner) leftOut(tasks Registered) {
	for _, t := range tasks {
		if _, ok := r.opts.Config.Tasks[t.Name()]; !ok && spare(r.opts) {
			r.log.Info("task is not configured, and does not run", "task", t.Name())
		}
	}
}

// spare says whether a task that nobody configured may be left out: where the
// configuration brings tasks of its own, the program's are there to choose from.
func spare(opts Options) bool {
	for name, t := range opts.Config.Tasks {
		if t.Use != "" && wanted(opts, name) {
			return len(opts.Only) == 0
		}
	}
	return false
}
