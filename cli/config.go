package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *command) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration, and describe it for editors",
		Long: "Check and show what ergon.yaml, the environment and flags say together. A flag wins over a\n" +
			"variable, which wins over the file, which wins over the default. The variable of a key is\n" +
			"ERGON_ and its path in capitals: ERGON_DEAD_LETTERS_MAX_AGE. Nothing here opens a connection.",
		Example: "  ergon config check\n  ergon config show --changed\n  ergon config schema > ergon.schema.json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := ""
			if names := cmd.SuggestionsFor(args[0]); len(names) > 0 {
				hint = fmt.Sprintf(", did you mean %q?", names[0])
			}
			return fmt.Errorf("unknown command %q%s", args[0], hint)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	for _, sub := range []*cobra.Command{c.configCheckCommand(), c.configShowCommand(), c.configSchemaCommand()} {
		args := sub.Args
		sub.Args = func(cmd *cobra.Command, a []string) error {
			if err := args(cmd, a); err != nil {
				return usage("%w (see %s --help)", err, cmd.CommandPath())
			}
			return nil
		}
		cmd.AddCommand(sub)
	}
	return cmd
}
