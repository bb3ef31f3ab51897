package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// R046, DESIGN §1: each attempt and each hook gets a payload of its own, so what
// one does to a map the next does not see.
func TestEachAttemptDecodesAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []int
		touch := func(tx ergon.Transaction[map[string]int]) {
			seen = append(seen, tx.Payload()["n"])
			tx.Payload()["n"] += 100
		}
		r := newRig(engine.Consume("score", &hooked[map[string]int, ergon.None]{
			process: func(_ context.Context, tx ergon.Transaction[map[string]int]) (ergon.None, error) {
				touch(tx)
				return ergon.None{}, errors.New("again")
			},
			exception: func(_ context.Context, tx ergon.Transaction[map[string]int], _ *ergon.Error) error {
				touch(tx)
				return errors.New("again")
			},
		}))
		r.make()
		r.queue.Push(raw("a", `{"n":1}`))
		r.run(t)
		require.Equal(t, []int{1, 1, 1, 1, 1, 1, 1}, seen, "4 attempts of process, 3 of the hook")
		require.Equal(t, `{"n":1}`, string(r.onlyDead(t).Transaction.Payload()))
	})
}

// The same for bytes: a task gets a copy, and so do its hooks.
func TestEachAttemptGetsItsOwnBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		n := 0
		r := newRig(engine.Consume("score", &hooked[[]byte, ergon.None]{
			process: func(_ context.Context, tx ergon.Transaction[[]byte]) (ergon.None, error) {
				seen = append(seen, string(tx.Payload()))
				clear(tx.Payload())
				if n++; n < 3 {
					return ergon.None{}, errors.New("again")
				}
				return ergon.None{}, nil
			},
			success: func(_ context.Context, tx ergon.Transaction[[]byte], _ ergon.None) error {
				seen = append(seen, string(tx.Payload()))
				return nil
			},
		}))
		r.make()
		tx := ergon.New([]byte("bytes"), ergon.WithContentType("image/png"))
		r.queue.Push(tx)
		r.run(t)
		require.Equal(t, []string{"bytes", "bytes", "bytes", "bytes"}, seen)
		require.Equal(t, "bytes", string(tx.Payload()), "R038: the engine changes no payload")
	})
}

// A task may keep the slice that it returned, and change it while it is sent.
func TestOutputBytesAreCopied(t *testing.T) {
	var kept []byte
	r := newRig(engine.Consume("score", &hooked[string, []byte]{
		process: func(context.Context, ergon.Transaction[string]) ([]byte, error) {
			kept = []byte("first")
			return kept, nil
		},
		success: func(context.Context, ergon.Transaction[string], []byte) error {
			copy(kept, "later")
			return nil
		},
	}))
	r.push("a")
	r.run(t)
	require.Equal(t, "first", string(r.sink.All()[0].Payload()))
	require.Equal(t, "application/octet-stream", r.sink.All()[0].ContentType())
}

// DESIGN §2, decision n: bytes that don't decode are BUSINESS in phase decode, at
// once; the exception hook gets the zero payload and the error.
func TestUndecodableIsBusinessInDecode(t *testing.T) {
	for name, c := range map[string]struct {
		tx   ergon.Raw
		want string
	}{
		"bad JSON":         {raw("a", `{"sku":`), "decode 7 bytes of JSON into engine_test.order"},
		"wrong type":       {raw("a", `[1]`), "decode 3 bytes of JSON"},
		"unknown encoding": {ergon.New([]byte("x"), ergon.WithID("a"), ergon.WithContentType("text/xml; charset=utf-8")), `no codec reads content type "text/xml; charset=utf-8": publish JSON as application/json, or register the task with engine.Codecs(…)`},
	} {
		t.Run(name, func(t *testing.T) {
			var payloads []order
			var errs []*ergon.Error
			r := newRig(engine.Consume("score", &hooked[order, scored]{
				process: func(context.Context, ergon.Transaction[order]) (scored, error) {
					t.Error("process was called")
					return scored{}, nil
				},
				exception: func(_ context.Context, tx ergon.Transaction[order], exc *ergon.Error) error {
					require.Equal(t, "a", tx.ID())
					payloads, errs = append(payloads, tx.Payload()), append(errs, exc)
					return nil
				},
			}))
			r.make()
			r.queue.Push(c.tx)
			report := r.run(t)
			require.EqualValues(t, 1, report.Dead)
			require.Zero(t, report.Retries, "R062: BUSINESS is not tried again")
			require.Equal(t, []order{{}}, payloads)
			dead := r.onlyDead(t)
			require.Equal(t, c.tx.Payload(), dead.Transaction.Payload(), "the bytes are untouched")
			require.Equal(t, dead.Settlement.Err, errs[0])
			require.Equal(t, ergon.PhaseDecode, errs[0].Phase)
			require.Equal(t, ergon.CategoryBusiness, errs[0].Category)
			require.Equal(t, 1, errs[0].Attempt)
			require.ErrorContains(t, errs[0], c.want)
		})
	}
}

// panicky panics at what it decodes and encodes.
type panicky struct{ ergon.Codec }

func (panicky) Unmarshal([]byte, any) error { panic("codec") }

func TestPanicOfACodecIsContained(t *testing.T) {
	r := newRig(engine.Consume("score", plain[order, ergon.None](func(context.Context, ergon.Transaction[order]) (ergon.None, error) {
		return ergon.None{}, nil
	}), engine.Codecs(panicky{ergon.JSON})))
	r.push("a")
	r.run(t)
	err := r.onlyDead(t).Settlement.Err
	require.Equal(t, ergon.CategoryBusiness, err.Category, "bytes that make it panic are bytes that it can't decode")
	require.Equal(t, ergon.PhaseDecode, err.Phase)
	var p *ergon.PanicError
	require.ErrorAs(t, err, &p)
	require.NotEmpty(t, p.Stack)
}

type unencodable struct{ C chan int }

type panickyJSON struct{}

func (panickyJSON) MarshalJSON() ([]byte, error) { panic("marshal") }

// What can't be encoded now can't be later: it is final, in phase produce.
func TestUnencodableOutputIsFinal(t *testing.T) {
	for name, out := range map[string]any{"channel": unencodable{}, "panic": panickyJSON{}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(consume(func(context.Context, ergon.Transaction[string]) (any, error) { return out, nil }))
			r.push("a")
			report := r.run(t)
			require.Zero(t, report.Retries)
			err := r.onlyDead(t).Settlement.Err
			require.Equal(t, ergon.CategoryBusiness, err.Category)
			require.Equal(t, ergon.PhaseProduce, err.Phase)
			require.Empty(t, r.sink.All())
		})
	}
}

// The first codec that accepts decodes, the first of all encodes.
func TestCodecsAreChosenByContentType(t *testing.T) {
	r := newRig(engine.Consume("score", plain[order, *scored](func(_ context.Context, tx ergon.Transaction[order]) (*scored, error) {
		if tx.Payload().SKU == "none" {
			return nil, nil // a nil pointer sends nothing
		}
		return &scored{SKU: tx.Payload().SKU, Score: 7}, nil
	})))
	r.make()
	r.queue.Push(
		ergon.New([]byte(`{"sku":"a"}`), ergon.WithContentType("application/vnd.shop+json; v=1")),
		ergon.New([]byte(`{"sku":"none"}`)),
	)
	require.EqualValues(t, 2, r.run(t).Succeeded)
	require.Len(t, r.sink.All(), 1)
	require.JSONEq(t, `{"sku":"a","score":7}`, string(r.sink.All()[0].Payload()))
	require.Equal(t, "application/json", r.sink.All()[0].ContentType())
}
