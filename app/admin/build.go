package admin

import (
	"runtime"
	"runtime/debug"
)

// Build is what the program was built of, as far as its binary says.
type Build struct {
	Program  string `json:"program"`            // the module path of the main package
	Version  string `json:"version"`            // of that module
	Ergon    string `json:"ergon"`              // the version of Ergon in it
	Go       string `json:"go"`                 // what it was built with
	Revision string `json:"revision,omitempty"` // of the version control
	Modified bool   `json:"modified"`           // there were changes on top of that
}

const module = "github.com/ergon-framework/ergon"

func build() Build {
	b := Build{Go: runtime.Version(), Version: "(devel)", Ergon: "(devel)"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Program = info.Main.Path
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && m.Version != "" {
			b.Ergon = m.Version
		}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
