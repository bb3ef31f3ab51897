package harness

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHTTPTable(t *testing.T) {
	o := HTTPOptions{N: 5000, Rounds: 3, Sources: []string{"hand", "ergon"}, Sinks: []string{"client"}}
	var results []HTTPResult
	for round := range time.Duration(3) {
		rate := 1000 + 10*float64(round)
		results = append(results,
			HTTPResult{Direction: HTTPSource, Contender: "hand", Rate: rate, CPU: 40 * time.Microsecond, Latency: [3]time.Duration{1e6, 2e6, 4e6}},
			HTTPResult{Direction: HTTPSource, Contender: "ergon", Rate: rate / 2, CPU: 50 * time.Microsecond, Latency: [3]time.Duration{1e6, 3e6, 4e6}},
			HTTPResult{Direction: HTTPSink, Contender: "client", Rate: 2 * rate, CPU: 30 * time.Microsecond})
	}
	var text strings.Builder
	require.NoError(t, HTTPTable(&text, o, results))
	require.Contains(t, text.String(), "n = 5000, medians of 3 rounds, 64 connections")
	require.Contains(t, text.String(), "×hand")
	require.Regexp(t, `hand +1010 +1\.00 +40\.00 +1\.00 +1\.000 +1\.00 +2\.000 +1\.00 +4\.000 +1\.00\n +ergon +505 +0\.50 +50\.00 +1\.25 +1\.000 +1\.00 +3\.000 +1\.50 `, text.String())
	require.Regexp(t, `client +2020 +1\.00 +30\.00 +1\.00\n$`, text.String())
}
