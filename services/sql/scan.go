package sql

import (
	stdsql "database/sql"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// one reads the only row.
func one[T any](rows *stdsql.Rows) (row T, err error) {
	got, err := some[T](rows, 1)
	if err != nil {
		return row, err
	}
	if len(got) == 0 {
		if err := rows.Err(); err != nil {
			return row, err
		}
		return row, ErrNotFound
	}
	return got[0], nil
}

func all[T any](rows *stdsql.Rows) ([]T, error) { return some[T](rows, MaxRows) }

// some reads up to most rows, and fails if there are more.
func some[T any](rows *stdsql.Rows, most int) (got []T, err error) {
	into, err := placesOf(reflect.TypeFor[T](), rows)
	if err != nil {
		return nil, err
	}
	dest := make([]any, max(len(into), 1))
	for rows.Next() {
		if len(got) == most {
			return nil, fmt.Errorf("%w: more than %d", ErrTooMany, most)
		}
		var row T
		if into == nil {
			dest[0] = &row
		} else {
			v := reflect.ValueOf(&row).Elem()
			for i, place := range into {
				dest[i] = v.FieldByIndex(place).Addr().Interface()
			}
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		got = append(got, row)
	}
	return got, nil // whether that was the end, finish asks
}

// placesOf finds the field of each column, nil for a type that is one column's value.
func placesOf(t reflect.Type, rows *stdsql.Rows) ([][]int, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	if isValue(t) {
		if len(columns) != 1 {
			return nil, fmt.Errorf("a %v is one column's value, and the query has %d columns: %s", t, len(columns), strings.Join(columns, ", "))
		}
		return nil, nil
	}
	fields := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		name, tagged := f.Tag.Lookup("db")
		switch {
		case name == "-", f.Anonymous && !tagged && !isValue(f.Type), behindPointer(t, f.Index), !f.IsExported() && !tagged:
			continue
		case !f.IsExported():
			return nil, fmt.Errorf("%v.%s has a db tag, and is not exported", t, f.Name)
		}
		key := fold(f.Name)
		if tagged {
			key = name
		}
		if _, twice := fields[key]; twice {
			return nil, fmt.Errorf("%v has two fields for the column %q", t, key)
		}
		fields[key] = f.Index
	}
	places := make([][]int, len(columns))
	for i, column := range columns {
		key := column
		if _, tagged := fields[key]; !tagged {
			key = fold(column)
		}
		place, ok := fields[key]
		if !ok {
			return nil, fmt.Errorf("%v has no field for the column %q: its name, or the tag db:%q, would make one", t, column, column)
		}
		delete(fields, key) // a second column of this name has none
		places[i] = place
	}
	for _, index := range fields {
		return nil, fmt.Errorf("%v.%s has no column, those of the query are %s: rename one, or give the field the tag db:\"-\"",
			t, t.FieldByIndex(index).Name, strings.Join(columns, ", "))
	}
	return places, nil
}

// isValue reports whether a type is scanned as a whole.
func isValue(t reflect.Type) bool {
	return t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || reflect.PointerTo(t).Implements(reflect.TypeFor[stdsql.Scanner]())
}

// behindPointer reports whether a field is promoted from an embedded pointer, which may be
// nil.
func behindPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t = t.Field(i).Type; t.Kind() == reflect.Pointer {
			return true
		}
	}
	return false
}

// fold is a name without case and underscores.
func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }
