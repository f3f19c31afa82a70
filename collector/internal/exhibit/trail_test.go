package exhibit_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hozen/collector/internal/exhibit"
)

var (
	own    = exhibit.Party{Organisation: "保全商事"}
	tanaka = exhibit.Party{Person: "田中 一郎", Organisation: "保全商事"}
	police = exhibit.Party{Person: "山田 花子", Organisation: "県警サイバー課"}
	lab    = exhibit.Party{Person: "J. Smith", Organisation: "Lab"}
)

func at(hour int) time.Time { return time.Date(2026, 11, 23, hour, 0, 0, 0, time.UTC) }

// told numbers events and gives each the hour of its place, unless it has a time.
func told(events ...exhibit.Event) []exhibit.Event {
	for n := range events {
		events[n].Seq, events[n].ItemID = int64(n)+1, "exh_1"
		if events[n].At.IsZero() {
			events[n].At = at(n + 1)
		}
	}
	return events
}

func TestFollow(t *testing.T) {
	collect := exhibit.Event{Type: exhibit.Collect, To: exhibit.Party{Person: "PC-01", Organisation: "保全商事"}, Clock: exhibit.ClockEndpoint, At: at(23)}
	receive := exhibit.Event{Type: exhibit.Receive, From: collect.To, To: own, Place: "金庫"}
	give := func(from, to exhibit.Party) exhibit.Event {
		return exhibit.Event{Type: exhibit.HandOver, From: from, To: to}
	}
	ship := func(from, to exhibit.Party) exhibit.Event {
		return exhibit.Event{Type: exhibit.Ship, From: from, To: to, Carrier: "運送"}
	}
	arrive := func(to exhibit.Party) exhibit.Event { return exhibit.Event{Type: exhibit.Receive, To: to} }
	for _, c := range []struct {
		name   string
		events []exhibit.Event
		holder exhibit.Party
		gaps   []string // code from-to by seq
	}{
		{"nothing was recorded", nil, exhibit.Party{}, nil},
		{"an endpoint's clock that is ahead is no gap", told(collect, receive), own, nil},
		{"from hand to hand", told(collect, receive, give(own, police), give(police, own)), own, nil},
		{"whoever is not named is the holder", told(collect, receive, give(exhibit.Party{}, police)), police, nil},
		{"a person of the organisation that holds it", told(collect, receive, give(tanaka, police)), police, nil},
		{"names as people write them", told(collect, receive, give(own, lab), give(exhibit.Party{Person: "j．ｓｍｉｔｈ", Organisation: "LAB"}, own)), own, nil},
		{"sent and received", told(collect, receive, ship(own, lab), arrive(lab)), lab, nil},
		{"sent and never received", told(collect, receive, ship(own, lab)), exhibit.Party{}, []string{"transit 3-now by 3"}},
		{"sent and sent again", told(collect, receive, ship(own, lab), ship(lab, police), arrive(police)), police, []string{"transit 3-4 by 4"}},
		{"received by somebody else", told(collect, receive, ship(own, lab), arrive(police)), police, []string{"other_receiver 3-4 by 4"}},
		{"handed over by somebody who did not hold it", told(collect, receive, give(police, lab)), lab, []string{"not_holder 2-3 by 3"}},
		{"received from somebody who did not hold it", told(collect, receive, exhibit.Event{Type: exhibit.Receive, From: police, To: lab}), lab, []string{"not_holder 2-3 by 3"}},
		{"received from nobody", told(collect, receive, arrive(police)), police, []string{"not_holder 2-3 by 3"}},
		{"received by who has it", told(collect, receive, arrive(tanaka)), tanaka, nil},
		{"another person of the same name elsewhere", told(collect, receive, give(own, lab), give(exhibit.Party{Person: "J. Smith", Organisation: "Other"}, own)), own, []string{"not_holder 3-4 by 4"}},
		{"handed to nobody", told(collect, receive, give(own, exhibit.Party{})), exhibit.Party{}, []string{"nobody 3-now by 3"}},
		{"handed to nobody, then by somebody", told(collect, receive, give(own, exhibit.Party{}), give(police, lab)), lab, []string{"nobody 3-4 by 4"}},
		{"never acquired", told(give(own, police)), police, []string{"no_start 1-1 by 1"}},
		{"custody that begins with receiving", told(arrive(own)), own, nil},
		{"recorded later, before what was recorded first", told(collect, receive, give(own, police), exhibit.Event{Type: exhibit.HandOver, From: police, To: lab, At: at(1)}), lab, []string{"order 1-3 by 4"}},
		{"a record that catches up is held against the newest", told(collect, receive, exhibit.Event{Type: exhibit.HandOver, From: own, To: police, At: at(9)},
			exhibit.Event{Type: exhibit.HandOver, From: police, To: lab, At: at(3)}, exhibit.Event{Type: exhibit.HandOver, From: lab, To: own, At: at(4)}), own,
			[]string{"order 3-9 by 4", "order 4-9 by 5"}},
		{"disposed of", told(collect, receive, exhibit.Event{Type: exhibit.Dispose}), exhibit.Party{}, nil},
		{"handed over after it was disposed of", told(collect, receive, exhibit.Event{Type: exhibit.Dispose}, give(own, lab)), exhibit.Party{}, []string{"disposed 3-4 by 4"}},
		{"disposed of on the way", told(collect, receive, ship(own, lab), exhibit.Event{Type: exhibit.Dispose}), exhibit.Party{}, []string{"transit 3-4 by 4"}},
		{"stored by its holder", told(collect, receive, exhibit.Event{Type: exhibit.Store, Place: "倉庫"}), own, nil},
		{"sealed by somebody else", told(collect, receive, exhibit.Event{Type: exhibit.Seal, To: police}), police, []string{"not_holder 2-3 by 3"}},
		{"what does not move it", told(collect, receive, exhibit.Event{Type: exhibit.View, To: police}, exhibit.Event{Type: exhibit.Copy, To: lab}, exhibit.Event{Type: exhibit.Export, To: police},
			exhibit.Event{Type: exhibit.Verify}, exhibit.Event{Type: exhibit.Note, At: at(1)}), own, nil},
	} {
		got := exhibit.Follow(c.events)
		if got.Holder != c.holder {
			t.Errorf("%s: held by %v, want %v", c.name, got.Holder, c.holder)
		}
		var gaps []string
		for _, g := range got.Gaps {
			to := "now"
			if !g.To.IsZero() {
				to = fmt.Sprint(g.To.Hour())
			}
			gaps = append(gaps, fmt.Sprintf("%s %d-%s by %d", g.Code, g.From.Hour(), to, g.Seq))
		}
		if !slices.Equal(gaps, c.gaps) {
			t.Errorf("%s: gaps %q, want %q", c.name, gaps, c.gaps)
		}
	}
}

func TestFollowTellsWhereItIs(t *testing.T) {
	events := told(exhibit.Event{Type: exhibit.Collect, To: own, Place: "3階"}, exhibit.Event{Type: exhibit.Store, Place: "金庫"},
		exhibit.Event{Type: exhibit.Ship, From: own, To: lab, Carrier: "運送"}, exhibit.Event{Type: exhibit.Receive, To: lab})
	if got := exhibit.Follow(events[:2]); got.Place != "金庫" || !got.Since.Equal(at(1)) {
		t.Errorf("in the safe: %+v", got)
	}
	if got := exhibit.Follow(events[:3]); got.Place != "" || got.Carrier != "運送" || got.To != lab || !got.Since.Equal(at(3)) {
		t.Errorf("on its way: %+v", got)
	}
	if got := exhibit.Follow(events); got.Place != "" || got.Carrier != "" || !got.To.Empty() { // nobody said where they put it
		t.Errorf("arrived: %+v", got)
	}
}

// TestFollowHonestChain: whatever honest people do in whatever order is no gap, and each
// omission or false word in such a chain is one.
func TestFollowHonestChain(t *testing.T) {
	people := []exhibit.Party{own, police, lab, {Person: "鈴木"}, {Person: "佐藤", Organisation: "別の会社"}}
	rapid.Check(t, func(t *rapid.T) {
		holder := rapid.SampledFrom(people).Draw(t, "first")
		events := []exhibit.Event{{Type: exhibit.Collect, To: holder}}
		var moves []int // events that gave it to somebody else
		for range rapid.IntRange(1, 12).Draw(t, "n") {
			others := slices.DeleteFunc(slices.Clone(people), func(p exhibit.Party) bool { return p == holder })
			to := rapid.SampledFrom(others).Draw(t, "to")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				events = append(events, exhibit.Event{Type: exhibit.HandOver, From: holder, To: to})
				moves, holder = append(moves, len(events)-1), to
			case 1:
				events = append(events, exhibit.Event{Type: exhibit.Return, From: holder, To: to})
				moves, holder = append(moves, len(events)-1), to
			case 2:
				events = append(events, exhibit.Event{Type: exhibit.Ship, From: holder, To: to}, exhibit.Event{Type: exhibit.Receive, To: to})
				moves, holder = append(moves, len(events)-1), to
			case 3:
				events = append(events, exhibit.Event{Type: exhibit.Store, Place: "棚"})
			case 4:
				events = append(events, exhibit.Event{Type: exhibit.View, To: to})
			}
		}
		got := exhibit.Follow(told(slices.Clone(events)...))
		if len(got.Gaps) > 0 || got.Holder != holder {
			t.Fatalf("an honest chain has gaps %+v, holder %v want %v", got.Gaps, got.Holder, holder)
		}
		if len(moves) < 2 {
			return
		}
		// One giving is left out: whoever gives next did not hold it, or it never arrived.
		n := rapid.SampledFrom(moves[:len(moves)-1]).Draw(t, "left out")
		if got := exhibit.Follow(told(slices.Delete(slices.Clone(events), n, n+1)...)); len(got.Gaps) == 0 {
			t.Fatalf("event %d was left out, and there is no gap", n)
		}
		// A stranger gives it away instead.
		lied := slices.Clone(events)
		n = rapid.SampledFrom(moves).Draw(t, "lied")
		if lied[n].Type != exhibit.Receive {
			lied[n].From = exhibit.Party{Person: "泥棒"}
			if got := exhibit.Follow(told(lied...)); len(got.Gaps) == 0 {
				t.Fatalf("a stranger gave it away in event %d, and there is no gap", n)
			}
		}
		// It is said to have happened before the first.
		lied = slices.Clone(events)
		lied[n].At = at(0)
		if got := exhibit.Follow(told(lied...)); !slices.ContainsFunc(got.Gaps, func(g exhibit.Gap) bool { return g.Code == exhibit.GapOrder }) {
			t.Fatalf("event %d is out of order, and there is no gap", n)
		}
	})
}

func TestShort(t *testing.T) {
	for s, want := range map[string]int64{"E01": 1, "E99": 99, "E100": 100, "E1": 0, "E001": 0, "E00": 0, "E-1": 0, "e01": 0, "": 0, "E": 0, "E9999999999": 0, "E０１": 0} {
		if no, ok := exhibit.ParseShort(s); ok != (want > 0) || ok && no != want {
			t.Errorf("%q: %d, %t", s, no, ok)
		}
	}
}

func TestHeld(t *testing.T) {
	hold, release, note := exhibit.Event{Type: exhibit.Hold, Purpose: "訴訟"}, exhibit.Event{Type: exhibit.ReleaseHold}, exhibit.Event{Type: exhibit.Note}
	for _, c := range []struct {
		events []exhibit.Event
		want   bool
	}{{nil, false}, {[]exhibit.Event{note}, false}, {[]exhibit.Event{hold, note}, true}, {[]exhibit.Event{hold, release, note}, false}, {[]exhibit.Event{hold, release, hold}, true}} {
		if _, held := exhibit.Held(c.events); held != c.want {
			t.Errorf("%v: %t", c.events, held)
		}
	}
}
