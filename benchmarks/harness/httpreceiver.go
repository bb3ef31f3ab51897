package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// received is what the receiver says when it ends.
type received struct {
	Requests int64     `json:"requests"`
	Faults   string    `json:"faults"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"` // when as many had come as were expected
}

func (r received) check(n int64) error {
	if r.Faults != "" {
		return errors.New(r.Faults)
	}
	if r.Requests != n {
		return fmt.Errorf("requests: %d, and not %d", r.Requests, n)
	}
	return nil
}

// receiver answers each request with 200, and notes which input it was.
type receiver struct {
	n  int64
	mu sync.Mutex
	tallied
	sums        []uint32 // of the bodies
	first, last time.Time
}

// receive takes requests until ctx ends and their senders are gone.
func receive(ctx context.Context, count string) error {
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is no number of requests: %w", count, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	if err := json.NewEncoder(os.Stdout).Encode(hello{URL: "http://" + l.Addr().String() + work.Path}); err != nil {
		return err
	}
	r := &receiver{n: n, tallied: tallied{seen: make([]int8, n)}, sums: make([]uint32, n)}
	var serving sync.WaitGroup
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() == nil {
				return fmt.Errorf("accept a connection: %w", err)
			}
			break
		}
		serving.Go(func() { r.serve(conn) })
	}
	serving.Wait()
	return json.NewEncoder(os.Stdout).Encode(r.report())
}

var took = []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

func (r *receiver) serve(conn net.Conn) {
	defer conn.Close()
	requests := bufio.NewReader(conn)
	for {
		first, body, err := readMessage(requests)
		if err != nil {
			return // its sender is gone, or learns by the end of the connection that it talks nonsense
		}
		r.note(first, body)
		if _, err := conn.Write(took); err != nil {
			return
		}
	}
}

var requestLine = []byte("POST " + work.Path + " HTTP/1.1")

func (r *receiver) note(first, body []byte) {
	id, _ := inputOf(body)
	sum := crc32.ChecksumIEEE(body)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(id)
	if !bytes.Equal(first, requestLine) {
		r.fault("a request begins with %q, and not with %q", first, requestLine)
	}
	if id >= 0 && id < r.n {
		r.sums[id] = sum
	}
	if r.count == 1 {
		r.first = now
	}
	if r.count == r.n {
		r.last = now
	}
}

// report compares each body with what it must be: now, for it would have cost time
// before.
func (r *receiver) report() received {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, seen := range r.seen {
		if seen > 0 && r.sums[id] != crc32.ChecksumIEEE(work.Encoded(int64(id))) {
			r.fault("the body of input %d is not its payload", id)
		}
	}
	got := received{Requests: r.count, First: r.first, Last: r.last}
	if err := errors.Join(append(r.faults, r.complete())...); err != nil {
		got.Faults = err.Error()
	}
	return got
}
