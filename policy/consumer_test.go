package policy_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/policy"
)

// Zero, default and left out are three things: what is written is what is meant.
func TestWrittenZeroIsZeroAndLeftOutIsDefault(t *testing.T) {
	const written = `{"loop":{"streaming":false},"process":{"retry":{"timeout":0}},"transaction":{"timeout":"0s","max_deliveries":0}}`
	want := policy.DefaultConsumer()
	want.Loop.Streaming = false
	want.Process.Retry.Timeout = 0
	want.Transaction.Timeout = 0
	want.Transaction.MaxDeliveries = 0

	fromJSON, err := policy.DecodeConsumerJSON([]byte(written))
	require.NoError(t, err)
	require.Equal(t, want, fromJSON)
	fromYAML := policy.DefaultConsumer()
	require.NoError(t, yaml.UnmarshalWithOptions([]byte(written), &fromYAML, yaml.Strict()))
	require.Equal(t, want, fromYAML)
	require.NoError(t, want.Validate())
}

// A heading with nothing under it, as when all of its lines are commented out.
func TestNullIsNothingWritten(t *testing.T) {
	c := policy.DefaultConsumer()
	require.NoError(t, yaml.UnmarshalWithOptions([]byte("process:\n  # retry:\nloop:\n  mode:\n  concurrency: ~\n"), &c, yaml.Strict()))
	require.Equal(t, policy.DefaultConsumer(), c)
	c, err := policy.DecodeConsumerJSON([]byte(`{"process": null, "loop": {"mode": null, "concurrency": null}, "fetch": {"extra": null}}`))
	require.NoError(t, err)
	require.Equal(t, policy.DefaultConsumer(), c)
	c, err = policy.DecodeConsumerJSON([]byte(`null`))
	require.NoError(t, err)
	require.Equal(t, policy.DefaultConsumer(), c)
}

// R071: what an engine cloned stays as it was, whatever the caller does.
func TestClonesShareNothing(t *testing.T) {
	c := policy.DefaultConsumer()
	c.Fetch.Extra = extra()
	kept := c.Clone()
	require.Equal(t, c, kept)
	vandalise(c.Fetch.Extra)
	fill(reflect.ValueOf(&c).Elem())
	want := policy.DefaultConsumer()
	want.Fetch.Extra = extra()
	require.Equal(t, want, kept)

	p := policy.DefaultProducer()
	p.Fetch.Extra = extra()
	keptToo := p.Clone()
	vandalise(p.Fetch.Extra)
	wantToo := policy.DefaultProducer()
	wantToo.Fetch.Extra = extra()
	require.Equal(t, wantToo, keptToo)

	require.Nil(t, policy.DefaultConsumer().Clone().Fetch.Extra)
	var none []any
	c.Fetch.Extra = map[string]any{"none": none}
	require.Equal(t, c, c.Clone())
}

// A field that Clone forgot would be zero in the clone: every field is set first.
func TestCloneCopiesEveryField(t *testing.T) {
	var c policy.Consumer
	fill(reflect.ValueOf(&c).Elem())
	require.Equal(t, c, c.Clone())
	var p policy.Producer
	fill(reflect.ValueOf(&p).Elem())
	require.Equal(t, p, p.Clone())
	l := p.Loop.Loop()
	require.False(t, l.Streaming, "R084: a producer does not stream")
	require.Equal(t, p.Loop, policy.ProducerLoop{
		Mode: l.Mode, Concurrency: l.Concurrency, Window: l.Window, Prefetch: l.Prefetch, Limit: l.Limit, Timeout: l.Timeout,
	})
}

// R085: a policy written in full by one version is read in full.
func TestFilledPolicySurvivesEncoding(t *testing.T) {
	var want policy.Consumer
	fill(reflect.ValueOf(&want).Elem())
	document, err := json.Marshal(want)
	require.NoError(t, err)
	var got policy.Consumer
	got, err = got.Overlay(document)
	require.NoError(t, err)
	require.Equal(t, want, got)
	document, err = yaml.Marshal(want)
	require.NoError(t, err)
	got = policy.Consumer{}
	require.NoError(t, yaml.UnmarshalWithOptions(document, &got, yaml.Strict()))
	require.Equal(t, want, got)
}

func TestEffectiveBounds(t *testing.T) {
	l := policy.Loop{Concurrency: 8}
	require.Equal(t, 8, l.EffectivePrefetch())
	l.Prefetch = 3
	require.Equal(t, 3, l.EffectivePrefetch())
	require.Equal(t, 8, policy.Bulkhead{}.Or(8))
	require.Equal(t, 5, policy.Bulkhead{MaxConcurrency: 5}.Or(8))
	require.Equal(t, 5, policy.Breaker{Failures: 5}.Window())
	require.Equal(t, 20, policy.Breaker{Failures: 5, Executions: 20}.Window())
	require.Zero(t, policy.RateLimit{Per: seconds(1)}.Interval())
	require.Equal(t, 10*time.Millisecond, policy.RateLimit{Limit: 100, Per: seconds(1)}.Interval())
}

// The reference's tests of modes, but for the empty text, which is an error here.
func TestParseMode(t *testing.T) {
	for text, want := range map[string]policy.Mode{
		"batch": policy.ModeBatch, "continuous": policy.ModeContinuous,
		"  Batch ": policy.ModeBatch, "CONTINUOUS\n": policy.ModeContinuous,
	} {
		mode, err := policy.ParseMode(text)
		require.NoError(t, err)
		require.Equal(t, want, mode)
		var fromYAML struct{ Mode policy.Mode }
		document, err := yaml.Marshal(map[string]string{"mode": text})
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(document, &fromYAML))
		require.Equal(t, want, fromYAML.Mode)
	}
	for _, text := range []string{"", "none", "streaming"} {
		_, err := policy.ParseMode(text)
		require.ErrorContains(t, err, `is not a mode: the modes are "continuous" and "batch"`)
	}
}

func extra() map[string]any {
	return map[string]any{"a": "b", "list": []any{"x", map[string]any{"deep": true}}, "map": map[string]any{"y": 1.5}}
}

func vandalise(m map[string]any) {
	m["a"] = "changed"
	m["map"].(map[string]any)["y"] = "changed"
	m["list"].([]any)[1].(map[string]any)["deep"] = "changed"
	m["list"].([]any)[0] = "changed"
	m["new"] = true
}

// fill sets every field to something that is neither its zero nor its default.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range v.Fields() {
			fill(f)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(77)
	case reflect.Float64:
		v.SetFloat(7.7)
	case reflect.String:
		v.SetString(string(policy.ModeBatch))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]any{"filled": "yes"}))
	default:
		panic("fill does not know " + v.Type().String())
	}
}
