package httpclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/internal/httpclient"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		value, date string
		want        time.Duration
		ok          bool
	}{
		{"", "", 0, false},
		{"0", "", 0, true},
		{" 7 ", "", 7 * time.Second, true},
		{"3600", "", time.Hour, true},
		{"3601", "", time.Hour, true},
		{"9223372036854775807", "", time.Hour, true},
		{"99999999999999999999999", "", time.Hour, true},
		{"-7", "", 0, false},
		{"1.5", "", 0, false},
		{"soon", "", 0, false},
		{"Sun, 01 Nov 2026 12:00:09 GMT", "", 9 * time.Second, true},
		{"Sunday, 01-Nov-26 12:00:09 GMT", "", 9 * time.Second, true},
		{"Sun, 01 Nov 2026 11:00:00 GMT", "", 0, true},
		{"Fri, 01 Jan 2100 00:00:00 GMT", "", time.Hour, true},
		{"Sun, 01 Nov 2026 14:00:09 GMT", "Sun, 01 Nov 2026 14:00:00 GMT", 9 * time.Second, true},
		{"Sun, 01 Nov 2026 12:00:09 GMT", "yesterday", 9 * time.Second, true},
	} {
		h := http.Header{}
		h.Set("Retry-After", c.value)
		h.Set("Date", c.date)
		d, ok := httpclient.RetryAfter(h, now)
		require.Equal(t, c.ok, ok, c)
		require.Equal(t, c.want, d, c)
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("Sun, 01 Nov 2026 12:00:09 GMT", "Sun, 01 Nov 2026 14:00:00 GMT")
	f.Fuzz(func(t *testing.T, value, date string) {
		h := http.Header{"Retry-After": {value}, "Date": {date}}
		d, ok := httpclient.RetryAfter(h, time.Now())
		if d < 0 || d > httpclient.MaxRetryAfter || !ok && d != 0 {
			t.Fatalf("%q at %q: %v %v", value, date, d, ok)
		}
	})
}

func TestExcerpt(t *testing.T) {
	hide := httpclient.Hide("", "abc", "abcdef")
	require.Equal(t, "a b ? c", httpclient.Excerpt([]byte(" a\r\n\tb \xff \x1b\u202ec\n"), hide))
	require.Equal(t, "1 … 2 … 3", httpclient.Excerpt([]byte("1 abcdef 2 abc 3"), hide))
	require.Equal(t, strings.Repeat("ä", 256)+"…", httpclient.Excerpt([]byte(strings.Repeat("ä", 300)), hide))
	require.Empty(t, httpclient.Excerpt(nil, hide))
}

func TestLimit(t *testing.T) {
	for _, limit := range []int64{1, 9, 10, 11, math.MaxInt64} {
		for _, read := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			text, err := io.ReadAll(httpclient.Limit(io.NopCloser(read(strings.NewReader("0123456789"))), limit))
			require.Equal(t, "0123456789"[:min(limit, 10)], string(text))
			if limit >= 10 {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, httpclient.ErrTooLong)
		}
	}
	broken := errors.New("broken")
	_, err := io.ReadAll(httpclient.Limit(io.NopCloser(iotest.ErrReader(broken)), 1))
	require.ErrorIs(t, err, broken)
}

// body stalls when it is through, until it is cut.
type body struct {
	io.Reader
	cut    chan struct{}
	closed bool
}

func (b *body) Read(p []byte) (int, error) {
	if n, err := b.Reader.Read(p); err != io.EOF {
		return n, err
	}
	<-b.cut
	return 0, context.Canceled
}

func (b *body) Close() error { b.closed = true; return nil }

// What is read for a connection's sake is bounded by its size and by a second.
func TestBodiesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, stalls := time.Now(), &body{Reader: strings.NewReader("busy"), cut: make(chan struct{})}
		cancel := func() { close(stalls.cut) }
		require.Equal(t, "busy", string(httpclient.Begin(stalls, cancel)))
		require.Equal(t, time.Second, time.Since(began))

		began, stalls = time.Now(), &body{Reader: strings.NewReader("busy"), cut: make(chan struct{})}
		httpclient.Close(stalls, func() { close(stalls.cut) })
		require.Equal(t, time.Second, time.Since(began))
		require.True(t, stalls.closed)

		endless := &body{Reader: bytes.NewReader(make([]byte, 1<<20))}
		httpclient.Close(endless, func() { t.Error("it took no time") })
		require.True(t, endless.closed)
		left, _ := io.Copy(io.Discard, endless.Reader)
		require.EqualValues(t, 1<<20-64<<10, left)
		require.Len(t, httpclient.Begin(&body{Reader: bytes.NewReader(make([]byte, 1<<20))}, func() { t.Error("nor did it") }), 8<<10)
	})
}
