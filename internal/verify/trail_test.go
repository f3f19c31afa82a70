package verify_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hozen/internal/verify"
)

// Events are written "type[@hour] [from>to]", of an organisation, or a person / organisation; by
// default each is in the hour of its place.
func TestTrail(t *testing.T) {
	for _, c := range []struct{ events, custodian, gaps string }{
		{"", "", ""},
		{"collect >PC; receive PC>own", "own", ""},
		{"collect >PC; receive PC>own; hand_over own>a / police", "a / police", ""},
		{"collect >PC; receive PC>own; hand_over >lab", "lab", ""},
		{"collect >PC; receive PC>own; hand_over t / own>lab; hand_over ＬＡＢ>own", "own", ""},
		{"collect >PC; receive PC>own; ship own>lab; receive >lab", "lab", ""},
		{"collect >PC; receive PC>own; ship own>lab", "", "transit 3-now by 3"},
		{"collect >PC; receive PC>own; ship own>lab; hand_over lab>own", "own", "transit 3-4 by 4"},
		{"collect >PC; receive PC>own; ship own>lab; receive >police", "police", "other_receiver 3-4 by 4"},
		{"collect >PC; receive PC>own; hand_over police>lab", "lab", "not_holder 2-3 by 3"},
		{"collect >PC; receive PC>own; receive >lab", "lab", "not_holder 2-3 by 3"},
		{"collect >PC; receive PC>own; hand_over own>", "", "nobody 3-now by 3"},
		{"collect >PC; receive PC>own; hand_over own>; receive >lab", "lab", "nobody 3-4 by 4"},
		{"hand_over own>lab", "lab", "no_start 1-1 by 1"},
		{"receive >own", "own", ""},
		{"collect >PC; receive PC>own; hand_over@9 own>lab; hand_over@4 lab>own", "own", "order 4-9 by 4"},
		{"collect >PC; receive PC>own; dispose", "", ""},
		{"collect >PC; receive PC>own; dispose; hand_over own>lab", "", "disposed 3-4 by 4"},
		{"collect >PC; receive PC>own; seal >police", "police", "not_holder 2-3 by 3"},
		{"collect >PC; receive PC>own; view >police; note@1; verify; export >lab; store", "own", ""},
	} {
		var events []map[string]string
		for n, s := range strings.Split(c.events, "; ") {
			if s == "" {
				continue
			}
			kind, parties, _ := strings.Cut(s, " ")
			kind, hour, at := strings.Cut(kind, "@")
			if !at {
				hour = strconv.Itoa(n + 1)
			}
			e := map[string]string{"act": "custody." + kind, "seq": strconv.Itoa(n + 1), "at": fmt.Sprintf("2026-11-23T%02s:00:00.000000000Z", hour)}
			from, to, _ := strings.Cut(parties, ">")
			for side, who := range map[string]string{"from": from, "to": to} {
				person, organisation, both := strings.Cut(who, " / ")
				if !both {
					person, organisation = "", who
				}
				e[side+"_person"], e[side+"_organisation"] = person, organisation
			}
			events = append(events, e)
		}
		custodian, gaps := verify.Followed(events)
		if custodian != c.custodian || strings.Join(gaps, ", ") != c.gaps {
			t.Errorf("%s: held by %q, %q", c.events, custodian, gaps)
		}
	}
	ahead := []map[string]string{
		{"act": "custody.collect", "seq": "1", "at": "2026-11-23T23:00:00Z", "clock": "endpoint", "to_person": "PC"},
		{"act": "custody.receive", "seq": "2", "at": "2026-11-23T02:00:00Z", "from_person": "PC", "to_person": "x"},
	}
	if who, gaps := verify.Followed(ahead); who != "x" || len(gaps) > 0 {
		t.Errorf("an endpoint's clock is compared with another: %s %v", who, gaps)
	}
}

// The size of the newest tree that an anchored receipt names is what the CA reaches to.
func TestReachOfDisposals(t *testing.T) {
	for _, c := range []struct {
		by, size int64
		signed   bool
		why      string
	}{{4, 5, false, "disposed"}, {5, 5, false, "disposed_unanchored"}, {6, 5, false, "disposed_unanchored"}, {6, 5, true, "disposed"}, {0, 0, false, "disposed_unanchored"}} {
		why, n := verify.Vouched(c.by, c.size, c.signed)
		if why != c.why || (n > 0) != (why == "disposed_unanchored") {
			t.Errorf("%+v: %s, %d", c, why, n)
		}
	}
}

// Whatever an entry says of an event, custodian and gaps can be made of it.
func FuzzTrail(f *testing.F) {
	f.Add("collect receive ship dispose", "2026-11-22T12:00:00.000000000Z", "a", "b", "1")
	f.Add("hand_over hand_over", "x", "", "\xff", "-1")
	f.Fuzz(func(t *testing.T, kinds, at, from, to, seq string) {
		var events []map[string]string
		for _, k := range strings.Fields(kinds) {
			events = append(events, map[string]string{"act": "custody." + k, "at": at, "from_person": from, "to_person": to, "seq": seq})
		}
		custodian, gaps := verify.Followed(events)
		if custodian != "" && custodian != to || len(gaps) > 2*len(events)+1 {
			t.Errorf("%q %v", custodian, gaps)
		}
		again, same := verify.Followed(events)
		if again != custodian || !slices.Equal(gaps, same) {
			t.Errorf("%q %v, then %q %v", custodian, gaps, again, same)
		}
	})
}
