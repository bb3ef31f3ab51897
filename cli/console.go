package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progressEvery is how often a live line is drawn.
const progressEvery = 200 * time.Millisecond

// clearLine goes back to the line's begin and empties it.
const clearLine = "\r\x1b[K"

// console is a terminal with a live line at its bottom. What is written to it,
// log lines above all, goes above the live line.
type console struct {
	w  io.Writer
	mu sync.Mutex
	// line is the live line as it stands there, "" for none.
	line string
}

// Write writes whole lines.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line == "" {
		return c.w.Write(p)
	}
	fmt.Fprint(c.w, clearLine)
	n, err := c.w.Write(p)
	fmt.Fprint(c.w, c.line)
	return n, err
}

// draw shows line as the live line; "" ends it and leaves the last one standing.
func (c *console) draw(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case line != "":
		fmt.Fprint(c.w, clearLine, line)
	case c.line != "":
		fmt.Fprintln(c.w)
	}
	c.line = line
}

// terminal reports whether w shows its text to a person as it comes.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress draws line again and again on stderr if that is a terminal, and is
// quiet otherwise. The returned function draws it a last time and ends it.
func (c *command) progress(line func() string) (stop func()) {
	console, ok := c.Stderr.(*console)
	if c.json || !ok {
		return func() {}
	}
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				console.draw(line())
			case <-quit:
				console.draw(line())
				console.draw("")
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(quit)
		wg.Wait()
	})
}
