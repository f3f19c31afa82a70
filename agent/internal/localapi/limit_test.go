package localapi

import (
	"strconv"
	"testing"
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
	if !l.allow(VerbStatus, "1001") || !l.allow(VerbWake, rootUser) {
		t.Fatal("one who asks all the time silences the others")
	}
}
