package cli

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app/config"
)

func (c *command) configShowCommand() *cobra.Command {
	var changed bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration that is in force, and where each value comes from",
		Long: "Print the configuration that is in force as YAML, secrets hidden. The comment behind a value\n" +
			"says where it comes from: default, the line of the file, $VARIABLE, or a flag.",
		Example: "  ergon config show --changed\n  ERGON_APP=retail ergon config show --set tasks.score.consumer.loop.concurrency=8",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return c.configShow(changed) },
	}
	cmd.Flags().BoolVar(&changed, "changed", false, "only what is not a default")
	return cmd
}

func (c *command) configShow(changed bool) error {
	if _, err := c.logger(slog.LevelWarn); err != nil {
		return err
	}
	r, fromFile, err := c.resolve(false)
	if err != nil {
		return err
	}
	others := c.otel()
	if c.json {
		values := r.Values()
		if changed {
			values = slices.DeleteFunc(values, func(v config.Value) bool { return v.Origin.IsDefault() })
		}
		file := ""
		if fromFile {
			file = orNone(c.file, defaultFile)
		}
		return c.printJSON(struct {
			File   string         `json:"file,omitempty"`
			Values []config.Value `json:"values"`
			OTel   []string       `json:"otel,omitempty"`
		}{file, values, others})
	}
	if len(others) > 0 {
		if err := c.printf("# Set, and winning over telemetry below: %s.\n", strings.Join(others, ", ")); err != nil {
			return err
		}
	}
	return c.printf("%s", r.YAML(changed))
}

// otel is the variables of OpenTelemetry's that are set: they win over what the
// configuration says of telemetry, each over its own setting.
func (c *command) otel() []string {
	if c.EnvNames == nil {
		return nil
	}
	var out []string
	for _, name := range c.EnvNames() {
		if value, _ := c.Env(name); strings.HasPrefix(name, "OTEL_") && value != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (c *command) configSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of ergon.yaml, for editors that complete and check it",
		Long: "Print the JSON Schema of ergon.yaml for this version. An editor with yaml-language-server uses\n" +
			"the one that the first line names:\n\n" +
			"  # yaml-language-server: $schema=ergon.schema.json",
		Example: "  ergon config schema > ergon.schema.json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return c.printf("%s", config.Schema()) },
	}
}
