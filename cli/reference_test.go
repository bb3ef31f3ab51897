package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
)

var update = flag.Bool("update", false, "write docs/reference/commands.md anew")

func tree() *cobra.Command {
	return (&command{Process: &Process{Name: "ergon"}, modules: fx.Options()}).root()
}

// walk visits a command and all below it, but the help that cobra adds.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		if sub.Name() != "help" {
			walk(sub, visit)
		}
	}
}

// The reference is what the commands say of themselves.
// Write it anew: go test ./cli -run TestReference -update
func TestReference(t *testing.T) {
	const file = "../docs/reference/commands.md"
	got := reference(tree())
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "a command says something else than docs/reference/commands.md: go test ./cli -run TestReference -update")
}

func reference(root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString("# Commands\n\n" +
		"What each command says with `--help`. This page is made of the program itself and held to it by a test\n" +
		"(`cli/reference_test.go`).\n\n" +
		"Exit codes: 0 done, also after a signal with a clean drain; 1 failed; 2 bad usage or configuration; 3 drained, and\n" +
		"something could be neither finished nor given back; 130 or 143 when a second signal forced the end.\n\n" +
		"Every command takes these flags:\n\n")
	flagTable(&b, root.PersistentFlags())
	walk(root, func(cmd *cobra.Command) {
		if cmd == root {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n```\n%s\n```\n\n%s\n", cmd.CommandPath(), cmd.Short, cmd.UseLine(), cmd.Long)
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(cmd.Example, "  "), "\n  ", "\n"))
		}
		if cmd.HasAvailableLocalFlags() {
			b.WriteByte('\n')
			flagTable(&b, cmd.LocalNonPersistentFlags())
		}
	})
	return b.Bytes()
}

func flagTable(b *bytes.Buffer, flags *pflag.FlagSet) {
	b.WriteString("| flag | |\n|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		value, text := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		if d := f.DefValue; d != "" && d != "[]" && d != "false" && !strings.Contains(text, "(default") {
			text += " (default " + d + ")"
		}
		cell := strings.NewReplacer("|", `\|`, "\n", " ").Replace
		fmt.Fprintf(b, "| `%s` | %s |\n", cell(name), cell(text))
	})
}

// Every command says at length what it does, and shows how; and a flag of one name is
// the same thing everywhere.
func TestCommandsAreAlike(t *testing.T) {
	types := map[string]string{}
	walk(tree(), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		require.NotEmpty(t, cmd.Long, path)
		require.NotEmpty(t, cmd.Short, path)
		require.NotRegexp(t, `\.$`, cmd.Short, path)
		if cmd.HasParent() {
			require.NotEmpty(t, cmd.Example, path)
			require.Contains(t, cmd.Example, path, "an example of %s shows another command", path)
		}
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 100, "%s: %s", path, line)
		}
		require.NotNil(t, cmd.RunE, "%s ends without its error", path)
		require.NotNil(t, cmd.Args, "%s takes any arguments", path)
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			require.NotEmpty(t, f.Usage, "%s --%s", path, f.Name)
			require.NotRegexp(t, `\.$`, f.Usage, "%s --%s", path, f.Name)
			typ := strings.TrimSuffix(f.Value.Type(), "64")
			if was, ok := types[f.Name]; ok && was != typ && path != "ergon dlq show" {
				t.Errorf("%s --%s is of type %s, and elsewhere %s", path, f.Name, typ, was)
			}
			// Its --id and --payload say how to take its argument, and what to show of it.
			if path != "ergon dlq show" {
				types[f.Name] = typ
			}
			value, _ := pflag.UnquoteUsage(f)
			if value == f.Value.Type() || value == "strings" || value == "float" {
				t.Errorf("%s --%s %s: say what its value is, in backquotes", path, f.Name, value)
			}
		})
	})
}
