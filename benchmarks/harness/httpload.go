package harness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// load sends each input as a request, and keeps what is answered. It speaks just enough
// HTTP for that, so that most of the machine is the contender's and the server's.
type load struct {
	host     string
	requests [][]byte
	next     atomic.Int64

	first, last time.Time
	took        []time.Duration // of each request
	answers     []uint32        // checksums of the bodies of the answers
}

func newLoad(to string, n int64) (*load, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, fmt.Errorf("the contender takes requests at %q: %w", to, err)
	}
	l := &load{host: u.Host, requests: make([][]byte, n), took: make([]time.Duration, n), answers: make([]uint32, n)}
	for id := range n {
		l.requests[id] = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s",
			u.Path, u.Host, work.ContentType, work.Key(id), work.Size, work.Encoded(id))
	}
	return l, nil
}

// run sends all. The connections are there before the first request.
func (l *load) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all [HTTPConnections]net.Conn
	for i := range all {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.host)
		if err != nil {
			return fmt.Errorf("connect to the contender: %w", err)
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
		all[i] = conn
	}
	ended := make(chan error)
	l.first = time.Now()
	for _, conn := range all {
		go func() { ended <- l.send(conn) }()
	}
	for range all {
		if err := <-ended; err != nil {
			cancel(err) // which ends the others; the first is the cause
		}
	}
	l.last = time.Now()
	return context.Cause(ctx)
}

func (l *load) send(conn net.Conn) error {
	answers := bufio.NewReader(conn)
	for id := l.next.Add(1) - 1; id < int64(len(l.requests)); id = l.next.Add(1) - 1 {
		begin := time.Now()
		if _, err := conn.Write(l.requests[id]); err != nil {
			return fmt.Errorf("send request %d: %w", id, err)
		}
		status, body, err := readMessage(answers)
		if err != nil {
			return fmt.Errorf("read the answer to request %d: %w", id, err)
		}
		l.took[id] = time.Since(begin)
		if !bytes.HasPrefix(status, []byte("HTTP/1.1 202 ")) {
			return fmt.Errorf("request %d was answered with %q, and not with 202: %.200s", id, status, body)
		}
		l.answers[id] = crc32.ChecksumIEEE(body)
	}
	return nil
}

var lengthHeader = []byte("content-length:")

// readMessage reads a request or an answer, of which the length is said. What it returns
// is good until the next read.
func readMessage(r *bufio.Reader) (first, body []byte, err error) {
	length := -1
	for line := 0; ; line++ {
		text, err := r.ReadSlice('\n')
		if err != nil {
			return nil, nil, err
		}
		text = bytes.TrimRight(text, "\r\n")
		switch {
		case line == 0:
			first = bytes.Clone(text)
		case len(text) > len(lengthHeader) && bytes.EqualFold(text[:len(lengthHeader)], lengthHeader):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(text[len(lengthHeader):]))); err != nil {
				return nil, nil, fmt.Errorf("its length is no number: %w", err)
			}
		case len(text) == 0 && length < 0:
			return nil, nil, errors.New("it does not say how long its body is")
		case len(text) == 0:
			if body, err = r.Peek(length); err == nil {
				_, err = r.Discard(length)
			}
			return first, body, err
		}
	}
}

// checkStored holds the stream against what was sent and what was answered.
func (s *stage) checkStored(ctx context.Context, job *work.Job, l *load) error {
	t := tallied{seen: make([]int8, job.Inputs)}
	var sum, want int64
	err := s.each(ctx, job.OutputStream, func(m jetstream.Msg, _ time.Time) {
		id, ok := inputOf(m.Data())
		t.add(id)
		if !ok || id < 0 || id >= job.Inputs {
			return
		}
		if !bytes.Equal(m.Data(), work.Encoded(id)) {
			t.fault("what is stored of input %d is not its payload", id)
		}
		sum += int64(crc32.ChecksumIEEE(m.Data()))
		if answer := `{"transaction":"` + m.Headers().Get("ce-id") + `"}`; crc32.ChecksumIEEE([]byte(answer)) != l.answers[id] {
			t.fault("the answer to request %d was not %s, under which it is stored", id, answer)
		}
	})
	if err != nil {
		return err
	}
	for id := range job.Inputs {
		want += int64(crc32.ChecksumIEEE(work.Encoded(id)))
	}
	if sum != want {
		t.faults = append(t.faults, fmt.Errorf("the sum of the payloads' checksums: %d, and not %d", sum, want))
	}
	return errors.Join(append(t.faults, t.complete())...)
}

// complete fails unless each input was seen once.
func (t *tallied) complete() error {
	var lost, twice int
	for _, seen := range t.seen {
		switch {
		case seen == 0:
			lost++
		case seen > 1:
			twice++
		}
	}
	if lost+twice > 0 || t.count != int64(len(t.seen)) {
		return fmt.Errorf("%d in all, and not %d: %d lost, %d duplicates", t.count, len(t.seen), lost, twice)
	}
	return nil
}

// inputOf is the number of the input that an encoded one says, -1 for none.
func inputOf(encoded []byte) (int64, bool) {
	rest, ok := bytes.CutPrefix(encoded, []byte(`{"id":`))
	digits, _, more := bytes.Cut(rest, []byte(","))
	id, err := strconv.ParseInt(string(digits), 10, 64)
	if !ok || !more || err != nil {
		return -1, false
	}
	return id, true
}
