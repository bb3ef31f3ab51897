package cli

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

// What of a payload is shown without --full.
const (
	shownText = 4096
	shownHex  = 512
)

// dlqShow is one `ergon dlq show`.
type dlqShow struct {
	what    string
	stream  string
	id      bool
	payload bool
	pretty  bool
	full    bool
}

func (c *command) dlqShowCommand() *cobra.Command {
	s := &dlqShow{}
	cmd := &cobra.Command{
		Use:   "show SEQ|ID",
		Short: "Show all of one dead letter",
		Long: "Show all of one dead letter, by its number as ls shows it, or by the ID of the transaction:\n" +
			"where it came from, why it failed, its headers as they were, and its payload. What is not\n" +
			"printable is shown escaped; --payload alone writes bytes as they are. Values of headers\n" +
			"whose names telemetry.sensitive has are not shown: authorization, *token* and such.",
		Example: "  ergon dlq show 17\n" +
			"  ergon dlq show lines.csv-24-f922024156ac0f32 --full\n" +
			"  ergon dlq show 17 --payload > payload.bin\n" +
			"  ergon dlq show 17 --json | jq .headers",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			s.what = args[0]
			return c.dlqShow(s)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&s.payload, "payload", false, "write the payload alone, byte for byte")
	flags.BoolVar(&s.full, "full", false, "show the payload to its end, however long")
	flags.BoolVar(&s.pretty, "pretty", false, "indent a payload of JSON (default: on a terminal)")
	flags.BoolVar(&s.id, "id", false, "take a number for an ID")
	flags.StringVar(&s.stream, "stream", "", "look into the stream `NAME` (default: those of the configuration)")
	return cmd
}

func (c *command) dlqShow(s *dlqShow) error {
	if s.payload && (c.json || s.full || s.pretty) {
		return usage("--payload writes the bytes as they are: not with --json, --full or --pretty")
	}
	if s.what == "" {
		return usage("SEQ|ID is empty: %s dlq ls lists the dead letters", c.program())
	}
	return c.withDead(&deadSelect{stream: s.stream}, func(conn *app.Conn, cfg *config.Config, streams []string) error {
		r, err := s.find(c, conn, streams)
		if err != nil {
			return err
		}
		payload, err := conn.DeadPayload(c.stop.ctx, r)
		redact(r.Header, cfg.Telemetry.Hides())
		if err != nil && (s.payload || !errors.Is(err, bus.ErrDeadPayload)) {
			return err
		}
		switch {
		case s.payload:
			return c.writePayload(payload)
		case c.json:
			info := newLetterInfo(r)
			info.letterWhole = newLetterWhole(r, payload, err)
			return c.printVisibleJSON(info)
		}
		var b strings.Builder
		writeFacts(&b, r)
		s.writePayload(&b, r, payload, err, terminal(c.Stdout))
		return c.printf("%s", b.String())
	})
}

// find takes a number for a sequence number first. Where one ID has several
// letters, of several tasks or after a requeue, the newest is meant.
func (s *dlqShow) find(c *command, conn *app.Conn, streams []string) (bus.DeadRecord, error) {
	var found []bus.DeadRecord
	missing := 0
	if seq, err := strconv.ParseUint(s.what, 10, 64); err == nil && !s.id {
		for _, stream := range streams {
			r, err := conn.DeadLetterAt(c.stop.ctx, stream, seq)
			if err == nil {
				found = append(found, r)
			} else if !errors.Is(err, bus.ErrNoDeadLetter) && !errors.Is(err, bus.ErrStreamGone) {
				return r, err
			}
		}
		if len(found) > 1 {
			return found[0], usage("%d is a dead letter in each of %s: name one with --stream", seq, streamsLine(streamsOf(found)))
		}
	}
	if len(found) == 0 {
		for _, stream := range streams {
			_, err := conn.ScanDeadLetters(c.stop.ctx, stream, bus.DeadFilter{TransactionID: s.what}, func(r bus.DeadRecord) error {
				found = append(found, r)
				return nil
			})
			if errors.Is(err, bus.ErrStreamGone) {
				missing++
			} else if err != nil {
				return bus.DeadRecord{}, err
			}
		}
	}
	if len(found) == 0 {
		if missing == len(streams) {
			return bus.DeadRecord{}, fmt.Errorf("dead letter %q: there is none, and no stream %s", s.what, streamsLine(streams))
		}
		return bus.DeadRecord{}, fmt.Errorf("dead letter %q: there is none with this number or ID in %s (%s dlq ls lists them)", s.what, streamsLine(streams), c.program())
	}
	slices.SortStableFunc(found, func(a, b bus.DeadRecord) int { return cmp.Compare(a.StoredAt.UnixNano(), b.StoredAt.UnixNano()) })
	last := len(found) - 1
	if last > 0 {
		others := make([]string, 0, last)
		for _, r := range found[max(0, last-10):last] {
			others = append(others, r.Stream+" "+strconv.FormatUint(r.Sequence, 10))
		}
		fmt.Fprintf(c.Stderr, "%d dead letters have this ID; this is the newest. Before it: %s\n", len(found), strings.Join(others, ", "))
	}
	return found[last], nil
}

func streamsOf(rs []bus.DeadRecord) []string {
	var names []string
	for _, r := range rs {
		names = append(names, r.Stream)
	}
	return names
}

// writePayload writes the bytes, but not into a terminal what could take it over.
func (c *command) writePayload(payload []byte) error {
	if terminal(c.Stdout) && !isPlain(payload) {
		return usage("--payload: it has bytes that a terminal may act on: redirect it into a file or a pipe")
	}
	if _, err := c.Stdout.Write(payload); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// writePayload shows the payload, or what is wrong with it.
func (s *dlqShow) writePayload(b *strings.Builder, r bus.DeadRecord, payload []byte, err error, tty bool) {
	if err != nil {
		fmt.Fprintf(b, "\npayload: cannot be read: %s\n", visible(err.Error()))
		return
	}
	how := ""
	if r.Object != "" {
		how = ", kept as an object in " + visible(r.Object)
	} else if r.Encoding != "" {
		how = ", kept compressed"
	}
	fmt.Fprintf(b, "\npayload: %s bytes%s\n", thousands(int64(len(payload))), how)
	shown, text := payload, isText(payload)
	var indented bytes.Buffer
	if (s.pretty || tty) && text && json.Indent(&indented, payload, "", "  ") == nil {
		shown = indented.Bytes()
	}
	rest := 0
	if limit := shownLimit(text); !s.full && len(shown) > limit {
		for text && !utf8.RuneStart(shown[limit]) {
			limit--
		}
		rest = len(shown) - limit
		shown = shown[:limit]
	}
	if text {
		b.WriteString(visibleText(string(shown)))
		if len(shown) > 0 && shown[len(shown)-1] != '\n' {
			b.WriteByte('\n')
		}
	} else {
		b.WriteString(hex.Dump(shown))
	}
	if rest > 0 {
		fmt.Fprintf(b, "… %s bytes more: --full shows all, --payload writes it as it is\n", thousands(int64(rest)))
	}
}

func shownLimit(text bool) int {
	if text {
		return shownText
	}
	return shownHex
}
