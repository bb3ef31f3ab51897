package charge_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/ergontest"

	"shop/charge"
)

type bank struct {
	errs []error // one a call, then nil
	ids  []string
	told []string
}

func (b *bank) Tell(_ context.Context, _, what string) error {
	b.told = append(b.told, what)
	return nil
}

func (b *bank) Charge(_ context.Context, id, _ string, _ int64) (err error) {
	b.ids = append(b.ids, id)
	if len(b.errs) > 0 {
		err, b.errs = b.errs[0], b.errs[1:]
	}
	return err
}

func TestCharger(t *testing.T) {
	b := &bank{errs: []error{charge.ErrBusy, errors.New("down"), context.DeadlineExceeded}}
	task := app.Consume("charge", &charge.Charger{Bank: b})
	got := ergontest.Run(t, task, ergon.New(charge.Order{Cents: 5}))[0]
	got.Expect(t, nil)
	if len(got.Attempts) < 4 || got.Attempts[0].Delay != time.Minute || len(slices.Compact(b.ids)) != 1 {
		t.Error(got, b.ids)
	}
	for i, want := range []ergon.Category{ergon.CategorySystem, ergon.CategorySystem, ergon.CategoryTimeout} {
		if c := ergon.CategoryOf(got.Attempts[i].Err); c != want {
			t.Errorf("%d is %s", i, c)
		}
	}
	if sent := ergontest.Sent[charge.Receipt](t, got); len(sent) != 1 || sent[0].ID != b.ids[0] {
		t.Error(got)
	}
	none := ergontest.Run(t, task, ergon.New(charge.Order{}))[0]
	none.Expect(t, nil)
	bad := ergontest.Run(t, task, ergon.New(charge.Order{Cents: -1}))[0]
	bad.Expect(t, ergon.CategoryBusiness)
	undecodable := ergontest.Run(t, task, ergon.New([]byte("{")))[0]
	undecodable.Expect(t, ergon.CategoryBusiness)
	if len(none.Outputs) != 0 || !slices.Equal(b.told, []string{"your order failed: -1 cents are negative"}) {
		t.Error(none, b.told)
	}
	split := ergontest.Run(t, charge.Split(), ergon.New(charge.Order{Gifts: []string{"a", "b"}}))[0]
	if gifts := ergontest.Sent[string](t, split, "gifts"); !slices.Equal(gifts, []string{"a", "b"}) {
		t.Error(split)
	}
}
