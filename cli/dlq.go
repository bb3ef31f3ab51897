package cli

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app/config"
)

func (c *command) dlqCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "dlq",
		Short: "Look at dead letters, put them back, delete them",
		Long: "Dead letters are transactions that failed for good, with the reason, their headers and\n" +
			"their bytes. ls, show and stats look at them and change nothing; requeue puts them back to\n" +
			"be run again; purge deletes them.",
		Example: "  ergon dlq stats\n  ergon dlq ls score --category BUSINESS --since 1h\n  ergon dlq show 17\n" +
			"  ergon tx run score --id 17 --from dlq --dry-run\n  ergon dlq requeue 17",
	}, c.dlqLsCommand(), c.dlqShowCommand(), c.dlqStatsCommand(), c.dlqRequeueCommand(), c.dlqPurgeCommand())
}

// deadStreams is the streams to look into: the named one, else those that the
// configuration gives the tasks, else all that it names. A task that it does not
// know may have been removed from it, and have left dead letters anywhere.
func deadStreams(cfg *config.Config, named string, tasks []string) ([]string, error) {
	if named != "" {
		if strings.ContainsFunc(named, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(".*>/\\", r) }) {
			return nil, usage("--stream %q: no stream can have this name", named)
		}
		return []string{named}, nil
	}
	streams := map[string]bool{}
	for _, name := range tasks {
		task, ok := cfg.Tasks[name]
		if !ok {
			tasks = nil
			break
		}
		streams[task.DeadLetters.Stream] = true
	}
	if len(tasks) == 0 {
		for _, s := range cfg.DeadLetterStreams() {
			streams[s.Name] = true
		}
	}
	if len(streams) == 0 {
		return nil, errors.New("the configuration names no stream of dead letters")
	}
	return slices.Sorted(maps.Keys(streams)), nil
}

// streamsLine names streams in a sentence.
func streamsLine(streams []string) string { return strings.Join(streams, ", ") }
