package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon/bus"
)

// ends are what the streams hold of n transactions.
type ends struct {
	outputs, letters int
	lost             int // have no end
	doubled          int // ends beyond the first of a transaction
	astray           int // ends of the wrong kind, or of no transaction
}

func (e ends) fault() error {
	if e.lost+e.doubled+e.astray == 0 {
		return nil
	}
	return fmt.Errorf("not every transaction had its one end: %d lost, %d duplicates, %d astray", e.lost, e.doubled, e.astray)
}

// tally counts ends by the transaction's number.
type tally struct {
	ends
	of []uint16
}

func (t *tally) add(id string, letter bool) {
	if letter {
		t.letters++
	} else {
		t.outputs++
	}
	n, err := strconv.Atoi(id)
	if err != nil || n < 0 || n >= len(t.of) {
		t.astray++
		return
	}
	if letter != dies(n) {
		t.astray++
	}
	t.of[n]++
}

func (t *tally) sum() ends {
	for _, count := range t.of {
		switch count {
		case 0:
			t.lost++
		case 1:
		default:
			t.doubled += int(count) - 1
		}
	}
	return t.ends
}

func countEnds(ctx context.Context, b *bus.Bus, n int) (ends, error) {
	t := tally{of: make([]uint16, n)}
	for _, stored := range []struct {
		stream, header string
		letter         bool
	}{
		{"OUT", "ce-causationid", false},
		{bus.DefaultDeadStream, "Ergon-Orig-Nats-Msg-Id", true},
	} {
		err := b.Scan(ctx, stored.stream, nil, true, func(m *nats.Msg, _ bus.Meta) error {
			id := ""
			if values := m.Header[stored.header]; len(values) > 0 {
				id = values[0]
			}
			t.add(id, stored.letter)
			return nil
		})
		if err != nil {
			return ends{}, err
		}
	}
	return t.sum(), nil
}
