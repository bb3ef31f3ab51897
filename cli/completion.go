package cli

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app"
)

// shells are those that completion knows.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func (c *command) completionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes commands, flags and tasks in a shell",
		Long: "Print a script that makes a shell complete this program's commands, their flags, and the\n" +
			"names of its tasks where a task is meant. Load it once to try, or install it where the\n" +
			"shell looks for such scripts. It is for the program's name as it was called.",
		Example: "  source <(ergon completion bash)\n" +
			"  ergon completion bash > /etc/bash_completion.d/ergon\n" +
			"  ergon completion zsh > \"${fpath[1]}/_ergon\"\n" +
			"  ergon completion fish > ~/.config/fish/completions/ergon.fish\n" +
			"  ergon completion powershell | Out-String | Invoke-Expression",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: shells,
		RunE:      func(cmd *cobra.Command, args []string) error { return c.completion(cmd.Root(), args[0]) },
	}
	return cmd
}

func (c *command) completion(root *cobra.Command, shell string) error {
	if c.json {
		return usage("--json: a script for a shell is none")
	}
	root.Use = cmp.Or(c.Name, root.Use) // the script is found by what is typed
	write := map[string]func() error{
		"bash":       func() error { return root.GenBashCompletionV2(c.Stdout, true) },
		"zsh":        func() error { return root.GenZshCompletion(c.Stdout) },
		"fish":       func() error { return root.GenFishCompletion(c.Stdout, true) },
		"powershell": func() error { return root.GenPowerShellCompletionWithDesc(c.Stdout) },
	}[shell]
	if err := write(); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// completeTask completes the one argument that is a task.
func (c *command) completeTask(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeTasks(cmd, args, begun)
}

// completeTasks completes tasks that are not named yet: those of the configuration,
// which are what can be run, or else those that the program has. The first costs no
// service its start, and a person waits.
func (c *command) completeTasks(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if cfg, fromFile, err := c.load(false); err == nil && fromFile {
		names = cfg.TaskNames()
	} else {
		var tasks app.Registered
		if fx.New(c.modules, app.Registry, fx.Populate(&tasks), fx.NopLogger, fx.RecoverFromPanics()).Err() == nil {
			for _, t := range tasks {
				names = append(names, t.Name())
			}
		}
	}
	names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(args, n) })
	return names, cobra.ShellCompDirectiveNoFileComp
}

func words[T ~string](values []T) (all []string) {
	for _, v := range values {
		all = append(all, string(v))
	}
	return all
}

// fixed completes a flag that is one of a few words.
func fixed(cmd *cobra.Command, flag string, words ...string) {
	// It fails only for a flag that is not there, or twice.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}
