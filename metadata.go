package ergon

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Metadata is a transaction's read-only set of names and values. Names have no
// case: they are held in lower case. A name may have several values, in their
// order. The zero value is empty. Metadata may be read concurrently.
//
// It is for small facts about the transaction (tenant, channel, schema
// version). Credentials have no place in it (RFC-000 §10): it is stored with
// every output and dead letter.
type Metadata struct{ entries []metadatum }

type metadatum struct{ name, value string }

// NewMetadata collects names and values. The order of the values of one name is
// kept, names are sorted. An empty name is dropped.
func NewMetadata(pairs iter.Seq2[string, string]) Metadata {
	var m Metadata
	for name, value := range pairs {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			m.entries = append(m.entries, metadatum{name, value})
		}
	}
	slices.SortStableFunc(m.entries, func(a, b metadatum) int { return cmp.Compare(a.name, b.name) })
	return m
}

// Get returns the first value of name, or "" when there is none.
func (m Metadata) Get(name string) string {
	for _, e := range m.entries {
		if strings.EqualFold(e.name, name) {
			return e.value
		}
	}
	return ""
}

// Values returns all values of name, in their order. The slice is the caller's.
func (m Metadata) Values(name string) []string {
	var values []string
	for _, e := range m.entries {
		if strings.EqualFold(e.name, name) {
			values = append(values, e.value)
		}
	}
	return values
}

// All yields each name and value, sorted by name.
func (m Metadata) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, e := range m.entries {
			if !yield(e.name, e.value) {
				return
			}
		}
	}
}

// Len is the number of values.
func (m Metadata) Len() int { return len(m.entries) }

// with returns a copy that has one value more; m is unchanged.
func (m Metadata) with(name, value string) Metadata {
	return NewMetadata(func(yield func(string, string) bool) {
		for n, v := range m.All() {
			if !yield(n, v) {
				return
			}
		}
		yield(name, value)
	})
}
