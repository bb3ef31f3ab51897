package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/examples/02-retail/retail"
)

// The ergon.yaml of the README has no faults for the stock binary, which is what it is tried
// with.
func TestReadmeConfiguration(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	yaml := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	require.NotEmpty(t, yaml) // the first is whole, others are parts
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "readme.yaml")
	require.NoError(t, os.WriteFile(file, yaml[0][1], 0o600))
	p := w.process("", "config", "check")
	p.Args = []string{"config", "check", "-f", file}
	require.Zero(t, p.Run(context.WithoutCancel(t.Context()), retail.Module), p.Stderr.(*bytes.Buffer).String())
	require.Contains(t, p.Stdout.(*bytes.Buffer).String(), "no faults")
}
