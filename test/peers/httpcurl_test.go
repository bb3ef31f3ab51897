package peers

import (
	"bytes"
	"encoding/json"
	nethttp "net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// curled is what curl says of a request.
type curled struct {
	Status   int    `json:"http_code"`
	Version  string `json:"http_version"`
	Uploaded int    `json:"size_upload"`
	// blocks are the heads of all answers, 100 Continue among them, each as it came.
	blocks []string
	header nethttp.Header // of the last
	body   string
}

// curl runs curl on a URL and requires that there is an answer.
func curl(t *testing.T, url string, args ...string) curled {
	t.Helper()
	c, out, err := tryCurl(t, url, args...)
	require.NoError(t, err, "curl %q %s\n%s", args, url, out)
	return c
}

// tryCurl runs it where there need be none.
func tryCurl(t *testing.T, url string, args ...string) (c curled, stderr string, err error) {
	t.Helper()
	dir := t.TempDir()
	heads, body := filepath.Join(dir, "heads"), filepath.Join(dir, "body")
	cmd := exec.CommandContext(t.Context(), installed(t, "curl"), append([]string{
		"--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--path-as-is",
		"--dump-header", heads, "--output", body, "--write-out", "%{json}",
	}, append(args, url)...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return c, said.String(), err
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &c), out.String())
	data, err := os.ReadFile(heads)
	require.NoError(t, err)
	c.blocks = strings.Split(strings.TrimSuffix(string(data), "\r\n\r\n"), "\r\n\r\n")
	c.header = nethttp.Header{}
	for line := range strings.SplitSeq(c.blocks[len(c.blocks)-1], "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			c.header.Add(name, value)
		}
	}
	if data, err = os.ReadFile(body); err == nil { // there is none where the answer has no body
		c.body = string(data)
	}
	return c, said.String(), nil
}

// problem requires that it was refused as RFC 9457 has it.
func (c curled) problem(t *testing.T, status int, detail string) {
	t.Helper()
	require.Equal(t, status, c.Status, c.body)
	require.Equal(t, "application/problem+json", c.header.Get("Content-Type"))
	var told struct {
		Status int
		Detail string
	}
	require.NoError(t, json.Unmarshal([]byte(c.body), &told), c.body)
	require.Equal(t, status, told.Status)
	require.Contains(t, told.Detail, detail)
}

// accepted requires that it was stored, and returns its ID.
func (c curled) accepted(t *testing.T) string {
	t.Helper()
	require.Equal(t, 202, c.Status, c.body)
	return transactionOf(t, c.body)
}

// file writes what curl is to send.
func file(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(name, data, 0o600))
	return name
}
