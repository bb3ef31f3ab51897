package schema_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// parse reads JSON into maps, which is what check works on.
func parse(t *testing.T, document []byte) map[string]any {
	t.Helper()
	var out map[string]any
	require.NoError(t, json.Unmarshal(document, &out), "%s", document)
	return out
}

// check looks at a value by a schema and lists what is wrong. It knows the words
// that our schemas use, and panics at any other, so that a schema which starts to
// use one is not taken for checked.
func check(schema map[string]any, value any, path string) []string {
	var wrong []string
	fail := func(format string, args ...any) {
		wrong = append(wrong, path+": "+fmt.Sprintf(format, args...))
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, word := range slices.Sorted(maps.Keys(schema)) {
		switch want := schema[word]; word {
		case "$schema", "title", "description", "default", "properties":
		case "type":
			if !isType(want.(string), value) {
				fail("not %s", want)
				return wrong
			}
		case "additionalProperties":
			object, _ := value.(map[string]any)
			for _, key := range slices.Sorted(maps.Keys(object)) {
				if _, known := properties[key]; !known && want == false {
					wrong = append(wrong, path+"."+key+": unknown")
				}
			}
		case "minimum":
			if n, ok := value.(float64); ok && n < want.(float64) {
				fail("below %v", want)
			}
		case "maximum":
			if n, ok := value.(float64); ok && n > want.(float64) {
				fail("above %.0f", want)
			}
		case "pattern":
			if s, ok := value.(string); ok && !regexp.MustCompile(want.(string)).MatchString(s) {
				fail("no match")
			}
		case "enum":
			if !slices.Contains(want.([]any), value) {
				fail("not in enum")
			}
		case "oneOf":
			fits := 0
			for _, one := range want.([]any) {
				if len(check(one.(map[string]any), value, path)) == 0 {
					fits++
				}
			}
			if fits != 1 {
				fail("%d of oneOf", fits)
			}
		default:
			panic("the schema uses a word that the test does not know: " + word)
		}
	}
	if object, ok := value.(map[string]any); ok {
		for _, key := range slices.Sorted(maps.Keys(properties)) {
			if inner, ok := object[key]; ok {
				wrong = append(wrong, check(properties[key].(map[string]any), inner, path+"."+key)...)
			}
		}
	}
	return wrong
}

func isType(name string, value any) bool {
	switch value := value.(type) {
	case map[string]any:
		return name == "object"
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case float64:
		return name == "number" || name == "integer" && value == math.Trunc(value)
	default:
		return false
	}
}
