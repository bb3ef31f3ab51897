// Package names knows names of customers, from a file.
package names

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/ergon-framework/ergon"
)
