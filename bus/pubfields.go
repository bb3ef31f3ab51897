package bus

import "github.com/nats-io/nats.go"

// A Field is one header of a message.
type Field struct{ Name, Value string }

// wire is a message as nats.go wants it, whose memory is used again: nats.go is
// done with it when PublishMsg returns. A map of ten headers is a kilobyte and a
// third of what publishing costs, and from one message to the next only the values
// change: then nothing but those is written.
type wire struct {
	msg    nats.Msg
	header nats.Header
	names  []string
	values []string // all that the header's slices point into
}

// write hands a message to nats.go.
func (p *Publisher) write(m nats.Msg, fields []Field) error {
	w, ok := p.wires.Get().(*wire)
	if !ok {
		w = &wire{}
	}
	w.msg = m
	if len(fields) > 0 {
		w.msg.Header = w.set(fields)
	}
	err := p.confirmer.bus.publish.nc.PublishMsg(&w.msg)
	w.msg = nats.Msg{}
	p.wires.Put(w)
	return err
}

// set returns a header with these fields. It is valid until the next set.
func (w *wire) set(fields []Field) nats.Header {
	if !w.same(fields) {
		w.rebuild(fields)
	}
	for i := range fields {
		w.values[i] = fields[i].Value
	}
	return w.header
}

func (w *wire) same(fields []Field) bool {
	if len(fields) != len(w.names) {
		return false
	}
	for i := range fields {
		if fields[i].Name != w.names[i] {
			return false
		}
	}
	return true
}

func (w *wire) rebuild(fields []Field) {
	n := len(fields)
	w.header = make(nats.Header, n)
	w.names, w.values = make([]string, n), make([]string, n)
	first := 0 // of the fields with the same name
	for i := range fields {
		w.names[i] = fields[i].Name
		if w.names[i] != w.names[first] {
			first = i
		}
		w.header[w.names[i]] = w.values[first : i+1 : i+1]
	}
}

// fieldsSize is headerSize of fields.
func fieldsSize(fields []Field) int {
	if len(fields) == 0 {
		return 0
	}
	n := headerFrame
	for _, f := range fields {
		n += len(f.Name) + len(f.Value) + len(": \r\n")
	}
	return n
}

func firstField(fields []Field, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}
