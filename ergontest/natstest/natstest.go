// Package natstest starts a NATS server with JetStream for a test. It is apart from
// package ergontest so that who needs no server does not link one.
package natstest

import (
	"testing"

	"github.com/ergon-framework/ergon/bus/embedded"
)

// Start starts a server in this process, on a free port of loopback and with its streams
// in a directory of the test's, and returns the URL to connect to. It is stopped when
// the test and its subtests are over, and before that whatever was started after it and
// is cleaned up by t.Cleanup. A server that does not start ends the test.
func Start(t testing.TB) (url string) {
	t.Helper()
	s, err := embedded.Start(t.Context(), embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s.URL()
}
