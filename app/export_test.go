package app

import "github.com/ergon-framework/ergon"

// Fed is a source that other tasks of the run send to, which have all ended.
func Fed(s ergon.Source) ergon.Source { return &fed{Source: s} }
