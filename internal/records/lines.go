package records

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// line is one physical line. raw has its terminator and is valid until the next
// call of lineReader.next; of a line that is longer than the limit it is nil.
type line struct {
	raw    []byte
	number int
	long   bool
}

// text is the line without its terminator. A carriage return belongs to the
// terminator, also at the end of a file without a last newline.
func (l line) text() []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(l.raw, []byte{'\n'}), []byte{'\r'})
}

// lineReader reads lines of at most max bytes and skips longer ones without
// holding them. Lines that were read too far can be given back.
type lineReader struct {
	in     *bufio.Reader
	max    int
	number int    // of the last line returned
	spill  []byte // a line that is longer than the buffer of in
	back   []byte // lines given back, with their terminators
	long   bool   // a long line, already skipped, follows those in back
}

func newLineReader(r io.Reader, max int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(r, 64<<10), max: max}
}

// next returns the next line, or io.EOF, or the input's error. The beginning of
// a line that an error cut off is not a line.
func (l *lineReader) next() (line, error) {
	if len(l.back) > 0 {
		end := len(l.back)
		if i := bytes.IndexByte(l.back, '\n'); i >= 0 {
			end = i + 1
		}
		raw := l.back[:end]
		l.back = l.back[end:]
		l.number++
		return line{raw: raw, number: l.number}, nil
	}
	if l.long {
		l.long = false
		l.number++
		return line{number: l.number, long: true}, nil
	}
	return l.read()
}

func (l *lineReader) read() (line, error) {
	raw, err := l.in.ReadSlice('\n')
	long := false
	if errors.Is(err, bufio.ErrBufferFull) {
		raw, long, err = l.readSpill(raw)
	}
	if err != nil && (!errors.Is(err, io.EOF) || (len(raw) == 0 && !long)) {
		return line{}, err
	}
	if l.number == 0 {
		raw = bytes.TrimPrefix(raw, []byte("\uFEFF"))
	}
	l.number++
	ln := line{raw: raw, number: l.number, long: long}
	if len(ln.text()) > l.max {
		ln.long = true
	}
	if ln.long {
		ln.raw = nil
	}
	return ln, nil
}

// readSpill reads on to the end of a line whose beginning filled the buffer.
// Beyond the limit it keeps nothing.
func (l *lineReader) readSpill(begin []byte) (raw []byte, long bool, err error) {
	const terminator = 2 // the most that does not count
	l.spill = append(l.spill[:0], begin...)
	for {
		part, err := l.in.ReadSlice('\n')
		if long = long || len(l.spill)+len(part) > l.max+terminator; !long {
			l.spill = append(l.spill, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if long {
				return nil, true, err
			}
			return l.spill, false, err
		}
	}
}

// unread gives the last n lines back. raw holds them with their terminators,
// except a long one at their end, and belongs to the reader from now on.
func (l *lineReader) unread(raw []byte, n int, long bool) {
	if n == 0 {
		return
	}
	l.back = append(raw, l.back...)
	l.long = l.long || long
	l.number -= n
}
