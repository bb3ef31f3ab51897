package policy_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ergon-framework/ergon/policy"
)

type holder struct {
	Wait policy.Duration `json:"wait" yaml:"wait"`
}

// R086: numbers are seconds. The same text means the same in JSON and in YAML.
func TestDurationForms(t *testing.T) {
	for _, tt := range []struct {
		written string // as it stands in a document that is both JSON and YAML
		want    time.Duration
	}{
		{`"250ms"`, 250 * time.Millisecond},
		{`"1m30s"`, 90 * time.Second},
		{`"1.5h"`, 90 * time.Minute},
		{`" 2s "`, 2 * time.Second},
		{`"+2s"`, 2 * time.Second},
		{`"3µs"`, 3 * time.Microsecond},
		{`"0"`, 0},
		{`"0s"`, 0},
		{`"-0s"`, 0},
		{`0`, 0},
		{`30`, 30 * time.Second},
		{`"30"`, 30 * time.Second},
		{`0.25`, 250 * time.Millisecond},
		{`0.1`, 100 * time.Millisecond},
		{`1.000000001`, time.Second + 1},
		{`9007199.254740993`, 9007199254740993},
		{`1e3`, 1000 * time.Second},
		{`2.9e-1`, 290 * time.Millisecond},
		{`1e-300`, 0},
		{`"2562047h47m16.854775807s"`, math.MaxInt64},
	} {
		t.Run(tt.written, func(t *testing.T) {
			var h holder
			require.NoError(t, json.Unmarshal([]byte(`{"wait": `+tt.written+`}`), &h))
			require.Equal(t, tt.want, h.Wait.D())
			h = holder{}
			require.NoError(t, yaml.Unmarshal([]byte(`wait: `+tt.written), &h))
			require.InDelta(t, tt.want, h.Wait.D(), 1, "a YAML number is a float64")
		})
	}
}

func TestDurationRefuses(t *testing.T) {
	for _, tt := range []struct{ written, want string }{
		{`"-1s"`, `"-1s" is negative: a duration is zero or more`},
		{`-1`, `"-1" is negative: a duration is zero or more`},
		{`-0.5`, `"-0.5" is negative: a duration is zero or more`},
		{`"soon"`, `"soon" is not a duration: write 250ms, 1m30s or a number of seconds`},
		{`""`, `"" is not a duration`},
		{`"s"`, `"s" is not a duration`},
		{`"1d"`, `"1d" is not a duration`},
		{`"1 s"`, `"1 s" is not a duration`},
		{`"NaN"`, `"NaN" is not a duration`},
		{`"inf"`, `"inf" is not a duration`},
		{`"0x10"`, `"0x10" is not a duration`},
		{`"1_000"`, `"1_000" is not a duration`},
		{`"9999999h"`, `"9999999h" is too long: the longest duration is 292 years`},
		{`9999999999`, `"9999999999" is too long`},
		{`"1e400"`, `"1e400" is too long`},
		{`"1e300"`, `"1e300" is too long`},
		{`true`, `"true" is not a duration`},
		{`[1]`, `is not a duration`},
		{`{"s": 1}`, `is not a duration`},
	} {
		t.Run(tt.written, func(t *testing.T) {
			h := holder{Wait: 7}
			require.ErrorContains(t, json.Unmarshal([]byte(`{"wait": `+tt.written+`}`), &h), tt.want)
			require.Equal(t, holder{Wait: 7}, h, "an error changes nothing")
			require.ErrorContains(t, yaml.Unmarshal([]byte(`wait: `+tt.written), &h), tt.want)
			require.Equal(t, holder{Wait: 7}, h)
		})
	}
	for _, written := range []string{".nan", ".inf", "-.inf"} {
		var h holder
		require.ErrorContains(t, yaml.Unmarshal([]byte(`wait: `+written), &h), "a number of seconds is finite")
	}
}

func TestDurationNullIsNothingWritten(t *testing.T) {
	h := holder{Wait: 7}
	require.NoError(t, json.Unmarshal([]byte(`{"wait": null}`), &h))
	require.NoError(t, yaml.Unmarshal([]byte(`wait: null`), &h))
	require.NoError(t, yaml.Unmarshal([]byte(`wait:`), &h))
	require.Equal(t, holder{Wait: 7}, h)
}

func TestDurationString(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "1ns": 1, "250ms": 250 * time.Millisecond, "10s": 10 * time.Second,
		"5m": 5 * time.Minute, "1m30s": 90 * time.Second, "1h": time.Hour, "10h10m": 610 * time.Minute,
		"1h0m1s": time.Hour + time.Second, "100h": 100 * time.Hour, "-1m": -time.Minute,
	} {
		require.Equal(t, want, policy.Duration(d).String())
	}
}

func TestDurationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := holder{Wait: policy.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "wait"))}
		document, err := json.Marshal(want)
		require.NoError(t, err)
		var got holder
		require.NoError(t, json.Unmarshal(document, &got))
		require.Equal(t, want, got)
		document, err = yaml.Marshal(want)
		require.NoError(t, err)
		got = holder{}
		require.NoError(t, yaml.Unmarshal(document, &got))
		require.Equal(t, want, got)
	})
}

// Whatever parses is not negative and is written so that it parses again.
func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"250ms", "1m30s", "0.25", "1e3", "-1s", "", "s", "9999999h", "1e-9", ".5h", "µs", " 1 "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := policy.ParseDuration(text)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, d, policy.Duration(0))
		again, err := policy.ParseDuration(d.String())
		require.NoError(t, err)
		require.Equal(t, d, again)
	})
}
