package spec

// HTTP is an API that speaks JSON.
type HTTP struct {
	// Where it is: http or https, a host, and the path that all requests begin with.
	// Required.
	URL string `json:"url" yaml:"url"`
	// Headers of every request. Values that look like credentials are not shown.
	Headers map[string]string `json:"headers,omitzero" yaml:"headers"`
	// Who asks: a bearer token, or a user and a password.
	Bearer   string `json:"bearer,omitzero" yaml:"bearer"`
	User     string `json:"user,omitzero" yaml:"user"`
	Password string `json:"password,omitzero" yaml:"password"`
	// Files of TLS: whom to trust besides the system's roots, and who asks.
	CA   string `json:"ca,omitzero" yaml:"ca"`
	Cert string `json:"cert,omitzero" yaml:"cert"`
	Key  string `json:"key,omitzero" yaml:"key"`
	// A proxy's URL; "environment" is what HTTPS_PROXY and its like say. Default none.
	Proxy string `json:"proxy,omitzero" yaml:"proxy"`
	// How many connections are kept open at most, those in use included. Default 64.
	Connections int `json:"connections" yaml:"connections" jsonschema:"minimum=1"`
	// The most that is read of a response, in bytes; what is longer is a failure.
	// Default 4 MiB.
	MaxResponse int64 `json:"max_response" yaml:"max_response" jsonschema:"minimum=1"`
}
