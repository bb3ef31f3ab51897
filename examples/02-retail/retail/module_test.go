package retail_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/examples/02-retail/retail"
)

// The demo runs what the example's file says.
func TestDemoConfigIsTheExamples(t *testing.T) {
	file, err := os.ReadFile("../ergon.yaml")
	require.NoError(t, err)
	require.Equal(t, string(file), string(retail.Config))
}
