// Package transform is a task without Go: expressions that say which
// transactions go on, what they become and where they go, compiled once and
// checked before anything runs.
//
//	t, err := transform.Compile(transform.Spec{
//		Filter: "payload.quantity > 0",
//		Map:    map[string]string{"pence": "payload.price * payload.quantity"},
//		Routes: []string{"scored"},
//	})
//	task := engine.Consume("score", t, engine.Routes(t.Routes()...), engine.Codecs(t.Codec()))
//
// The language is CEL (https://cel.dev). An expression sees payload, metadata,
// id, source, key and created_at, and nothing else: no clock, no chance, no
// order of a map that changes, so another attempt has the same result. Each
// evaluation has a bound of its cost ([Spec.MaxCost]).
//
// # Order
//
// The filter comes first: what it refuses is done with, and nothing is sent.
// Then the rules of FailIf, the first that holds being the BUSINESS failure;
// then the map, the route and the key. Whatever an expression cannot do with
// the data it is given is BUSINESS as well, since another attempt could not
// either.
//
// # Numbers
//
// A JSON number without a fraction and an exponent is an int (64 bits), or a
// uint where only that holds it; any other is a double. What neither holds
// exactly is an error when an expression reads it, and never rounded in
// silence. Inside an object or a list that is passed on whole a number stays as
// it is written. A double that is a whole number is written with a fraction,
// 2.0, so that the next task reads a double again.
package transform
