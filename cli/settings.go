package cli

import (
	"os"
	"slices"
	"strings"

	"github.com/ergon-framework/ergon/app/config"
)

// defaultFile is read where no -f is given, if it is there.
const defaultFile = "ergon.yaml"

// resolve reads the configuration, and knows where each value comes from. Without a
// file a command gets the defaults, unless it needs one.
func (c *command) resolve(required bool) (r *config.Resolved, fromFile bool, err error) {
	in, err := c.inputs()
	if err != nil {
		return nil, false, err
	}
	path := c.file
	if path == "" {
		if _, err := os.Stat(defaultFile); err != nil {
			if required {
				return nil, false, usage("there is no %s here: name a configuration with -f FILE", defaultFile)
			}
			if c.asks {
				in.Env.Names = withoutTasks(in.Env.Names)
			}
			r, err := config.Resolve("", nil, in)
			return r, false, err
		}
		path = defaultFile
	}
	r, err = config.ResolveFile(path, in)
	return r, true, err
}

// load is resolve for who needs the configuration alone.
func (c *command) load(required bool) (cfg *config.Config, fromFile bool, err error) {
	r, fromFile, err := c.resolve(required)
	if err != nil {
		return nil, fromFile, err
	}
	return r.Config, fromFile, nil
}

// inputs is what wins over the file. Of a flag that is short for a key and of --set, the
// first wins: it says more plainly what is meant.
func (c *command) inputs() (config.Inputs, error) {
	in := config.Inputs{Env: config.Environment{Lookup: c.Env, Names: c.EnvNames}}
	for _, s := range c.sets {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return in, usage("--set %q: it is KEY=VALUE, as in --set admin.listen=off", key)
		}
		in.Flags = append(in.Flags, config.Flag{Name: "--set", Path: key, Value: value})
	}
	in.Flags = append(in.Flags, c.flags...)
	return in, nil
}

// withoutTasks leaves the variables of tasks out. A probe in a container has those of the
// process that it asks, and need not know that one's file.
func withoutTasks(names func() []string) func() []string {
	if names == nil {
		return nil
	}
	return func() []string {
		return slices.DeleteFunc(slices.Clone(names()), config.OfNamed)
	}
}

// flag has a flag that is short for a key win over everything else. One that was not
// given says nothing.
func (c *command) flag(name, key, value string) {
	if value != "" {
		c.flags = append(c.flags, config.Flag{Name: name, Path: key, Value: value})
	}
}
