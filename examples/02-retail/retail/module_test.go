package retail_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/examples/02-retail/retail"
)

// The demo runs what the example's file says. The first line of each leads to the schema
// from where it lies.
func TestDemoConfigIsTheExamples(t *testing.T) {
	file, err := os.ReadFile("../ergon.yaml")
	require.NoError(t, err)
	_, example, _ := strings.Cut(string(file), "\n")
	_, demo, _ := strings.Cut(string(retail.Config), "\n")
	require.Equal(t, example, demo)
}
