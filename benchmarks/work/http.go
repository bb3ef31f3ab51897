package work

import "strconv"

// What requests are like, in both directions.
const (
	// Path is where a contender takes requests, on a free port of loopback. It stores
	// each in Job.Output before it answers 202.
	Path = "/in"
	// Type is the CloudEvents type of what comes in and of what goes out, and Source the
	// source of what goes out.
	Type   = "bench"
	Source = "/bench"
	// ContentType is that of each body.
	ContentType = "application/json"
)

// Key is the Idempotency-Key of the request with an input, and the ID of the
// transaction that is sent with it.
func Key(id int64) string { return "input-" + strconv.FormatInt(id, 10) }
