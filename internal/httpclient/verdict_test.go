package httpclient_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/httpclient"
)

// handshake is what net/http says of a TLS handshake that took too long: no context's error.
type handshake struct{}

func (handshake) Error() string   { return "net/http: TLS handshake timeout" }
func (handshake) Timeout() bool   { return true }
func (handshake) Temporary() bool { return true }

func TestClassify(t *testing.T) {
	require.Equal(t, ergon.CategoryTimeout, httpclient.Classify(fmt.Errorf("GET x: %w", handshake{})))
	require.Empty(t, httpclient.Classify(errors.New("refused")))
}
