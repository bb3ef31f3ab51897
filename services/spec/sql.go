package spec

import (
	"time"

	"github.com/ergon-framework/ergon/policy"
)

// SQL is a database.
type SQL struct {
	// Where it is: postgres://user@host:5432/database, or sqlite: and a file's path.
	// Required.
	URL string `json:"url" yaml:"url"`
	// The user's password, if it does not stand in the URL. A secret, wherever it stands.
	Password string `json:"password,omitzero" yaml:"password"`
	// How many connections there are at most. Default 16.
	Connections int `json:"connections" yaml:"connections" jsonschema:"minimum=1"`
	// How many of them are kept open while nobody uses them. Default 4.
	Idle int `json:"idle" yaml:"idle" jsonschema:"minimum=0"`
	// How long a connection is used before it is made anew. 0s is for ever. Default 30m.
	Lifetime policy.Duration `json:"lifetime" yaml:"lifetime"`
}

// What an SQL says where nothing is said.
const (
	DefaultSQLConnections = 16
	DefaultIdle           = 4
	DefaultLifetime       = policy.Duration(30 * time.Minute)
)

// DefaultSQL is what is in force where nothing is said. What is required is missing.
func DefaultSQL() SQL {
	return SQL{Connections: DefaultSQLConnections, Idle: DefaultIdle, Lifetime: DefaultLifetime}
}
