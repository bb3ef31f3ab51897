package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app"
)

// group makes a command that only holds others: alone it prints its help, and an
// unknown word is refused with the nearest known one.
func group(cmd *cobra.Command, subs ...*cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := ""
		if names := cmd.SuggestionsFor(args[0]); len(names) > 0 {
			hint = fmt.Sprintf(", did you mean %q?", names[0])
		}
		return fmt.Errorf("unknown command %q%s", args[0], hint)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(subs...)
	return cmd
}

// usageArgs makes wrong arguments of a command, and of all below it, bad usage.
func usageArgs(cmd *cobra.Command) {
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, a []string) error {
			if err := args(cmd, a); err != nil {
				return usage("%w (see %s --help)", err, cmd.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageArgs(sub)
	}
}

// withTasks makes the program's tasks and has them checked, starts the services that
// they stand on, has them used, and stops the services. use gets the bus that services
// use too, which is opened when somebody needs it, and closed at the end.
func (c *command) withTasks(opts app.Options, check func(app.Registered) error, use func(*app.Bus) error) error {
	var (
		tasks app.Registered
		bus   *app.Bus
	)
	opts.Interrupt = c.stop.ctx
	fxApp := fx.New(c.modules, app.Registry, fx.Supply(opts), fx.Populate(&tasks, &bus), fx.NopLogger, fx.RecoverFromPanics())
	if err := fxApp.Err(); err != nil {
		return err
	}
	if err := check(tasks); err != nil {
		return err
	}
	starting, cancel := context.WithTimeout(c.stop.ctx, fx.DefaultTimeout)
	defer cancel()
	if err := fxApp.Start(starting); err != nil { // fx has stopped what it had started
		return fmt.Errorf("start the services of the tasks: %w", err)
	}
	err := use(bus)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(c.stop.ctx), fx.DefaultTimeout)
	defer cancel()
	if stopErr := fxApp.Stop(stopping); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("stop the services of the tasks: %w", stopErr))
	}
	return err
}
