package kv

import (
	"fmt"
	"strings"
)

// maxKey bounds a key: the whole of a protocol line with it must stay under the server's
// 4096 bytes, or the server ends the connection, which is everybody's.
const maxKey = 1024

// Key makes a key of any texts: "orders" and "17/4 b" become "orders.17/4=20b". Bytes that
// can't stand in a key, and '.' and '=' within a part, become '=' and two hexadecimal
// digits; an empty part is "=". Different parts make different keys, and parts that are
// plain stay readable. A key is no longer than 1024 bytes, which Key does not look after:
// what is longer is [ErrKey] when it is used.
func Key(parts ...string) string {
	var b strings.Builder
	for i, part := range parts {
		if i > 0 {
			b.WriteByte('.')
		}
		if part == "" {
			b.WriteByte('=')
		}
		for j := range len(part) {
			if c := part[j]; plain(c) {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "=%02X", c)
			}
		}
	}
	return b.String()
}

// plain are the bytes of a key that mean themselves.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '/'
}

// checkKey holds JetStream's grammar of keys.
func checkKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty", ErrKey)
	case len(key) > maxKey:
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrKey, len(key), maxKey)
	case key[0] == '.' || key[len(key)-1] == '.' || strings.Contains(key, ".."):
		return fmt.Errorf("%w: %q has a '.' at an end, or two in a row", ErrKey, key)
	}
	for i := range len(key) {
		if c := key[i]; !plain(c) && c != '.' && c != '=' {
			return fmt.Errorf("%w: %q has %q at byte %d; letters, digits and -/_=. are allowed: kv.Key makes a key of any text", ErrKey, key, c, i)
		}
	}
	return nil
}
