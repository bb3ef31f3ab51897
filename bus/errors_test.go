package bus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

func TestPermanent(t *testing.T) {
	api := func(code int, errCode uint16) error {
		return fmt.Errorf("publish: %w", &bus.APIError{Code: code, ErrCode: errCode, Description: "d", Subject: "s"})
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("whatever"), false},
		{bus.ErrUnknown, false},
		{bus.ErrDisconnected, false},
		{bus.ErrNoStream, false},
		{bus.ErrClosed, false},
		{nats.ErrConnectionClosed, false},
		{context.Canceled, false},
		{context.DeadlineExceeded, false},
		{fmt.Errorf("%w: %w", context.DeadlineExceeded, bus.ErrUnknown), false},
		{bus.ErrTooLarge, true},
		{nats.ErrMaxPayload, true},
		{bus.ErrDenied, true},
		{nats.ErrBadSubject, true},
		{nats.ErrBadHeaderMsg, true},
		{nats.ErrInvalidMsg, true},
		{nats.ErrHeadersNotSupported, true},
		{api(400, 10054), true},  // message size exceeds maximum allowed
		{api(400, 10060), true},  // expected stream does not match
		{api(400, 10071), true},  // wrong last sequence
		{api(400, 10097), true},  // headers above 64k
		{api(400, 10109), true},  // sealed stream
		{api(400, 10188), true},  // schedules disabled
		{api(500, 10111), true},  // rollup not permitted
		{api(412, 10185), true},  // API level
		{api(400, 10002), false}, // account resources
		{api(500, 10047), false}, // storage resources
		{api(503, 10077), false}, // stream full
		{api(503, 10008), false}, // temporarily unavailable
		{api(409, 10158), false}, // the first copy is in process
		{api(429, 10167), false}, // too many requests
		{api(503, 10163), false}, // not ready
		{api(599, 0), false},
	} {
		require.Equal(t, c.want, bus.Permanent(c.err), "%v", c.err)
	}
	require.Equal(t, `publish: stream refused the message for "s": d (10054)`, api(400, 10054).Error())
}

func TestSentinelsReadDifferently(t *testing.T) {
	texts := make(map[string]bool)
	all := []error{
		bus.ErrDrained, bus.ErrConsumerGone, bus.ErrStreamGone, bus.ErrConcurrentFetch, bus.ErrPullRefused, bus.ErrClosed,
		bus.ErrUnknown, bus.ErrDisconnected, bus.ErrNoStream, bus.ErrTooLarge, bus.ErrDenied, bus.ErrNakDelay, bus.ErrReply, bus.ErrTopology,
		bus.ErrNoDeadLetter, bus.ErrDeadPayload, bus.ErrNotRequeuable, bus.ErrNotRemoved,
	}
	for _, err := range all {
		texts[err.Error()] = true
	}
	require.Len(t, texts, len(all))
}
