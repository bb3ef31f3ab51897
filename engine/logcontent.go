package engine

import (
	"encoding/base64"
	"log/slog"
	"unicode/utf8"

	"github.com/ergon-framework/ergon"
)

// LogOption changes what LogEvents writes.
type LogOption func(*eventLog)

// LogContents makes the lines that say that a transaction started and that it failed
// for good show what it holds: its payload, of which at most 1 KiB is shown, as text
// or, where it is none, in base64; and its metadata, where names for which hide
// reports true show "[redacted]". What a payload holds is not looked at: whoever may
// read the log may read it.
func LogContents(hide func(name string) bool) LogOption {
	return func(l *eventLog) { l.contents, l.hide = true, hide }
}

// What of a transaction's contents fits one line.
const (
	maxShown      = 1024 // bytes of a payload, or of a value
	maxShownNames = 64   // names of metadata
)

const redacted = "[redacted]"

// shown returns what a line shows of a transaction's contents.
func (l *eventLog) shown(tx ergon.Raw) []slog.Attr {
	if !l.contents {
		return nil
	}
	payload := tx.Payload()
	attrs := []slog.Attr{show(payload)}
	if len(payload) > maxShown {
		attrs = append(attrs, slog.Int("payload_size", len(payload)))
	}
	var names []slog.Attr
	for name, value := range tx.Metadata().All() {
		if len(names) == maxShownNames {
			break
		}
		if l.hide != nil && l.hide(name) {
			value = redacted
		}
		names = append(names, slog.String(name, clip(value)))
	}
	if len(names) > 0 {
		attrs = append(attrs, slog.GroupAttrs("metadata", names...))
	}
	return attrs
}

// show is a payload as text if it is text, else in base64 of no more than as many
// characters.
func show(payload []byte) slog.Attr {
	if utf8.Valid(payload) {
		return slog.String("payload", clip(string(payload[:min(len(payload), maxShown+utf8.UTFMax)])))
	}
	return slog.String("payload_base64", base64.StdEncoding.EncodeToString(payload[:min(len(payload), maxShown/4*3)]))
}

// clip cuts s between characters.
func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	end := maxShown
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
