package config_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte, mode os.FileMode) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, data, mode))
		return name
	}
	c, err := config.Load(write("ok.yaml", []byte("app: ${A}\n"), 0o600), environment("A=x"))
	require.NoError(t, err)
	require.Equal(t, "x", c.App)
	c, err = config.Load(write("nil.yaml", []byte("app: ${A:-y}\n"), 0o600), nil)
	require.NoError(t, err)
	require.Equal(t, "y", c.App)

	full := append([]byte("app: x\n#"), bytes.Repeat([]byte("."), 4<<20-8)...) // exactly 4 MiB
	_, err = config.Load(write("full.yaml", full, 0o600), none)
	require.NoError(t, err)

	for name, want := range map[string]string{
		dir:                                "is a directory: name the file in it, such as ergon.yaml",
		filepath.Join(dir, "missing.yaml"): "there is no such file: check the name, or the directory you are in",
		filepath.Join(dir, "ok.yaml", "x"): "open the file: not a directory",
		write("long.yaml", append(full, '.'), 0o600):                  "is longer than 4 MiB, which no configuration is: check the name of the file",
		write("binary", []byte("\x7fELF\x02\x01\x01\x00\x00"), 0o600): "is a binary file and not YAML: check the name of the file",
		write("broken.yaml", []byte("app: x\nfoo: 1\n"), 0o600):       "",
	} {
		_, err := config.Load(name, none)
		var e *config.Error
		require.ErrorAs(t, err, &e, name)
		if want != "" {
			require.EqualError(t, err, name+": "+want)
			require.Equal(t, []config.Fault{{File: name, Message: want}}, e.Faults)
		}
	}
	_, err = config.Load(filepath.Join(dir, "missing.yaml"), none)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = config.Load(filepath.Join(dir, "broken.yaml"), none)
	require.EqualError(t, err, filepath.Join(dir, "broken.yaml")+`:2:1: foo: unknown key "foo", the keys here are app, bus, streams, dead_letters, parking, admin, http, runner, telemetry, services, tasks`+
		"\n    foo: 1\n    ^")

	secret := write("secret.yaml", []byte("app: x\n"), 0o000)
	if _, err := os.ReadFile(secret); err == nil {
		return // as root everything may be read
	}
	_, err = config.Load(secret, none)
	require.EqualError(t, err, secret+": the file may not be read by this user: change its permissions")
	require.ErrorIs(t, err, fs.ErrPermission)
}

// Files that would keep the parser busy for an hour, or end the process for want of
// a stack, are refused at once.
func TestBounds(t *testing.T) {
	lol := "tasks:\n  a: &a { consumer: { fetch: { extra: { x: 1 } } } }\n"
	bombs := "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n"
	for i := 1; i < 10; i++ {
		name, before := string(rune('0'+i)), string(rune('0'+i-1))
		bombs += "x" + name + ": &x" + name + " [" + strings.TrimSuffix(strings.Repeat("*x"+before+", ", 10), ", ") + "]\n"
	}
	for name, test := range map[string]struct{ text, want string }{
		"lists":    {"a: " + strings.Repeat("[", 20_000), "this is nested more than 64 deep"},
		"groups":   {strings.Repeat("{a: ", 20_000), "this is nested more than 64 deep"},
		"items":    {strings.Repeat("- ", 20_000), "this is nested more than 64 deep"},
		"keys":     {strings.Repeat("? ", 20_000), "this is nested more than 64 deep"},
		"anchors":  {strings.Repeat("&a ", 20_000), "this is nested more than 64 deep"},
		"tags":     {strings.Repeat("!a ", 20_000), "this is nested more than 64 deep"},
		"siblings": {"a:\n" + strings.Repeat("  b: c\n", 20_000), "the file is too long: a configuration has no 10000 keys"},
		"values":   {"a:\n" + strings.Repeat("- b\n", 51_000), "the file is too long: a configuration has no 100000 values"},
		"aliases":  {bombs + lol, "the file's aliases make more than 200000 values of it"},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			all := faults(t, test.text)
			require.Len(t, all, 1)
			require.Contains(t, all[0], test.want)
			require.Less(t, time.Since(begin), time.Minute)
		})
	}
}
