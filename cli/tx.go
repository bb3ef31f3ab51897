package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/engine"
)

// txRun is one `ergon tx run`.
type txRun struct {
	task string

	payload     string
	contentType string
	metadata    []string
	key         string
	txID        string

	id   string
	from string

	attempts   int
	dryRun     bool
	deadLetter bool
}

func (c *command) txCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "tx",
		Short: "Try single transactions",
		Long: "Try single transactions: with a payload of your own, or again with one that is stored.\n" +
			"Nothing is taken from a stream.",
		Example: "  ergon tx run score --payload line.json --dry-run\n  ergon tx run score --id 42",
	}, c.txRunCommand())
}

func (c *command) txRunCommand() *cobra.Command {
	t := &txRun{}
	cmd := &cobra.Command{
		Use:   "run TASK",
		Short: "Run one transaction through a task, and say what became of it",
		Long: "Run one transaction through the whole life of a configured task: decode, process, produce,\n" +
			"hooks. Either with a payload of your own (--payload), or with one that is stored (--id): in\n" +
			"the task's source stream, or else among its dead letters. It is looked up, not taken: no\n" +
			"consumer and no acknowledgement comes near it, and a run gets it all the same.\n\n" +
			"What it puts out is sent, and stored before this command says so. The IDs are those that a\n" +
			"run gives, so within its duplicate window a stream drops what it has already. --dry-run\n" +
			"sends nothing, prints what would be sent, and needs no bus for a payload of your own.\n" +
			"What the task's services do, they do either way.\n\n" +
			"Retries follow the task's policy. One that fails for good is reported and kept nowhere;\n" +
			"--dead-letter stores its dead letter, as a run would.\n\n" +
			"Exit codes: 0 it succeeded; 1 it failed, or could not be run; 2 bad usage or configuration;\n" +
			"3 it was interrupted before its end: a signal lets an attempt finish, and waits for no other.",
		Example: "  ergon tx run score --payload line.json --dry-run\n" +
			"  echo '{\"name\":\"Ada\"}' | ergon tx run hello --payload - --metadata tenant=blue\n" +
			"  ergon tx run score --id 42 --attempts 1\n" +
			"  ergon tx run score --id 17 --from dlq --json | jq .outputs",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			t.task = args[0]
			if err := t.check(c.program(), cmd.Flags().Changed); err != nil {
				return err
			}
			return c.txRun(t)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&t.payload, "payload", "", "`FILE` whose bytes are the payload, - for the standard input")
	flags.StringVar(&t.contentType, "content-type", "", "the payload's media `TYPE` (default: JSON)")
	flags.StringArrayVar(&t.metadata, "metadata", nil, "a fact beside the payload, `NAME=VALUE`; may be given again")
	flags.StringVar(&t.key, "key", "", "its ordering `KEY`")
	flags.StringVar(&t.txID, "tx-id", "", "its `ID`, on which the IDs of outputs depend (default: a new one each time)")
	flags.StringVar(&t.id, "id", "", "take the stored transaction with this `ID`, or with this number in the stream")
	flags.StringVar(&t.from, "from", "", "look for --id in the `PLACE` source or dlq alone (default: in either)")
	flags.IntVar(&t.attempts, "attempts", 0, "at most `N` attempts in each phase (default: as the policy says)")
	flags.BoolVar(&t.dryRun, "dry-run", false, "send nothing, and print what would be sent")
	flags.BoolVar(&t.deadLetter, "dead-letter", false, "store a dead letter if it fails for good")
	fixed(cmd, "from", string(app.InSource), string(app.InDeadLetters))
	return cmd
}

func (t *txRun) check(program string, given func(string) bool) error {
	switch {
	case given("payload") == given("id"):
		return usage("name the transaction either with --payload FILE or with --id ID")
	case given("payload") && t.payload == "":
		return usage("--payload is empty: name a file, or - for the standard input")
	case given("id") && t.id == "":
		return usage("--id is empty: %s dlq ls lists the dead letters, with their transactions' IDs", program)
	case given("attempts") && t.attempts < 1:
		return usage("--attempts %d: it is 1 or more", t.attempts)
	case t.dryRun && t.deadLetter:
		return usage("--dry-run stores nothing: not with --dead-letter")
	case given("from") && !given("id"):
		return usage("--from says where --id is looked for: name an --id")
	case given("from") && t.from != string(app.InSource) && t.from != string(app.InDeadLetters):
		return usage("--from %q: it is source or dlq", t.from)
	}
	for _, name := range []string{"content-type", "metadata", "key", "tx-id"} {
		if given("id") && given(name) {
			return usage("--%s is for a --payload: the transaction of --id has its own", name)
		}
	}
	return nil
}

func (c *command) txRun(t *txRun) error {
	log, err := c.logger(slog.LevelWarn)
	if err != nil {
		return err
	}
	cfg, _, err := c.load(true)
	if err != nil {
		return err
	}
	found := app.FoundTransaction{}
	if t.id == "" {
		if found.Found, err = c.txOwn(t, cfg); err != nil {
			return err
		}
	}
	var once *app.Once
	check := func(tasks app.Registered) (err error) {
		once, err = app.NewOnce(tasks, cfg, t.task)
		return err
	}
	return c.withTasks(app.Options{Config: cfg, Logger: log}, check, func(bus *app.Bus) error {
		once.Attempts, once.Bury, once.Abort = t.attempts, t.deadLetter, c.stop.force
		if t.dryRun && t.id == "" {
			return c.txEnd(t, once, found)
		}
		conn, err := bus.Conn(c.stop.ctx)
		if err != nil {
			return err
		}
		if t.id != "" {
			if found, err = c.txFind(t, conn, cfg); err != nil {
				return err
			}
		}
		if !t.dryRun {
			once.Conn = conn
		}
		return c.txEnd(t, once, found)
	})
}

// txEnd runs it, prints what became of it, and says so with the exit code.
func (c *command) txEnd(t *txRun, once *app.Once, f app.FoundTransaction) error {
	began := time.Now()
	r, err := once.Run(c.stop.ctx, f.Found)
	if err != nil && r.Outcome == "" {
		return err
	}
	if r.Duration == 0 {
		r.Duration = time.Since(began)
	}
	if printErr := c.printTx(t, f, r); printErr != nil {
		return errors.Join(err, printErr)
	}
	if err != nil {
		return err
	}
	switch r.Outcome {
	case engine.Succeeded:
		return nil
	case engine.Dead:
		err := fmt.Errorf("transaction %s: %s", visible(f.ID()), visible(r.Err.Error()))
		if r.BuryErr != nil {
			err = fmt.Errorf("%w; and its dead letter is not stored: %w", err, r.BuryErr)
		}
		return err
	}
	return &exitError{app.ExitAbandoned, fmt.Errorf("transaction %s: interrupted before its end (%s)", visible(f.ID()), r.Outcome)}
}
