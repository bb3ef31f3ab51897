package config

import (
	"errors"
	"maps"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The parser's time grows with the square of these, and its stack with some of
// them, so that a file of a few hundred kilobytes could keep it busy for an hour.
const (
	maxDepth  = 64
	maxTokens = 100_000
	maxKeys   = 10_000
	maxNodes  = 200_000 // with every alias counted as what it stands for
)

// tree reads a text into nodes. It reports what it can go on after, and is false
// for what it can't. An empty document is an empty group.
func (l *loader) tree(data []byte) (*node, bool) {
	text, ok := l.check(data)
	if !ok {
		return nil, false
	}
	file, ok := l.parse(cover(text))
	if !ok {
		return nil, false
	}
	var docs []*ast.DocumentNode
	for _, doc := range file.Docs {
		if _, directive := doc.Body.(*ast.DirectiveNode); !directive {
			docs = append(docs, doc)
		}
	}
	if len(docs) > 1 {
		at := place{line: 1, column: 1}
		if docs[1].Start != nil {
			at = placeOfToken(docs[1].Start)
		}
		l.fail(at, nil, "a second document begins here: a configuration is one document")
		return nil, false
	}
	root := &node{kind: groupKind, at: place{line: 1, column: 1}, key: place{line: 1, column: 1}}
	if len(docs) == 1 && docs[0].Body != nil {
		b := builder{loader: l, anchors: map[string]*node{}}
		read := b.build(docs[0].Body, nil)
		switch {
		case b.nodes > maxNodes:
			l.fail(root.at, nil, "the file's aliases make more than %d values of it", maxNodes)
			return nil, false
		case read.kind == groupKind:
			root.entries = read.entries
		case read.kind != nullKind:
			l.fail(read.at, nil, "%s where the keys of a configuration are expected: app, bus, streams, dead_letters, parking, admin, http, runner, telemetry, services, tasks", read.kind)
			return nil, false
		}
	}
	l.inNames(root)
	root = l.fromFiles(root)
	for _, name := range slices.Sorted(maps.Keys(l.overrides)) {
		root = l.put(root, splitPath(name), l.overrides[name])
	}
	return root, true
}

// parse is the YAML package. A file is a user's, so that a panic in there is the
// same as an error: this is no YAML that can be read.
func (l *loader) parse(text string) (file *ast.File, ok bool) {
	defer func() {
		if recover() != nil {
			l.fail(place{line: 1, column: 1}, nil, "is not YAML that can be read here: write it more plainly")
			file, ok = nil, false
		}
	}()
	tokens := lexer.Tokenize(text)
	if !l.bounded(tokens) {
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		l.syntax(err)
		return nil, false
	}
	return file, true
}

// bounded refuses a text that would keep the parser busy.
func (l *loader) bounded(tokens token.Tokens) bool {
	refuse := func(t *token.Token, format string, args ...any) bool {
		l.fail(placeOfToken(t), nil, format, args...)
		return false
	}
	flow, prefixes, keys, line := 0, 0, 0, 0
	for i, t := range tokens {
		if t.Position.Line != line {
			line, prefixes = t.Position.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			prefixes++
		case token.MappingValueType:
			keys++
		}
		switch {
		case i >= maxTokens:
			return refuse(t, "the file is too long: a configuration has no %d values", maxTokens)
		case keys > maxKeys:
			return refuse(t, "the file is too long: a configuration has no %d keys", maxKeys)
		case flow > maxDepth, prefixes > maxDepth && flow == 0:
			return refuse(t, "this is nested more than %d deep", maxDepth)
		}
	}
	return true
}

// syntax reports what the parser could not read.
func (l *loader) syntax(err error) {
	detail, ok := errors.AsType[yaml.Error](err)
	if !ok || detail.GetToken() == nil {
		l.fail(place{line: 1, column: 1}, nil, "is not YAML")
		return
	}
	at := placeOfToken(detail.GetToken())
	message := uncover(detail.GetMessage())
	if line := l.shown().line(at.line); at.column <= len(line) && line[at.column-1] == '\t' {
		message = "a tab cannot stand here: YAML is indented with spaces"
	}
	l.fail(at, nil, "is not YAML: %s", message)
}

func placeOfToken(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{line: 1, column: 1}
	}
	return place{line: max(t.Position.Line, 1), column: max(t.Position.Column, 1)}
}
