package cli

import (
	"bytes"
	"slices"
	"strconv"
	"time"
)

// A payload is {"due":<20 digits>,"pad":"…"}: JSON, since whoever consumes a subject
// may read it, and with the time at a fixed place.
const (
	benchHead  = `{"due":`
	benchMid   = `,"pad":"`
	benchTail  = `"}`
	benchDue   = 20
	benchLeast = len(benchHead) + benchDue + len(benchMid) + len(benchTail)
)

// blank is a payload without its time.
func (r *benchRun) blank() []byte {
	b := append([]byte(benchHead), bytes.Repeat([]byte{' '}, benchDue)...)
	b = append(b, benchMid...)
	b = append(b, bytes.Repeat([]byte{'x'}, r.size-benchLeast)...)
	return append(b, benchTail...)
}

// stamped is a blank payload of a transaction that is due so long after the begin.
func stamped(blank []byte, due time.Duration) []byte {
	b, i := slices.Clone(blank), len(benchHead)+benchDue
	for n := max(due, 0); ; n /= 10 {
		i--
		if b[i] = '0' + byte(n%10); n < 10 {
			return b
		}
	}
}

// dueOf reads the time out of a payload.
func dueOf(payload []byte) (time.Duration, bool) {
	if len(payload) < benchLeast {
		return 0, false
	}
	digits := bytes.TrimLeft(payload[len(benchHead):len(benchHead)+benchDue], " ")
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return time.Duration(n), err == nil
}
