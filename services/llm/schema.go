package llm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	generate "github.com/invopop/jsonschema"
	validate "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/httpclient"
)

// schema is a Go type's, as endpoints take it in strict mode: closed objects, all of whose
// fields are required.
type schema struct {
	name  string
	text  json.RawMessage
	check *validate.Schema
	hide  func(string) string
}

// schemaOf makes it once. A type that has none is wrong in every attempt.
func schemaOf[T any](m *Model) (*schema, error) {
	of := reflect.TypeFor[T]()
	if s, ok := m.schemas.Load(of); ok {
		return s.(*schema), nil
	}
	s, err := newSchema(of)
	if err != nil {
		return nil, ergon.Business("a %v can't be asked for: %w", of, err)
	}
	s.hide = m.hide
	m.schemas.Store(of, s)
	return s, nil
}

func newSchema(of reflect.Type) (*schema, error) {
	if of.Kind() != reflect.Struct {
		return nil, errors.New("it is no struct: make it a field of one")
	}
	n := namer{}
	text, err := n.schema(of, true)
	if err != nil {
		return nil, err
	}
	// An answer may leave out what may be null: not every endpoint keeps to what it is sent.
	lax, err := n.schema(of, false)
	if err != nil {
		return nil, err
	}
	doc, err := validate.UnmarshalJSON(bytes.NewReader(lax))
	if err != nil {
		return nil, err
	}
	c := validate.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		return nil, err
	}
	check, err := c.Compile("schema.json")
	if err != nil {
		return nil, fmt.Errorf("compile its schema (does it hold itself?): %w", err)
	}
	return &schema{name: cmp.Or(n.name(of), "answer"), text: text, check: check}, nil
}

// schema is a type's as JSON. all has every field required.
func (n namer) schema(of reflect.Type, all bool) ([]byte, error) {
	r := &generate.Reflector{Anonymous: true, ExpandedStruct: true, Namer: n.name}
	root := r.ReflectFromType(of)
	root.Version = "" // endpoints know one, and not by name
	if root.Type != "object" {
		return nil, errors.New("it is no JSON object")
	}
	w := walk{definitions: root.Definitions, seen: map[string]bool{}, all: all}
	if err := w.strict(root, ""); err != nil {
		return nil, err
	}
	return json.Marshal(root)
}

// walk makes a schema one of strict mode, in place. The order of an object's fields stays:
// a model writes them in it, and what it wrote is what it goes on from.
type walk struct {
	definitions generate.Definitions
	seen        map[string]bool
	all         bool
}

func (w walk) strict(s *generate.Schema, at string) error {
	switch {
	case s.Ref != "":
		name := strings.TrimPrefix(s.Ref, "#/$defs/")
		d := w.definitions[name]
		if d == nil || w.seen[name] {
			return nil
		}
		w.seen[name] = true
		return w.strict(d, at)
	case len(s.Enum) > 0, s.Const != nil:
	case s.Type == "object" && (s.AdditionalProperties != generate.FalseSchema || len(s.PatternProperties) > 0):
		return fmt.Errorf("field %q is a map: make it a list of pairs", at)
	case s.Type == "object":
		return w.object(s, at)
	case s.Type == "array" && s.Items != nil:
		return w.strict(s.Items, at+"[]")
	case len(s.AnyOf)+len(s.OneOf) > 0:
		s.AnyOf, s.OneOf = append(s.AnyOf, s.OneOf...), nil // oneOf is not taken
		for _, one := range s.AnyOf {
			if err := w.strict(one, at); err != nil {
				return err
			}
		}
	case s.Type == "":
		return fmt.Errorf("field %q can be anything: give it a type of its own, or a method JSONSchema", at)
	}
	return nil
}

func (w walk) object(s *generate.Schema, at string) error {
	required := s.Required
	if w.all {
		s.Required = []string{}
	}
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		if err := w.strict(p.Value, strings.TrimPrefix(at+"."+p.Key, ".")); err != nil {
			return err
		}
		if w.all {
			s.Required = append(s.Required, p.Key)
		}
		if !slices.Contains(required, p.Key) {
			p.Value = &generate.Schema{AnyOf: []*generate.Schema{p.Value, {Type: "null"}}}
		}
	}
	return nil
}

// namer gives types names that a schema takes, and two types two.
type namer map[string]reflect.Type

var noName = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

func (n namer) name(t reflect.Type) string {
	base := noName.ReplaceAllString(t.Name(), "_")
	if base == "" {
		return "" // it stands where it is used
	}
	if len(base) > 56 {
		base = base[:56] // 64 are taken
	}
	name := base
	for i := 2; n[name] != nil && n[name] != t; i++ {
		name = fmt.Sprintf("%s_%d", base, i)
	}
	n[name] = t
	return name
}

// decode reads an answer that is as the schema says, and nothing besides it.
func (s *schema) decode(text string, into any) error {
	value, err := validate.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("%w: it is no JSON: %w: it begins %q", ErrMalformed, err, httpclient.Excerpt([]byte(text), s.hide))
	}
	if err := s.check.Validate(value); err != nil {
		return fmt.Errorf("%w: %s", ErrMalformed, httpclient.Excerpt([]byte(said(err)), s.hide))
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// said leaves out the first line, which names our file.
func said(err error) string {
	_, what, _ := strings.Cut(err.Error(), "\n")
	return what
}
