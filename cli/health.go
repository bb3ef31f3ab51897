package cli

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app/admin"
)

// healthPaths are what may be asked, by the command's word.
var healthPaths = map[string]string{"live": "/livez", "ready": "/readyz", "startup": "/startupz", "status": "/status"}

func (c *command) healthCommand() *cobra.Command {
	a := &adminAsk{}
	cmd := &cobra.Command{
		Use:   "health [live|ready|startup|status]",
		Short: "Ask a running process how it is",
		Long: "Ask the admin server of a running process whether it lives, is ready (the default), has\n" +
			"started, or what it does. The exit code is 0 if so and 1 if not, so this is a health check\n" +
			"for a container without a shell; status is 0 if the process is ready.",
		Example: "  ergon health\n" +
			"  ergon health status\n" +
			"  ergon health live --admin 127.0.0.1:9400 --timeout 2s\n" +
			"  HEALTHCHECK CMD [\"/ergon\", \"health\", \"live\"]",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"live", "ready", "startup", "status"},
		RunE: func(_ *cobra.Command, args []string) error {
			what := "ready"
			if len(args) > 0 {
				what = args[0]
			}
			return c.health(a, what)
		},
	}
	a.flags(cmd)
	return cmd
}

func (c *command) health(a *adminAsk, what string) error {
	if _, err := c.logger(slog.LevelWarn); err != nil {
		return err
	}
	cfg, err := c.adminConfig(a)
	if err != nil {
		return err
	}
	if err := a.complete(cfg, c.Env); err != nil {
		return err
	}
	r, err := a.get(c.stop.ctx, healthPaths[what], nil)
	if err != nil {
		return err
	}
	fine := r.code == http.StatusOK
	if !fine && r.code != http.StatusServiceUnavailable {
		return fmt.Errorf("ask %s for %s: %d %s: is this an ergon?", a.addr, healthPaths[what], r.code, visible(cutText(r.text())))
	}
	text := r.text()
	switch {
	case what == "status":
		var s admin.Status
		if err := json.Unmarshal(r.body, &s); err != nil {
			return fmt.Errorf("ask %s for /status: %w: is this an ergon?", a.addr, err)
		}
		text, fine = statusText(s), s.Ready
	case r.json:
		var ready admin.Readiness
		if err := json.Unmarshal(r.body, &ready); err != nil {
			return fmt.Errorf("ask %s for %s: %w: is this an ergon?", a.addr, healthPaths[what], err)
		}
		text = readyText(ready)
	}
	if err := c.printHealth(r, fine, text); err != nil {
		return err
	}
	if !fine {
		return &exitError{code: exitFailed}
	}
	return nil
}

// printHealth prints JSON as it came, and makes some of what came as text.
func (c *command) printHealth(r reply, fine bool, text string) error {
	switch {
	case c.json && r.json:
		return c.printf("%s\n", visibleJSON(r.text()))
	case c.json:
		return c.printVisibleJSON(struct {
			OK   bool   `json:"ok"`
			Text string `json:"text"`
		}{fine, text})
	}
	return c.printf("%s\n", visibleText(text))
}

func cutText(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

func readyText(r admin.Readiness) string {
	if r.Ready {
		return "ready" + of(r.App)
	}
	return "not ready" + of(r.App) + "\n  " + strings.Join(r.Reasons, "\n  ")
}

// of names the application that answered, which may be another one than is meant.
func of(app string) string {
	if app == "" {
		return ""
	}
	return ": app " + app
}

// statusText is a summary of what a process does; --json has all of it.
func statusText(s admin.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s for %s, pid %d, %s\n", s.State, short(time.Duration(s.UptimeSeconds*float64(time.Second))), s.PID, s.Build.Version)
	b.WriteString(readyText(admin.Readiness{App: s.App, Ready: s.Ready, Reasons: s.Reasons}) + "\n")
	if !s.Live {
		b.WriteString("not live: " + s.LiveReason + "\n")
	}
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TASK\tREADY\tSUCCEEDED\tDEAD\tIN FLIGHT\tPER S\tP50\tP99\tPENDING\tPARKED")
	for _, t := range s.Tasks {
		ready, pending, parked := "no", "-", "-"
		if t.Ready {
			ready = "yes"
		}
		if t.Lag != nil {
			pending, parked = thousands(t.Lag.Pending), thousands(t.Lag.Parked)
		}
		ms := func(v float64) string { return short(time.Duration(v * float64(time.Millisecond))) }
		took := t.Latency["transaction"]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%.1f\t%s\t%s\t%s\t%s\n", t.Task, ready, thousands(t.Outcomes["succeeded"]), thousands(t.Outcomes["dead"]),
			t.InFlight.Held, t.Rates.Last10s.TransactionsPerSecond, ms(took.P50MS), ms(took.P99MS), pending, parked)
	}
	_ = w.Flush() // into memory
	for _, e := range slices.Backward(s.LastErrors) {
		fmt.Fprintf(&b, "%s  %s: %s in %s: %s (%s)\n", e.At.Format(time.RFC3339), e.Task, e.Category, e.Phase, e.Reason, e.Transaction)
	}
	return strings.TrimRight(b.String(), "\n")
}
