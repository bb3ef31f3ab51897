package peers

import (
	"time"

	"github.com/ergon-framework/ergon/connectors/http"
)

// httpSoon is a server that has as little patience as one that is attacked.
var httpSoon = http.ServerConfig{ReadHeaderTimeout: time.Second, ReadTimeout: time.Second, IdleTimeout: time.Second}
