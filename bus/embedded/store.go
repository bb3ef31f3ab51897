package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// DefaultStoreDir is where a user's embedded server keeps its streams:
// ergon/jetstream under $XDG_DATA_HOME or ~/.local/share, on macOS under
// ~/Library/Application Support, on Windows under %LocalAppData%. It makes
// nothing.
func DefaultStoreDir() (string, error) {
	base, err := dataHome(runtime.GOOS, os.Getenv, os.UserHomeDir)
	if err != nil {
		return "", fmt.Errorf("find the user's data directory: %w: set the store directory", err)
	}
	return filepath.Join(base, "ergon", "jetstream"), nil
}

func dataHome(goos string, env func(string) string, home func() (string, error)) (string, error) {
	if goos == "windows" {
		if dir := env("LocalAppData"); dir != "" {
			return dir, nil
		}
		return "", errors.New("%LocalAppData% is not set")
	}
	if dir := env("XDG_DATA_HOME"); filepath.IsAbs(dir) && goos != "darwin" {
		return dir, nil // a relative one is to be ignored, the specification says
	}
	h, err := home()
	if err != nil {
		return "", err
	}
	if goos == "darwin" || goos == "ios" {
		return filepath.Join(h, "Library", "Application Support"), nil
	}
	return filepath.Join(h, ".local", "share"), nil
}
