package connectortest

import (
	"context"
	"errors"
	"slices"

	"github.com/ergon-framework/ergon"
)

// fetch is a Fetch that has to bring something.
func (s *scene) fetch(src ergon.Source, max int) []ergon.Delivery {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
	defer cancel()
	ds, err := s.tryFetch(ctx, src, max)
	if err != nil {
		s.Fatalf("Fetch(%d), where messages are to come: %v", max, err)
	}
	return ds
}

// tryFetch is one Fetch, held to what the contract says of each.
func (s *scene) tryFetch(ctx context.Context, src ergon.Source, max int) (ds []ergon.Delivery, err error) {
	s.Helper()
	var got []ergon.Delivery
	err = s.bounded(ctx, func(ctx context.Context) (err error) {
		got, err = src.Fetch(ctx, max)
		return err
	})
	switch {
	case errors.Is(err, errStuck): // and may still write got
		s.fault("Fetch(%d) does not end with its context", max)
		return nil, err
	case err != nil && len(got) > 0:
		s.fault("Fetch(%d) returns %d deliveries together with the error %v", max, len(got), err)
	case err == nil && len(got) == 0:
		s.fault("Fetch(%d) returns neither a delivery nor an error", max)
		return nil, errors.New("nothing")
	case len(got) > max:
		s.fault("Fetch(%d) returns %d deliveries", max, len(got))
	}
	for _, d := range got {
		s.inspect(d)
	}
	return got, err
}

// inspect holds a delivery to what the contract says of each.
func (s *scene) inspect(d ergon.Delivery) {
	s.Helper()
	tx, info := d.Transaction(), d.Info()
	if !tx.Valid() {
		s.fault("a delivery of %q has no ID", info.Stored)
	}
	if diff := difference(tx, d.Transaction()); diff != "" {
		s.fault("Transaction of %q is not the same at each call: %s", tx.ID(), diff)
	}
	if again := d.Info(); again != info {
		s.fault("Info of %q is not the same at each call: %+v and %+v", tx.ID(), info, again)
	}
	_, records := d.(ergon.StartRecorder)
	switch {
	case records != s.h.has(RecordsStarts):
		s.fault("that deliveries are ergon.StartRecorder is %v; declare RecordsStarts where, and only where, it is true", records)
	case info.CanDefer != s.h.has(Defers):
		s.fault("DeliveryInfo.CanDefer is %v; declare Defers where, and only where, it is true", info.CanDefer)
	case info.Lease > 0 != s.h.has(Leases):
		s.fault("DeliveryInfo.Lease is %v; declare Leases where, and only where, it is above 0", info.Lease)
	case info.Deliveries > 0 != s.h.has(CountsDeliveries):
		s.fault("DeliveryInfo.Deliveries is %d; declare CountsDeliveries where, and only where, it is above 0", info.Deliveries)
	}
}

// collect fetches until n different transactions have come, and returns their
// deliveries in that order. None may come twice. It asks for no more than are
// missing, so that the source has no reason to hold anything afterwards.
func (s *scene) collect(src ergon.Source, n, max int) []ergon.Delivery {
	s.Helper()
	var all []ergon.Delivery
	seen := make(map[string]bool, n)
	for len(all) < n {
		for _, d := range s.fetch(src, min(max, n-len(all))) {
			if id := d.Transaction().ID(); seen[id] {
				s.Fatalf("%q was delivered twice", id)
			} else {
				seen[id] = true
			}
			all = append(all, d)
		}
	}
	return all
}

// nothingLeft shows that nothing more is delivered. It asks for one message only:
// what a source has asked for, it may be given while it is not fetched from.
func (s *scene) nothingLeft(src ergon.Source) {
	s.Helper()
	wait := s.h.Patience
	if !s.h.has(Drains) {
		wait = quiet
	}
	ctx, cancel := context.WithTimeout(s.ctx, wait)
	defer cancel()
	ds, err := s.tryFetch(ctx, src, 1)
	switch {
	case len(ds) > 0:
		s.Fatalf("%q is delivered, where nothing is left", ids(ds))
	case s.h.has(Drains) && !errors.Is(err, ergon.ErrDrained):
		s.Fatalf("Fetch, where nothing is left: %v, not ErrDrained", err)
	case !s.h.has(Drains) && !errors.Is(err, context.DeadlineExceeded):
		s.Fatalf("Fetch, where nothing is left: %v, not its context's error", err)
	}
}

func ids(ds []ergon.Delivery) []string {
	var all []string
	for _, d := range ds {
		all = append(all, d.Transaction().ID())
	}
	return all
}

// unfetched is what is still missing of txs.
func unfetched(txs []ergon.Raw, ds []ergon.Delivery) []string {
	got := ids(ds)
	var missing []string
	for _, tx := range txs {
		if !slices.Contains(got, tx.ID()) {
			missing = append(missing, tx.ID())
		}
	}
	return missing
}
