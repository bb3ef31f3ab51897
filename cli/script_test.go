package cli_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ergon-framework/ergon/cli"
	"github.com/ergon-framework/ergon/examples/02-retail/retail"
)

// The scripts in testdata/script run the stock command as a process of its own:
// every message in them is what a user reads.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ergon":   func() { cli.Main(retail.Module) },
		"bare":    func() { cli.Main() },
		"risky":   func() { cli.Main(riskyTask) },
		"holding": func() { cli.Main(holdingTask) },

		"measured": measured, "until": until, "code": code, "unprivileged": unprivileged,
	})
}

func TestScript(t *testing.T) { runScripts(t, "testdata/script") }

// runScripts runs the scripts of a directory, each in a directory of its own that has the
// retail example's configuration and lines.
func runScripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir:  dir,
		Cmds: scriptCommands,
		Setup: func(env *testscript.Env) error {
			// The store of an embedded bus lies under the user's data directory.
			env.Setenv("XDG_DATA_HOME", env.WorkDir+"/data")
			env.Setenv("HOME", env.WorkDir)
			lines, err := os.ReadFile("../examples/02-retail/testdata/lines.csv")
			if err != nil {
				return err
			}
			config, err := os.ReadFile("../examples/02-retail/ergon.yaml")
			if err != nil {
				return err
			}
			if err := os.WriteFile(env.WorkDir+"/lines.csv", lines, 0o600); err != nil {
				return err
			}
			return os.WriteFile(env.WorkDir+"/retail.yaml", config, 0o600)
		},
	})
}
