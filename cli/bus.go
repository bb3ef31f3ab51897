package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app"
)

func (c *command) busCommand() *cobra.Command {
	var listen, store string
	cmd := &cobra.Command{
		Use:   "bus",
		Short: "Run an embedded NATS server with JetStream to develop against",
		Long: "Run an embedded NATS server with JetStream until a signal, and print its URL once it is\n" +
			"ready. A store belongs to one server: a second one on it is refused.",
		Example: "  ergon bus\n  ergon bus --listen 127.0.0.1:0 --store ./data",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return c.bus(listen, store) },
	}
	cmd.Flags().StringVar(&listen, "listen", "", "`HOST:PORT` for clients; port 0 takes a free one (default: bus.listen, 127.0.0.1:4222)")
	cmd.Flags().StringVar(&store, "store", "", "`DIR` for the streams (default: bus.store, else under the user's data directory)")
	return cmd
}

func (c *command) bus(listen, store string) error {
	log, err := c.logger(slog.LevelWarn)
	if err != nil {
		return err
	}
	c.flag("--listen", "bus.listen", listen)
	c.flag("--store", "bus.store", store)
	cfg, _, err := c.load(false)
	if err != nil {
		return err
	}
	settings := cfg.Bus
	dir, err := app.StoreDir(settings)
	if err != nil {
		return err
	}
	server, err := app.StartServer(c.stop.ctx, settings, log)
	if err != nil {
		return err
	}
	defer server.Shutdown()
	if server.URL() == "" {
		return usage("--listen: a server without a port is of no use here")
	}
	if c.json {
		err = c.printJSON(map[string]string{"url": server.URL(), "store": dir})
	} else {
		err = c.printf("%s\n", server.URL())
	}
	if err != nil {
		return err
	}
	<-c.stop.ctx.Done()
	return nil
}

func (c *command) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of Ergon and of what it stands on",
		Long: "Print the versions of Ergon, of the libraries that a report of a fault should name, and of\n" +
			"Go, and the commit that the program was built from where that is known.",
		Example: "  ergon version\n  ergon version --json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return c.version() },
	}
}

// shown are the modules whose versions a report of a fault should name.
var shown = map[string]string{
	"github.com/nats-io/nats.go":         "nats.go",
	"github.com/nats-io/nats-server/v2":  "nats-server",
	"github.com/failsafe-go/failsafe-go": "failsafe-go",
	"github.com/ergon-framework/ergon":   "ergon",
	"go.opentelemetry.io/otel":           "otel",
}

func (c *command) version() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this binary was built without build information")
	}
	versions := map[string]string{"go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
	for _, m := range append(info.Deps, &info.Main) {
		if name, ok := shown[m.Path]; ok {
			versions[name] = orNone(m.Version, "(devel)")
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			versions["revision"] = s.Value
		}
	}
	if c.json {
		return c.printJSON(versions)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "ergon %s\n", orNone(versions["ergon"], "(devel)"))
	delete(versions, "ergon")
	for _, name := range sortedKeys(versions) {
		fmt.Fprintf(&b, "  %-12s %s\n", name, versions[name])
	}
	return c.printf("%s", b.String())
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
