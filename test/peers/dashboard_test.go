package peers

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type dataSource struct{ Type, UID string }

type panel struct {
	ID          int
	Type, Title string
	Description string
	DataSource  dataSource
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		Expr, LegendFormat, RefID string
		DataSource                dataSource
	}
}

type dashboard struct {
	UID, Title string
	Panels     []panel
	Templating struct {
		List []struct {
			Name, Definition string
			DataSource       dataSource
		}
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(observe, "grafana/ergon.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &d))
	return d
}

// The dashboard is one that Grafana shows as it was meant: each panel has an ID of its
// own and a place of its own, and asks the data source that is provisioned.
func TestDashboardIsWhole(t *testing.T) {
	var provisioned struct {
		DataSources []struct{ UID, Type string } `yaml:"datasources"`
	}
	data, err := os.ReadFile(filepath.Join(observe, "grafana/datasources.yaml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &provisioned))
	require.Len(t, provisioned.DataSources, 1)
	source := dataSource{provisioned.DataSources[0].Type, provisioned.DataSources[0].UID}

	d := readDashboard(t)
	require.Equal(t, "ergon", d.UID)
	require.NotEmpty(t, d.Title)
	require.Len(t, d.Templating.List, 1)
	require.Equal(t, source, d.Templating.List[0].DataSource)
	ids, taken, titles := map[int]string{}, map[[2]int]string{}, map[string]bool{}
	for _, p := range d.Panels {
		require.NotContains(t, ids, p.ID, p.Title)
		require.False(t, titles[p.Title], "two panels are named %q", p.Title)
		ids[p.ID], titles[p.Title] = p.Title, true
		g := p.GridPos
		require.LessOrEqual(t, g.X+g.W, 24, "%s: the grid is 24 wide", p.Title)
		require.Positive(t, g.W*g.H, p.Title)
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				require.Empty(t, taken[[2]int{x, y}], "%s lies there already: %s", taken[[2]int{x, y}], p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.Equal(t, source, p.DataSource, p.Title)
		require.NotEmpty(t, p.Description, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		refs := map[string]bool{}
		for _, target := range p.Targets {
			require.Equal(t, source, target.DataSource, p.Title)
			require.False(t, refs[target.RefID], "%s: refId %q comes twice", p.Title, target.RefID)
			refs[target.RefID] = true
		}
	}
}

// expand puts values where Grafana would.
func expand(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$__range", "15m", "$task", ".*").Replace(expr)
}

// Every query of the dashboard parses, and names only what there is.
func TestDashboardAsksForWhatThereIs(t *testing.T) {
	asked := map[string]bool{}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			expr := parse(t, expand(target.Expr))
			require.NotContains(t, expr.String(), "$", p.Title)
			require.NoError(t, faults(expr, asked), "%s: %s", p.Title, target.Expr)
			for _, label := range legendLabels(target.LegendFormat) {
				require.Contains(t, labelsOf(expr), label, "%s: the legend of %s", p.Title, target.Expr)
			}
		}
	}
	for name := range known() { // what Ergon tells is to be seen
		name = strings.TrimSuffix(name, "_bucket")
		base := strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		if name == "up" || base == "ergon" {
			continue
		}
		require.True(t, asked[name] || asked[base+"_bucket"] || asked[base+"_sum"], "no panel shows %s", name)
	}
}

// Those of the alerts likewise.
func TestAlertsAskForWhatThereIs(t *testing.T) {
	asked := map[string]bool{}
	for _, r := range readAlerts(t) {
		expr := parse(t, r.Expr)
		require.NoError(t, faults(expr, asked), r.Alert)
		for _, s := range []string{r.Annotations["summary"], r.Annotations["description"]} {
			for _, m := range annotationLabel.FindAllStringSubmatch(s, -1) {
				require.Contains(t, labelsOf(expr), m[1], "%s: %s", r.Alert, s)
			}
		}
	}
	require.NotEmpty(t, asked)
}

func parse(t *testing.T, promql string) parser.Expr {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(promql)
	require.NoError(t, err, promql)
	return expr
}

// faults are the names in an expression that no series has.
func faults(expr parser.Expr, asked map[string]bool) (err error) {
	all := known()
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			labels, ok := all[n.Name]
			if !ok {
				err = fmt.Errorf("there is no %q", n.Name)
				return nil
			}
			asked[n.Name] = true
			labels = append(labels[:len(labels):len(labels)], scraped()...)
			for _, m := range n.LabelMatchers {
				if m.Name != "__name__" && !slices.Contains(labels, m.Name) {
					err = fmt.Errorf("%s has no label %q", n.Name, m.Name)
				}
			}
			for _, above := range path {
				a, ok := above.(*parser.AggregateExpr)
				if !ok {
					continue
				}
				for _, label := range a.Grouping {
					if !slices.Contains(labels, label) {
						err = fmt.Errorf("%s has no label %q to group by", n.Name, label)
					}
				}
			}
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				for _, label := range n.VectorMatching.MatchingLabels {
					if !slices.Contains(labelsOf(n.LHS), label) || !slices.Contains(labelsOf(n.RHS), label) {
						err = fmt.Errorf("%s: not both sides have %q", n, label)
					}
				}
			}
		}
		return nil
	})
	return err
}

// labelsOf are those that the result of an expression can have.
func labelsOf(expr parser.Expr) []string {
	switch e := expr.(type) {
	case *parser.AggregateExpr:
		return e.Grouping
	case *parser.ParenExpr:
		return labelsOf(e.Expr)
	case *parser.BinaryExpr:
		return labelsOf(e.LHS)
	case *parser.Call:
		if e.Func.Name == "absent" {
			return nil
		}
		for _, arg := range e.Args {
			if arg.Type() != parser.ValueTypeScalar {
				return slices.DeleteFunc(slices.Clone(labelsOf(arg)), func(l string) bool { return l == "le" && e.Func.Name == "histogram_quantile" })
			}
		}
	case *parser.MatrixSelector:
		return labelsOf(e.VectorSelector)
	case *parser.SubqueryExpr:
		return labelsOf(e.Expr)
	case *parser.StepInvariantExpr:
		return labelsOf(e.Expr)
	case *parser.VectorSelector:
		return append(slices.Clone(known()[e.Name]), scraped()...)
	}
	return nil
}

func legendLabels(format string) (labels []string) {
	for _, part := range strings.Split(format, "{{")[1:] {
		label, _, _ := strings.Cut(part, "}}")
		labels = append(labels, label)
	}
	return labels
}
