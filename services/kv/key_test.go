package kv_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/services/kv"
)

func TestKey(t *testing.T) {
	for want, parts := range map[string][]string{
		"orders.17/4=20b": {"orders", "17/4 b"},
		"a=2Eb":           {"a.b"},
		"a.b":             {"a", "b"},
		"=.a.=":           {"", "a", ""},
		"=3D":             {"="},
		"=C3=A4":          {"ä"},
	} {
		require.Equal(t, want, kv.Key(parts...))
	}
}
