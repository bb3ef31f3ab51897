// Package schema holds the JSON Schemas (draft 2020-12) of the policies, for
// editors that complete and check a configuration file and for whoever composes
// the schema of a whole one.
//
// They are generated from the policy types, their documentation and their
// defaults, but by the test of this package and not at run time. Descriptions come
// from comments, which a binary does not have, and so the generator and the Go
// parser behind it stay out of every binary. The test fails when the files are
// behind the types, and `go test ./policy/schema -update` writes them anew.
//
// Each schema is one tree without references, so that each key can say the
// default of its own place (process and fetch retry differently), and so that it
// can be put anywhere inside another schema as it is.
package schema

import (
	_ "embed"
	"slices"
)

var (
	//go:embed consumer.schema.json
	consumer []byte
	//go:embed producer.schema.json
	producer []byte
)

// Consumer is the JSON Schema of policy.Consumer. The caller owns the bytes.
func Consumer() []byte { return slices.Clone(consumer) }

// Producer is the JSON Schema of policy.Producer. The caller owns the bytes.
func Producer() []byte { return slices.Clone(producer) }
