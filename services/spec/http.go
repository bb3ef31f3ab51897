package spec

// HTTP is an API that speaks JSON.
type HTTP struct {
	// Where it is: http or https, a host, and the path that all requests begin with;
	// without a user, a query and a fragment. Required.
	URL string `json:"url" yaml:"url"`
	// Headers of every request, by name. Their values are secrets. Default none.
	Headers map[string]string `json:"headers,omitzero" yaml:"headers"`
	// The bearer token of who asks. A secret; excludes user. Default none.
	Bearer string `json:"bearer,omitzero" yaml:"bearer"`
	// The user who asks. Default none.
	User string `json:"user,omitzero" yaml:"user"`
	// The user's password. A secret.
	Password string `json:"password,omitzero" yaml:"password"`
	// The path of a PEM file with the authorities to trust besides the system's.
	CA string `json:"ca,omitzero" yaml:"ca"`
	// The path of the client's certificate, in PEM. It needs the key.
	Cert string `json:"cert,omitzero" yaml:"cert"`
	// The path of the certificate's key, in PEM.
	Key string `json:"key,omitzero" yaml:"key"`
	// A proxy's URL, http, https or socks5; "environment" is what HTTPS_PROXY and its like
	// say. Default none.
	Proxy string `json:"proxy,omitzero" yaml:"proxy"`
	// How many connections are kept open at most, those in use included. Default 64.
	Connections int `json:"connections" yaml:"connections" jsonschema:"minimum=1"`
	// The most that is read of a response, in bytes; what is longer is a failure.
	// Default 4 MiB.
	MaxResponse int64 `json:"max_response" yaml:"max_response" jsonschema:"minimum=1"`
}

// What an HTTP says where nothing is said.
const (
	DefaultHTTPConnections = 64
	DefaultMaxResponse     = 4 << 20
)

// DefaultHTTP is what is in force where nothing is said. What is required is missing.
func DefaultHTTP() HTTP {
	return HTTP{Connections: DefaultHTTPConnections, MaxResponse: DefaultMaxResponse}
}
