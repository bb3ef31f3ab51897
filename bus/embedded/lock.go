package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	lockName = "ergon.lock"
	// startWait is how long a server that holds the lock and has no address yet
	// is waited for.
	startWait = 3 * time.Second
	lookAgain = 20 * time.Millisecond
)

// errHeld is what tryLock returns when another process, or another Start in
// this one, has the lock.
var errHeld = errors.New("lock is held")

// A LockedError says that the store is in use.
type LockedError struct {
	// Dir is the store directory.
	Dir string
	// URL is where the server that uses it takes connections; empty if it takes
	// none, or did not say.
	URL string
	// PID is that server's process; 0 if it did not say.
	PID int
}

// Error says whose the store is, and what to do.
func (e *LockedError) Error() string {
	switch {
	case e.URL != "":
		return fmt.Sprintf("store %q is used by process %d, which listens on %s: connect there", e.Dir, e.PID, e.URL)
	case e.PID != 0:
		return fmt.Sprintf("store %q is used by process %d, which takes no connections: stop it, or use another directory", e.Dir, e.PID)
	}
	return fmt.Sprintf("store %q is used by another process: stop it, or use another directory", e.Dir)
}

// holder is what the lock file says, as JSON.
type holder struct {
	PID   int    `json:"pid"`
	URL   string `json:"url,omitempty"`
	Ready bool   `json:"ready"`
}

// lock is a held lock file. The file stays when the lock is released: who would
// remove it could remove the one that another process has just locked.
type lock struct {
	file *os.File
}

// acquire locks the store, or finds out who has it.
func acquire(ctx context.Context, dir string) (*lock, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("store %q: not allowed to write there: choose another directory: %w", dir, err)
		}
		return nil, storeError(dir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		err := tryLock(f)
		if err == nil {
			l := &lock{file: f}
			if err := l.write(holder{PID: os.Getpid()}); err != nil {
				l.release()
				return nil, storeError(dir, err)
			}
			return l, nil
		}
		if !errors.Is(err, errHeld) {
			_ = f.Close()
			return nil, fmt.Errorf("lock store %q: %w", dir, err)
		}
		// Its holder may be starting, or stopping: then the file names no
		// address, or the lock is free a moment later.
		h := read(f)
		if !h.Ready {
			select {
			case <-tick.C:
				continue
			case <-ctx.Done():
			}
		}
		_ = f.Close()
		return nil, &LockedError{Dir: dir, URL: h.URL, PID: h.PID}
	}
}

// read returns what the file says. It may be read while it is written: then it
// says nothing yet.
func read(f *os.File) holder {
	var h holder
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	if err != nil || json.Unmarshal(data, &h) != nil {
		return holder{}
	}
	return h
}

func (l *lock) publish(url string) error {
	return l.write(holder{PID: os.Getpid(), URL: url, Ready: true})
}

func (l *lock) clear() { _ = l.write(holder{PID: os.Getpid()}) }

func (l *lock) write(h holder) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("write %s: %w", lockName, cause(err))
	}
	if _, err := l.file.WriteAt(append(data, '\n'), 0); err != nil {
		return fmt.Errorf("write %s: %w", lockName, cause(err))
	}
	return nil
}

// cause leaves out the file's path, which says the store's directory again.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// release empties the file and gives the lock up.
func (l *lock) release() {
	_ = l.file.Truncate(0)
	unlock(l.file)
	_ = l.file.Close()
}
