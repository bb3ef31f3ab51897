package config

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// builder makes nodes of the parser's tree: variables filled in, aliases and merge
// keys resolved.
type builder struct {
	*loader
	anchors map[string]*node
	nodes   int
}

func (b *builder) build(n ast.Node, at path) *node {
	if b.nodes++; b.nodes > maxNodes || n == nil {
		return &node{}
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return b.group(n.Values, n, at)
	case *ast.MappingValueNode:
		return b.group([]*ast.MappingValueNode{n}, n, at)
	case *ast.SequenceNode:
		out := &node{kind: listKind, at: placeOfToken(n.GetToken())}
		for i, item := range n.Values {
			out.items = append(out.items, b.build(item, at.item(i)))
		}
		return out.measured()
	case *ast.AnchorNode:
		out := b.build(n.Value, at)
		b.anchors[n.Name.GetToken().Value] = out
		return out
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		out, ok := b.anchors[name]
		if !ok {
			b.fail(placeOfToken(n.GetToken()), at, "there is no anchor &%s before this", uncover(name))
			return &node{kind: badKind}
		}
		b.nodes += out.size
		return out
	case *ast.TagNode:
		b.fail(placeOfToken(n.GetToken()), at, "a tag is not understood here: put text in quotes, and leave the tag out")
		return &node{kind: badKind}
	case *ast.LiteralNode:
		return b.scalar(n.Value.Value, false, placeOfToken(n.GetToken()), at)
	case *ast.NullNode:
		return &node{kind: nullKind, at: placeOfToken(n.GetToken())}
	case *ast.StringNode:
		t := n.GetToken()
		plain := t.Type != token.SingleQuoteType && t.Type != token.DoubleQuoteType
		return b.scalar(n.Value, plain, placeOfToken(t), at)
	case ast.ScalarNode:
		return b.scalar(n.GetToken().Value, true, placeOfToken(n.GetToken()), at)
	}
	b.fail(placeOfToken(n.GetToken()), at, "this is not understood here: write a value, a list or a group of keys")
	return &node{kind: badKind}
}

// scalar fills in the variables of a value. Those of one that an override replaces need
// not be set; the value itself may be of use all the same, through an alias.
func (b *builder) scalar(text string, plain bool, at place, p path) *node {
	text = uncover(text)
	expanded, changed, faults := expand(text, b.env)
	if faults != nil && b.replaced(p) {
		return &node{kind: nullKind, at: at}
	}
	for _, f := range faults {
		b.fail(at, p, "%s", f)
	}
	if faults != nil {
		return &node{kind: badKind, at: at}
	}
	if !plain {
		return &node{kind: textKind, text: expanded, at: at}
	}
	out := scalar(expanded, at)
	out.filled = changed
	return out
}

func (b *builder) group(values []*ast.MappingValueNode, n ast.Node, at path) *node {
	out := &node{kind: groupKind, at: placeOfToken(n.GetToken())}
	var merged []*node
	for _, v := range values {
		keyAt := placeOfToken(v.Key.GetToken())
		if v.Key.IsMergeKey() {
			merged = append(merged, b.merge(v.Value, at.key("<<"))...)
			continue
		}
		var key string
		switch k := v.Key.(type) {
		case *ast.StringNode:
			key = uncover(k.Value)
		case ast.ScalarNode:
			key = uncover(k.GetToken().Value)
		default:
			b.fail(keyAt, at, "this is not a key: a key is text")
			continue
		}
		if out.get(key) != nil {
			b.fail(keyAt, at.key(key), "the key stands twice")
			b.build(v.Value, at.key(key)) // for its faults and anchors
			continue
		}
		value := b.build(v.Value, at.key(key))
		out.entries = append(out.entries, entry{name: key, at: keyAt, value: value})
	}
	for _, m := range merged {
		for _, e := range m.entries {
			if out.get(e.name) == nil {
				out.entries = append(out.entries, e)
			}
		}
	}
	if len(out.entries) > 0 && out.entries[0].at.before(out.at) {
		out.at = out.entries[0].at // the token of a block group is its first colon
	}
	return out.measured()
}

// merge is the groups that a merge key names, the strongest first.
func (b *builder) merge(n ast.Node, at path) []*node {
	value := b.build(n, at)
	groups := []*node{value}
	if value.kind == listKind {
		groups = value.items
	}
	if slices.ContainsFunc(groups, func(g *node) bool { return g.kind != groupKind && g.kind != badKind }) {
		b.fail(placeOfToken(n.GetToken()), at, "%s cannot be merged: name a group of keys, or a list of them", value.kind)
		return nil
	}
	return groups
}
