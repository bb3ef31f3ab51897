package policy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// ConsumerKeys lists the keys that a consumer's policy knows at a dotted path, in
// the order of the documentation: ConsumerKeys("process") is retry, bulkhead and
// so on, ConsumerKeys("") is the top level. It is nil where there is no such path,
// and where the path is a value or free-form data.
func ConsumerKeys(path string) []string { return keysAt(reflect.TypeFor[Consumer](), path) }

// ProducerKeys is ConsumerKeys for a producer's policy.
func ProducerKeys(path string) []string { return keysAt(reflect.TypeFor[Producer](), path) }

// UnknownConsumerKey is the fault of a key that a consumer's policy does not have,
// given its whole path. It names what was probably meant (RFC-CHECKLIST, decision
// l), for a loader that found the key by other means than DecodeConsumerJSON.
func UnknownConsumerKey(path string) Fault {
	return unknownAt(reflect.TypeFor[Consumer](), path)
}

// UnknownProducerKey is UnknownConsumerKey for a producer's policy.
func UnknownProducerKey(path string) Fault {
	return unknownAt(reflect.TypeFor[Producer](), path)
}

// Nearest is the candidate that a mistyped key most probably meant, or "" when
// none is near. Case does not count, one that contains the other is near, and
// otherwise two letters or a third of them may differ. The first of equals wins.
func Nearest(key string, candidates []string) string {
	if key == "" || len(key) > 64 {
		return "" // not mistyped, and the work below is the product of the lengths
	}
	key = strings.ToLower(key)
	best, bestDistance := "", max(2, len(key)/3)+1
	for _, candidate := range candidates {
		c := strings.ToLower(candidate)
		d := distance(key, c)
		if len(key) >= 3 && (strings.Contains(c, key) || strings.Contains(key, c)) {
			d = min(d, 2)
		}
		if d < bestDistance && d < len(c) { // d = len(c): no letter of it is there
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance is Levenshtein's: the fewest insertions, deletions and replacements of
// a byte that make a into b. Keys are ASCII.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// keyOf is the key of a field in a document: the name in its json tag.
func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// keysOf lists the keys of a struct type; nil for any other type.
func keysOf(t reflect.Type) []string {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = keyOf(t.Field(i))
	}
	return keys
}

func keysAt(t reflect.Type, path string) []string { return keysOf(typeAt(t, path)) }

// typeAt walks a dotted path down from a struct type, and is nil where it ends.
func typeAt(t reflect.Type, path string) reflect.Type {
	if path == "" {
		return t
	}
	for key := range strings.SplitSeq(path, ".") {
		i := slices.Index(keysOf(t), key)
		if i < 0 {
			return nil
		}
		t = t.Field(i).Type
	}
	return t
}

func unknownAt(root reflect.Type, path string) Fault {
	parent, key := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		parent, key = path[:i], path[i+1:]
	}
	return unknownKey(typeAt(root, parent), parent, key)
}

// unknownKey words the fault. A key that exists exactly once below is taken for
// one that lost its level (process.max_attempts); then comes a slip of the hand;
// and when nothing is near, all that is known here is listed.
func unknownKey(t reflect.Type, path, key string) Fault {
	fault := Fault{Path: join(path, key)}
	known := keysOf(t)
	if below := pathsTo(t, key); len(below) == 1 {
		fault.Message = fmt.Sprintf("unknown key %.60q, did you mean %q?", key, below[0])
	} else if near := Nearest(key, known); near != "" {
		fault.Message = fmt.Sprintf("unknown key %.60q, did you mean %q?", key, near)
	} else if len(known) > 0 {
		fault.Message = fmt.Sprintf("unknown key %.60q, the keys here are %s", key, strings.Join(known, ", "))
	} else {
		fault.Message = fmt.Sprintf("unknown key %.60q", key)
	}
	return fault
}

// pathsTo lists the dotted paths below a struct type that end in the key.
func pathsTo(t reflect.Type, key string) []string {
	var paths []string
	for i, k := range keysOf(t) {
		if k == key {
			paths = append(paths, k)
		}
		for _, below := range pathsTo(t.Field(i).Type, key) {
			paths = append(paths, join(k, below))
		}
	}
	return paths
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
