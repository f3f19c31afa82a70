package exhibit_test

import (
	"testing"
	"time"

	"hozen/collector/internal/exhibit"
)

func TestChain(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 9, 0, 0, 0, time.UTC) }
	office, police := exhibit.Party{Person: "佐藤"}, exhibit.Party{Organisation: "警察署"}
	events := []exhibit.Event{
		{Seq: 1, ItemID: "x", Type: exhibit.Collect, At: day(1), To: office},
		{Seq: 2, ItemID: "x", Type: exhibit.Verify, At: day(2)},
		{Seq: 3, ItemID: "x", Type: exhibit.HandOver, At: day(3), From: exhibit.Party{Person: "鈴木"}, To: police, Place: "証拠品庫"},
		{Seq: 4, Type: exhibit.Hold, At: day(4)},
		{Seq: 5, ItemID: "x", Type: exhibit.Ship, At: day(5), From: police, To: office, Carrier: "運送会社"},
	}
	got := exhibit.Chain(events)
	if len(got) != 3 {
		t.Fatalf("%d steps: %+v", len(got), got)
	}
	if a := got[0]; a.Holder != office || !a.Until.Equal(day(3)) || len(a.Before)+len(a.Within) != 0 {
		t.Errorf("first: %+v", a)
	}
	if b := got[1]; b.Holder != police || b.Place != "証拠品庫" || len(b.Before) != 1 || b.Before[0].Code != exhibit.GapNotHolder || len(b.Within) != 0 {
		t.Errorf("handed over by somebody who did not hold it: %+v", b)
	}
	if c := got[2]; !c.OnTheWay() || c.To != office || c.Carrier != "運送会社" || !c.Until.IsZero() || len(c.Within) != 1 || c.Within[0].Code != exhibit.GapTransit {
		t.Errorf("on the way: %+v", c)
	}
	gaps := 0
	for _, s := range got {
		gaps += len(s.Before) + len(s.Within)
	}
	if all := exhibit.Follow(events).Gaps; gaps != len(all) {
		t.Errorf("the chain has %d gaps, the trail %d", gaps, len(all))
	}
	if got := exhibit.Chain([]exhibit.Event{{Seq: 1, ItemID: "x", Type: exhibit.Seal, At: day(1)}}); got != nil {
		t.Errorf("a chain without a custodian: %+v", got)
	}
}
