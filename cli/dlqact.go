package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/bus"
)

const (
	// maxFaults is how many letters that stay are told one by one.
	maxFaults = 20
	// objectsWithin is how long removing the payloads of removed letters may take.
	objectsWithin = 30 * time.Second
)

// deadFault is a letter that stays, and why.
type deadFault struct {
	Stream string `json:"stream"`
	Seq    uint64 `json:"seq"`
	Error  string `json:"error"`
}

// deadWork is what became of the letters that were picked.
type deadWork struct {
	verb   string // "put back", "purged"
	picked int
	pace   *pacer
	began  time.Time

	done, duplicates, gone, stays atomic.Int64

	faults  []deadFault // the first of those that stay
	stopped bool
	next    uint64 // of numbers that were named, the one at which it stopped
}

func (w *deadWork) line() string {
	left := int64(w.picked) - w.done.Load() - w.gone.Load() - w.stays.Load()
	return fmt.Sprintf("%s %s, %s stay, %s left", thousands(w.done.Load()), w.verb, thousands(w.stays.Load()), thousands(left))
}

// work does one letter after the other. A signal is heard between two of them; a second
// one, and nothing else, cuts one short.
func (c *command) work(conn *app.Conn, p *deadPick, w *deadWork, one func(context.Context, string, uint64) error) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.stop.ctx))
	defer cancel()
	defer c.stop.afterForce(0, cancel)()
	w.began = time.Now()
	stop := c.progress(w.line)
	err := c.workAll(ctx, p, w, one)
	stop()
	for _, of := range p.streams {
		within, cancel := context.WithTimeout(ctx, objectsWithin)
		_, objectsErr := conn.RemoveDeadObjects(within, of.stream, of.objects, w.began)
		cancel()
		if objectsErr != nil && err == nil {
			err = fmt.Errorf("the letters are gone, and some of their payloads in the object store may be left: %w", objectsErr)
		}
	}
	return err
}

func (c *command) workAll(ctx context.Context, p *deadPick, w *deadWork, one func(context.Context, string, uint64) error) error {
	for _, of := range p.streams {
		for _, seq := range of.seqs {
			if !w.pace.wait(c.stop.ctx) {
				if w.stopped = true; len(p.seqs) > 0 {
					w.next = seq
				}
				return nil
			}
			err := one(ctx, of.stream, seq)
			switch {
			case err == nil:
				w.done.Add(1)
			case errors.Is(err, bus.ErrNoDeadLetter):
				w.gone.Add(1)
			case errors.Is(err, bus.ErrNotRequeuable):
				c.stays(w, of.stream, seq, err)
			default:
				if errors.Is(err, bus.ErrNotRemoved) {
					w.done.Add(1)
				}
				return err
			}
		}
	}
	return nil
}

func (c *command) stays(w *deadWork, stream string, seq uint64, err error) {
	n := w.stays.Add(1)
	if n <= maxFaults {
		w.faults = append(w.faults, deadFault{stream, seq, err.Error()})
		fmt.Fprintf(c.Stderr, "ergon: %s\n", visible(err.Error()))
	}
}

// ended says how it went, once.
func (c *command) ended(w *deadWork, err error) error {
	done, stays := w.done.Load(), w.stays.Load()
	left := int64(w.picked) - done - w.gone.Load() - stays
	if c.json {
		out := struct {
			Picked     int         `json:"picked"`
			Done       int64       `json:"done"`
			Duplicates int64       `json:"duplicates"` // of those done: the stream had them already
			Gone       int64       `json:"gone"`       // removed by somebody else meanwhile
			Stays      int64       `json:"stays"`
			Left       int64       `json:"left"`
			Stopped    bool        `json:"stopped"`
			Faults     []deadFault `json:"faults,omitempty"` // the first of those that stay
			Seconds    float64     `json:"seconds"`
		}{w.picked, done, w.duplicates.Load(), w.gone.Load(), stays, left, w.stopped, w.faults, time.Since(w.began).Seconds()}
		if printErr := c.printVisibleJSON(out); printErr != nil {
			return errors.Join(err, printErr)
		}
	} else {
		line := fmt.Sprintf("%s %s in %s", letters(int(done)), w.verb, short(time.Since(w.began)))
		for _, more := range []struct {
			n    int64
			what string
		}{
			{w.duplicates.Load(), "of them in their stream already"}, {w.gone.Load(), "gone meanwhile"},
			{stays, "stay"}, {left, "not tried"},
		} {
			if more.n > 0 {
				line += fmt.Sprintf(", %s %s", thousands(more.n), more.what)
			}
		}
		if printErr := c.printf("%s\n", line); printErr != nil {
			return errors.Join(err, printErr)
		}
	}
	if more := stays - maxFaults; more > 0 {
		fmt.Fprintf(c.Stderr, "ergon: %s more stay\n", thousands(more))
	}
	switch {
	case err != nil:
		return err
	case w.stopped:
		again := "the same command again goes on"
		if w.next > 0 {
			again = fmt.Sprintf("the same command with the numbers from %d on goes on", w.next)
		}
		return &exitError{exitFailed, fmt.Errorf("stopped: %s not tried; %s", letters(int(left)), again)}
	case stays > 0:
		return &exitError{code: exitFailed} // each was told when it came, or the sum
	}
	return nil
}

// confirm asks on a terminal whether to go on. Where nobody can be asked, it is refused
// unless that was said already.
func (c *command) confirm(p *deadPick, question string) error {
	if p.yes {
		return nil
	}
	if !c.canAsk() {
		return usage("%s: nobody can be asked here: look with --dry-run first, and then say --yes", question)
	}
	fmt.Fprintf(c.Stderr, "%s%s? [y/N] ", strings.ToUpper(question[:1]), question[1:])
	answers := make(chan string, 1)
	go func() { // such a read can't be cut short: it ends with the line, or with the process
		line, _ := bufio.NewReader(c.Stdin).ReadString('\n')
		answers <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answers:
		if a == "y" || a == "yes" {
			return nil
		}
	case <-c.stop.ctx.Done():
		fmt.Fprintln(c.Stderr)
	}
	return &exitError{exitFailed, errors.New("nothing was changed")}
}

// canAsk reports whether a person reads stderr and can answer.
func (c *command) canAsk() bool {
	in, ok := c.Stdin.(*os.File)
	_, live := c.Stderr.(*console)
	return ok && live && term.IsTerminal(int(in.Fd()))
}
