package localapi

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestOnePersonLeavesRoomForOthers: whoever holds connections open, or reports as fast
// as they can, keeps neither another user nor root from being heard.
func TestOnePersonLeavesRoomForOthers(t *testing.T) {
	l := newLimits()
	var held []string
	hold := func(uid string) {
		for l.enter(uid) {
			held = append(held, uid)
		}
	}
	hold("1000")
	if len(held) != maxPerPerson || !l.enter("1001") || !l.enter(rootUser) {
		t.Fatalf("one person holds %d places", len(held))
	}
	for uid := range 1000 { // a range of user identifiers
		hold(strconv.Itoa(100000 + uid))
	}
	if len(held) > maxClients || !l.enter(rootUser) {
		t.Fatalf("%d places are held, and root has none", len(held))
	}
	// The helper in a session speaks for its account's other programs too.
	helper := helperPlace + "4711"
	for i, want := range []bool{true, true, false} {
		if l.enter(helper) != want {
			t.Fatalf("a helper has two places, whoever holds the others: its %d. is %t", i+1, !want)
		}
	}
	if l.leave(helper); !l.enter(helper) {
		t.Fatal("a helper's place is not given back")
	}
	l.leave(held[0])
	if !l.enter("1002") {
		t.Fatal("places are not given back")
	}
}

func TestReportsOfAllTogether(t *testing.T) {
	l := newLimits()
	stored := 0
	for uid := range 500 {
		for l.allow(VerbReport, strconv.Itoa(100000+uid)) {
			stored++
		}
	}
	if stored > allReportsBurst+5 || !l.allow(VerbReport, rootUser) {
		t.Fatalf("%d reports, and root's not", stored)
	}
	for l.allow(VerbStatus, "1000") {
	}
	if !l.allow(VerbSession, helperPlace+"4711") {
		t.Fatal("the helper of a person who asks all the time is silenced")
	}
	if !l.allow(VerbStatus, "1001") || !l.allow(VerbWake, rootUser) {
		t.Fatal("one who asks all the time silences the others")
	}
}

// TestGateIsOpenedOneByOne: however many ask what would be lost, one look at the PC is
// taken at a time, and root waits for nobody.
func TestGateIsOpenedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits()
		leave, ok := l.turn(t.Context(), "1000")
		if !ok {
			t.Fatal("the first one has no turn")
		}
		if _, ok := l.turn(t.Context(), rootUser); !ok {
			t.Error("root waits")
		}
		start := time.Now()
		if _, ok := l.turn(t.Context(), "1001"); ok || time.Since(start) != requestTime {
			t.Errorf("two at a time: %v, after %s", ok, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, ok := l.turn(ctx, "1001"); ok {
			t.Error("somebody who left has a turn")
		}
		leave()
		if _, ok := l.turn(t.Context(), "1001"); !ok {
			t.Error("the turn is not given back")
		}
	})
	l, looked := newLimits(), 0
	for l.allow(VerbGate, "1000") {
		looked++
	}
	if looked > gateBurst+1 || !l.allow(VerbGate, "1001") || !l.allow(VerbStatus, "1000") {
		t.Errorf("%d looks at once", looked)
	}
}

// TestCodesOfOthersAreHeard: whoever gives codes without end, three of them even, leaves
// room for who has the right one; and all together leave time for orders.
func TestCodesOfOthersAreHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits()
		given := 0
		for range 60 * 100 {
			for _, uid := range []string{"1000", "1001", "1002"} {
				if l.allow(VerbRelease, uid) {
					given++
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !l.allow(VerbRelease, "1003") || !l.allow(VerbRelease, rootUser) {
			t.Error("nobody else is heard")
		}
		if most := 3 * (60 + codeBurst); given > most {
			t.Errorf("%d codes within a minute, at most %d", given, most)
		}
		given = 0
		for range 60 * 100 {
			for uid := range 100 { // a range of user identifiers
				if l.allow(VerbRelease, strconv.Itoa(100000+uid)) {
					given++
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		if most := 60*8 + allCodesBurst; given > most || !l.allow(VerbRelease, rootUser) {
			t.Errorf("%d codes within a minute, at most %d", given, most)
		}
	})
}
