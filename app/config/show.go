package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ergon-framework/ergon/telemetry"
)

func sensitive() []string { return slices.Clone(telemetry.DefaultSensitive) }

// YAML is the effective configuration as a file that Parse reads back, but for the
// secrets, which are hidden. A comment behind each value says where it comes from.
// changed leaves out what is a default.
func (r *Resolved) YAML(changed bool) string {
	var b strings.Builder
	var open path // the groups that are written already
	for _, v := range r.Values() {
		if changed && v.Origin.IsDefault() {
			continue
		}
		group := v.keys[:len(v.keys)-1]
		shared := 0
		for shared < len(group) && shared < len(open) && group[shared] == open[shared] {
			shared++
		}
		for i := shared; i < len(group); i++ {
			fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", i), yamlText(group[i]))
		}
		open = group
		fmt.Fprintf(&b, "%s%s: %s # %s\n", strings.Repeat("  ", len(group)), yamlText(v.keys[len(group)]), yamlValue(v.Value), strings.Map(visible, v.Origin.String()))
	}
	if b.Len() == 0 {
		return "{} # all as by default\n"
	}
	return b.String()
}

func yamlValue(value any) string {
	switch v := value.(type) {
	case string:
		return yamlText(strings.ReplaceAll(v, "${", "$${"))
	case []string:
		items := make([]string, len(v))
		for i, s := range v {
			items[i] = yamlValue(s)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any, []any:
		return quoted(escape(v))
	}
	return fmt.Sprint(value)
}

// plainText is what stands in a file without quotes, also in brackets.
var plainText = regexp.MustCompile(`^[A-Za-z_/.][A-Za-z0-9_/.>-]*(?::[A-Za-z0-9_/.-]+)*$|^[0-9]+(?:\.[0-9]+)?[a-zµ]+[0-9a-zµ.]*$|^[0-9.]+:[0-9]+$`)

func yamlText(s string) string {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off": // true and false to YAML 1.1
		return quoted(s)
	}
	if plainText.MatchString(s) && scalar(s, place{}).kind == textKind {
		return s
	}
	return quoted(s)
}

// quoted is JSON, which is YAML too.
func quoted(value any) string {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return `"` + hidden + `"`
	}
	return strings.TrimSuffix(out.String(), "\n")
}
