package config

// Override is an environment variable that wins over a key of the file, without
// being named in the file.
type Override struct {
	// Var is the variable. Set to nothing, it counts as unset.
	Var string
	// Path is the key whose value it replaces, read as if it stood in the file
	// outside quotes. A ${ in it is text.
	Path string
	// Doc is what it is for, in one line.
	Doc string
}

// Overrides lists them all.
func Overrides() []Override {
	return []Override{
		{Var: "ERGON_BUS_URL", Path: "bus.url", Doc: "the NATS servers, or embedded"},
		{Var: "ERGON_BUS_STORE", Path: "bus.store", Doc: "the directory of an embedded server's streams"},
		{Var: "ERGON_BUS_LISTEN", Path: "bus.listen", Doc: "the address of an embedded server, host:port, or off"},
	}
}

// active is the overrides whose variable is set, by the path of their key.
func active(env func(string) (string, bool)) map[string]override {
	out := map[string]override{}
	for _, o := range Overrides() {
		if value, ok := env(o.Var); ok && value != "" {
			out[o.Path] = override{variable: o.Var, value: value}
		}
	}
	return out
}

type override struct{ variable, value string }
