package httpclient

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxRetryAfter is the longest that a server's Retry-After is believed. The policies that
// the error meets have caps of their own, which can be off.
const MaxRetryAfter = time.Hour

const (
	excerptRunes = 256
	excerptBytes = 8 << 10  // that are looked at for it: what is hidden may be longer than what it says
	drainBytes   = 64 << 10 // that are read for a connection's sake: a new one costs about as much
	drainTime    = time.Second
)

// RetryAfter reads the header of that name in both its forms, seconds and a date. A date
// is compared with the answer's own Date, where it has one: the clocks of two machines
// differ. What is past is 0, what is longer than MaxRetryAfter is that.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	if strings.Trim(v, "0123456789") == "" {
		seconds, err := strconv.ParseInt(v, 10, 64)
		if err != nil || seconds > int64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter, true // more than fits
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	if theirs, err := http.ParseTime(h.Get("Date")); err == nil {
		now = theirs
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter), true
}

// Hide returns what takes secrets out of a text, in the forms in which they are sent and
// come back. An empty secret is none.
func Hide(secrets ...string) func(string) string {
	var forms []string
	for _, s := range secrets {
		if s == "" {
			continue
		}
		quoted, _ := json.Marshal(s) // of a string it never fails
		forms = append(forms, s, strings.Trim(string(quoted), `"`), url.QueryEscape(s), url.PathEscape(s),
			base64.StdEncoding.EncodeToString([]byte(s)))
	}
	// The longest first, so that no shorter one leaves a rest of it.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, f := range forms {
		pairs = append(pairs, f, "…")
	}
	return strings.NewReplacer(pairs...).Replace
}

// Excerpt is the beginning of a text as an error may show it: without secrets, on one line,
// printable, and no longer than 256 characters.
func Excerpt(text []byte, hide func(string) string) string {
	s := hide(strings.ToValidUTF8(string(text), "?"))
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > excerptRunes {
		s = string([]rune(s)[:excerptRunes]) + "…"
	}
	return s
}

// Begin reads as much of a body as an excerpt is made of, and no longer than a second:
// cancel, which ends the request, is called then.
func Begin(body io.Reader, cancel context.CancelFunc) []byte {
	timer := time.AfterFunc(drainTime, cancel)
	defer timer.Stop()
	text, _ := io.ReadAll(io.LimitReader(body, excerptBytes)) // what came is what there is
	return text
}

// Close reads what is left of a body, so that its connection can be used again, and closes
// it. It reads no more than 64 KiB, and no longer than a second: past that the connection
// is given up.
func Close(body io.ReadCloser, cancel context.CancelFunc) {
	timer := time.AfterFunc(drainTime, cancel)
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, body, drainBytes)
	_ = body.Close() // whatever it says, nobody reads it any more
}

// ErrTooLong is matched by the error of an answer that is longer than it may be.
var ErrTooLong = errors.New("the answer is too long")

// Limit returns a body that fails with ErrTooLong where it is longer than limit bytes, as
// they are after decompression.
func Limit(body io.ReadCloser, limit int64) io.ReadCloser {
	return &limited{ReadCloser: body, left: min(limit, math.MaxInt64-1), limit: limit}
}

type limited struct {
	io.ReadCloser
	left, limit int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, fmt.Errorf("%w: over %d bytes", ErrTooLong, l.limit)
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1] // one more says that it is longer
	}
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, fmt.Errorf("%w: over %d bytes", ErrTooLong, l.limit)
	}
	return n, err
}
