package bus_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

func TestCheckSubject(t *testing.T) {
	for _, good := range []string{"a", "retail.lines", "a.b-c_d.0", "ünïcode.x", "a.b*c"} {
		require.NoError(t, bus.CheckSubject(good), good)
	}
	for bad, why := range map[string]string{
		"": "empty", "a b": "space", "a\r\nPUB x": "control", ".a": "empty token", "a.": "empty token",
		"a..b": "empty token", "a.*": "wildcard", ">": "wildcard", "$JS.API": "server's own",
	} {
		require.ErrorContains(t, bus.CheckSubject(bad), why, bad)
	}
}
