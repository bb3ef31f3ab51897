package ergontest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/ergontest"
	"github.com/ergon-framework/ergon/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type order struct {
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
}

type priced struct {
	Item  string `json:"item"`
	Cents int    `json:"cents"`
}

// pricer is a task of which each item is another case.
type pricer struct{ handled []*ergon.Error }

var errDown = errors.New("the catalog is down")

func (p *pricer) Process(ctx context.Context, tx ergon.Transaction[order]) (priced, error) {
	x := ergon.ExecutionOf(ctx)
	switch o := tx.Payload(); o.Item {
	case "hangs":
		<-ctx.Done()
		return priced{}, ctx.Err()
	case "down":
		return priced{}, errDown
	case "busy":
		if x.Attempt < 3 {
			return priced{}, ergon.RetryAfter(time.Minute, errDown)
		}
	case "":
		return priced{}, ergon.Business("there is no item")
	}
	return priced{tx.Payload().Item, 250 * tx.Payload().Quantity}, nil
}

func (p *pricer) HandleException(_ context.Context, _ ergon.Transaction[order], exc *ergon.Error) error {
	p.handled = append(p.handled, exc)
	return errors.New("hook")
}

func of(item string) ergon.Transaction[order] {
	return ergon.New(order{item, 3}, ergon.WithID("tx-"+item))
}

func TestRunTellsOfEach(t *testing.T) {
	t.Parallel()
	began := time.Now()
	got := ergontest.Run(t, engine.Consume("price", &pricer{}), of("mug"), of("down"), of("busy"), of("hangs"))
	require.Less(t, time.Since(began), time.Minute, "no time passed but the bubble's, which is half an hour")
	require.Len(t, got, 4)

	mug := got[0]
	mug.Expect(t, nil)
	require.Equal(t, []priced{{"mug", 750}}, ergontest.Sent[priced](t, mug))
	require.Equal(t, []priced{{"mug", 750}}, ergontest.Sent[priced](t, mug, ergontest.Route))
	require.Equal(t, `{"item":"mug","cents":750}`, string(ergontest.Sent[[]byte](t, mug)[0]))

	down := got[1]
	down.Expect(t, errDown)
	down.Expect(t, ergon.CategorySystem)
	require.Equal(t, engine.Dead, down.Outcome)
	require.Len(t, down.Attempts, 8+3, "of process and of the hook")
	require.Empty(t, ergontest.Sent[priced](t, down))
	require.EqualError(t, down.HandlerErr, "SYSTEM in exception: hook")

	busy := got[2]
	busy.Expect(t, nil)
	require.Equal(t, time.Minute, busy.Attempts[1].Delay)
	require.Equal(t, 3, busy.Attempts[2].Number)

	got[3].Expect(t, ergon.CategoryTimeout)
	require.Equal(t, 30*time.Second, got[3].Attempts[0].Took)
}

func TestBytesAreWhatStandsOnTheWire(t *testing.T) {
	t.Parallel()
	p := &pricer{}
	got := ergontest.Run(t, engine.Consume("price", p), ergon.New([]byte(`{"item":"mug","quantity":1}`)), ergon.New([]byte(`{`)))
	require.Equal(t, []priced{{"mug", 250}}, ergontest.Sent[priced](t, got[0]))
	got[1].Expect(t, ergon.CategoryBusiness)
	require.Equal(t, ergon.PhaseDecode, got[1].Err.Phase)
	require.ErrorContains(t, got[1].Err, "unexpected end of JSON input")
	require.NotEmpty(t, p.handled)
}

// splitter sends to two routes.
type splitter struct{}

func (splitter) Produce(_ context.Context, tx ergon.Transaction[order]) (ergon.Outputs, error) {
	return ergon.Outputs{ergon.To("big", tx.Payload()), ergon.To("raw", []byte("x")), ergon.To("big", priced{"n", 1})}, nil
}

func TestRoutesAndSettings(t *testing.T) {
	t.Parallel()
	task := engine.Produce("split", splitter{}, engine.Routes("big", "raw"))
	got := ergontest.Run(t, task, of("mug"), of("mug"))
	got[0].Expect(t, nil)
	require.Len(t, got[0].Outputs, 3)
	require.Equal(t, []order{{"mug", 3}, {"n", 0}}, ergontest.Sent[order](t, got[0], "big"))
	require.Equal(t, [][]byte{[]byte("x")}, ergontest.Sent[[]byte](t, got[0], "raw"))
	got[1].Expect(t, nil)
	require.Empty(t, got[1].Outputs, "the bus has them")
	require.Len(t, got[1].Attempts, 1)

	var seen ergontest.Recorder
	p := policy.DefaultProducer()
	p.Produce.Retry.MaxAttempts = 2
	got = ergontest.RunWith(t, ergontest.Settings{Producer: &p, Observe: seen.Observe, OnSend: func(out ergon.Raw) error {
		if out.Type() == "raw" {
			return memory.Answer{Err: errDown}
		}
		return nil
	}}, task, of("mug"))
	got[0].Expect(t, errDown)
	require.Len(t, ergontest.Sent[order](t, got[0]), 2, "what was stored stays so")
	require.Len(t, ergontest.Of[engine.RetryScheduled](&seen), 1)

	c := policy.DefaultConsumer()
	c.Process.Retry.MaxAttempts, c.Process.Retry.Backoff, c.Exception.Retry.MaxAttempts = 2, policy.Duration(time.Millisecond), 1
	down := ergontest.RunWith(t, ergontest.Settings{Policy: &c, RealTime: true}, engine.Consume("price", &pricer{}), of("down"))[0]
	require.Len(t, down.Attempts, 2+1)

	c.Loop.Limit = 1
	got = ergontest.RunWith(t, ergontest.Settings{Policy: &c}, engine.Consume("price", &pricer{}), of("mug"), of("busy"))
	got[0].Expect(t, nil)
	require.Equal(t, engine.Released, got[1].Outcome)
	require.Equal(t, "tx-busy", got[1].ID)
}

func TestRunUsesTheBubbleItIsIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ergontest.Run(t, engine.Consume("price", &pricer{}), of("busy"))[0].Expect(t, nil)
		require.Equal(t, 2*time.Minute, time.Since(began))
	})
}

func TestStringTellsAll(t *testing.T) {
	t.Parallel()
	got := ergontest.Run(t, engine.Consume("price", &pricer{}), of(""), of("busy"))
	require.Equal(t, `transaction tx-: dead: BUSINESS in process: there is no item
  process, attempt 1 of 8: BUSINESS: there is no item
  exception, attempt 1 of 3: hook (the next one after 100ms)
  exception, attempt 2 of 3: hook (the next one after 200ms)
  exception, attempt 3 of 3: hook
  the exception hook failed: SYSTEM in exception: hook`, got[0].String())
	require.Equal(t, `transaction tx-busy: succeeded
  process, attempt 1 of 8: SYSTEM: the catalog is down (retry after 1m0s) (the next one after 1m0s)
  process, attempt 2 of 8: SYSTEM: the catalog is down (retry after 1m0s) (the next one after 1m0s)
  process, attempt 3 of 8: done
  produce, attempt 1 of 8: done
  sent to out: {"item":"busy","cents":750}`, got[1].String())
}

// fatal is a test that ends with a message.
type fatal struct {
	testing.TB
	told string
}

func (f *fatal) Helper() {}
func (f *fatal) Fatalf(format string, a ...any) {
	f.told = fmt.Sprintf(format, a...)
	panic(f)
}

func TestWhatIsNotSoEndsTheTest(t *testing.T) {
	t.Parallel()
	got := ergontest.Run(t, engine.Consume("price", &pricer{}), of("mug"), of(""))
	text := ergontest.Run(t, engine.Consume("text", texter{}, engine.Codecs(text{})), ergon.New("a"))[0]
	for want, do := range map[string]func(testing.TB){
		"it should be a dead letter: BUSINESS\ntransaction tx-mug: succeeded":         func(t testing.TB) { got[0].Expect(t, ergon.CategoryBusiness) },
		"it should have succeeded\ntransaction tx-: dead":                             func(t testing.TB) { got[1].Expect(t, nil) },
		"it should be a dead letter for another reason: TIMEOUT\ntransaction tx-: de": func(t testing.TB) { got[1].Expect(t, ergon.CategoryTimeout) },
		`route "priced": the task has ["out"]`:                                        func(t testing.TB) { ergontest.Sent[priced](t, got[0], "priced") },
		`route "out": an output is no int: json: the value is a object`:               func(t testing.TB) { ergontest.Sent[int](t, got[0]) },
		`route "out": an output is text/plain, which is not decoded here`:             func(t testing.TB) { ergontest.Sent[string](t, text) },
	} {
		f := &fatal{}
		require.PanicsWithValue(t, f, func() { do(f) })
		require.Contains(t, f.told, want)
	}
}

type texter struct{}

func (texter) Process(_ context.Context, tx ergon.Transaction[string]) (string, error) {
	return tx.Payload(), nil
}

// text is a codec that is not JSON.
type text struct{ ergon.Codec }

func (text) ContentType() string           { return "text/plain" }
func (text) Accepts(mediaType string) bool { return mediaType == "text/plain" }
func (text) Marshal(v any) ([]byte, error) { return []byte(v.(string)), nil }
func (text) Unmarshal(data []byte, v any) error {
	*v.(*string) = string(data)
	return nil
}
