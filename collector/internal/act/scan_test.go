package act_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob/atrest"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/operator"
	"hozen/internal/artifact"
)

// ended begins a search in evidence and returns it when it has ended.
func (x *fixture) ended(a act.Actor, n act.NewEvidenceSearch) act.EvidenceSearch {
	x.t.Helper()
	begun, err := x.SearchEvidence(x.t.Context(), a, n)
	ok(x.t, err)
	<-begun.Finished
	f, err := x.EvidenceSearch(x.t.Context(), a, begun.ID)
	ok(x.t, err)
	return f
}

// found are the rows of a search: number of the evidence and of the row.
func found(f act.EvidenceSearch) string {
	var list []string
	for _, h := range f.Hits {
		list = append(list, fmt.Sprintf("%s:%d", h.Item.Kind, h.Line))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func scanned() map[artifact.Kind][]string {
	return map[artifact.Kind][]string{
		artifact.KindProcess:   {`{"pid":1,"comm":"systemd","args":["/sbin/init"]}`, `{"pid":77,"comm":"ｅｖｉｌ.exe","args":["C:\\Temp\\a.exe","\u30ab\u30bf\u30ab\u30ca"]}`},
		artifact.KindNetConn:   {`{"remote_addr":"203.0.113.9","remote_port":4444,"owners":[{"comm":"evil.exe"}]}`},
		artifact.KindSystemMap: {`evil.exe`},
	}
}

// TestEvidenceIsSearched: values and not names, as people spell them; by whom may open
// evidence, with one entry in the ledger, and a line without the words for an incident.
func TestEvidenceIsSearched(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx, o := t.Context(), newOffice(t, x)
		inc, err := x.Incident(ctx, x.owner, o.incident)
		ok(t, err)
		o.keiri.send("flash", scanned())
		for text, want := range map[string]string{
			"EVIL": "netconn:1 process:2", "ｅｖｉｌ　4444": "netconn:1", `temp\a.exe`: "process:2", "ｶﾀｶﾅ": "process:2", "カタカナ evil": "process:2", "203.0.113": "netconn:1",
			"remote_addr": "", "evil systemd": "", "u30ab": "", `temp\\a`: "", "<script>": "", "'; DROP TABLE": "",
		} {
			if got := found(x.ended(x.owner, act.NewEvidenceSearch{Text: text, IncidentID: inc.ID})); got != want {
				t.Errorf("%q: %q, want %q", text, got, want)
			}
		}
		before, lines := len(x.acts("")), x.kinds(inc.ID)
		f := x.ended(x.owner, act.NewEvidenceSearch{Text: "evil", IncidentID: inc.ID, Kinds: []artifact.Kind{artifact.KindProcess}})
		if found(f) != "process:2" || f.State != act.ScanDone || f.Pieces != 1 || f.Done != 1 {
			t.Errorf("%+v", f)
		}
		if n := len(x.acts("")); n != before+1 || x.kinds(inc.ID) != lines+" search" {
			t.Errorf("%d entries more, timeline %s", n-before, x.kinds(inc.ID))
		}
		list, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Limit: 1})
		ok(t, err)
		if e := list[0]; e.Act != "evidence.search" || e.Subject != inc.ID || e.Details["words"] != "evil" || e.Details["kinds"] != "process" || e.Details["items"] != "1" {
			t.Errorf("the ledger has %+v", e)
		}
		timeline, err := x.Timeline(ctx, x.owner, inc.ID)
		ok(t, err)
		if strings.Contains(fmt.Sprint(timeline[len(timeline)-1]), "evil") {
			t.Error("the words stand in the timeline")
		}
		f = x.ended(x.owner, act.NewEvidenceSearch{Text: "evil"})
		if found(f) != "netconn:1 process:2" || len(f.Lacks[act.LackForm]) != 1 || x.kinds(inc.ID) != lines+" search" {
			t.Errorf("in everything: %s, %v", found(f), f.Lacks)
		}
		x.clock = x.clock.Add(10 * 24 * time.Hour)
		if f := x.ended(x.owner, act.NewEvidenceSearch{Text: "evil", Days: 7}); f.Pieces != 0 || found(f) != "" {
			t.Errorf("older evidence was searched: %+v", f)
		}
		for _, n := range []act.NewEvidenceSearch{{}, {Text: " \x00　"}, {Text: strings.Repeat("あ", 201)}, {Text: "a b c d e f"}, {Text: "a", Kinds: []artifact.Kind{"memory"}}, {Text: "a", Kinds: make([]artifact.Kind, 1000)},
			{Text: "a", Days: -1}, {Text: "a", Days: 1 << 40}} {
			if _, err := x.SearchEvidence(ctx, x.owner, n); !errors.Is(err, act.ErrInvalid) {
				t.Errorf("%.30q: %v", n.Text, err)
			}
		}
		if _, err := x.SearchEvidence(ctx, x.owner, act.NewEvidenceSearch{Text: "a", IncidentID: "inc_none"}); !errors.Is(err, act.ErrNotFound) {
			t.Error(err)
		}
		x.ledgerStands()
	})
}

// TestVendorSearchesWithinTheGrant: one incident, while it is granted; and nobody sees the
// searches of others.
func TestVendorSearchesWithinTheGrant(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx, o := t.Context(), newOffice(t, x)
		granted, other := o.matter("granted"), o.matter("other")
		vendor := x.person("vendor", operator.Vendor)
		ok(t, x.GrantIncident(ctx, x.owner, vendor.ID, granted.incident, x.clock.Add(time.Hour)))
		before := len(x.acts(""))
		_, err := x.SearchEvidence(ctx, vendor, act.NewEvidenceSearch{Text: "init"})
		wantInvalid(t, err, "incident", "required")
		_, err = x.SearchEvidence(ctx, vendor, act.NewEvidenceSearch{Text: "init", IncidentID: other.incident})
		wantErr(t, err, act.ErrNotFound)
		if len(x.acts("")) != before {
			t.Error("what was refused left something in the ledger")
		}
		f := x.ended(vendor, act.NewEvidenceSearch{Text: "init", IncidentID: granted.incident})
		if found(f) != "process:1" || f.Hits[0].Item.ID != granted.evidence {
			t.Errorf("%s", found(f))
		}
		whole := x.ended(x.owner, act.NewEvidenceSearch{Text: "init"})
		if found(whole) != "process:1 process:1" {
			t.Errorf("%s", found(whole))
		}
		for _, a := range []act.Actor{vendor, x.person("h", operator.Handler)} {
			_, err = x.EvidenceSearch(ctx, a, whole.ID)
			wantErr(t, err, act.ErrNotFound)
			wantErr(t, x.CancelEvidenceSearch(ctx, a, whole.ID), act.ErrNotFound)
		}
		x.clock = x.clock.Add(2 * time.Hour)
		_, err = x.EvidenceSearch(ctx, vendor, f.ID)
		wantErr(t, err, act.ErrNotFound)
		if list, err := x.EvidenceSearches(ctx, vendor); err != nil || len(list) != 0 {
			t.Errorf("%v, %v", list, err)
		}
		if _, err = x.EvidenceSearch(ctx, x.owner, whole.ID); !errors.Is(err, act.ErrNotFound) { // too old
			t.Error(err)
		}
	})
}

// TestSearchedEvidenceIsBounded: what was not read is said; and one person searches once at a time.
func TestSearchedEvidenceIsBounded(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx, o := t.Context(), newOffice(t, x)
		var rows []string
		for i := range 100 {
			rows = append(rows, fmt.Sprintf(`{"pid":%d,"comm":"many"}`, i))
		}
		o.keiri.send("flash", map[artifact.Kind][]string{artifact.KindProcess: rows})
		o.sales.send("flash", map[artifact.Kind][]string{artifact.KindProcess: append(rows, `{"comm":"many `+strings.Repeat("x", 3000)+`"}`)})
		for name, c := range map[string]struct {
			change func(b *act.ScanBounds)
			hits   int
			state  act.ScanState
			lack   act.ScanLack
		}{
			"hits of a piece": {func(b *act.ScanBounds) { b.PieceHit = 7 }, 14, act.ScanDone, act.LackHits},
			"hits":            {func(b *act.ScanBounds) { b.Hits = 20 }, 20, act.ScanCut, act.LackNotReached},
			"a piece":         {func(b *act.ScanBounds) { b.Piece = 1000 }, -1, act.ScanDone, act.LackPiece},
			"bytes":           {func(b *act.ScanBounds) { b.Bytes = 1000 }, -1, act.ScanCut, act.LackNotReached},
			"a line":          {func(b *act.ScanBounds) { b.Line = 1000 }, 200, act.ScanDone, act.LackLines},
			"time":            {func(b *act.ScanBounds) { b.Time = 1 }, 0, act.ScanCut, act.LackNotReached},
			"at once":         {func(b *act.ScanBounds) { b.AtOnce = 0 }, 0, "", ""},
		} {
			b := act.DefaultScanBounds()
			b.Hits, b.PieceHit = 1000, 1000
			c.change(&b)
			x.Acts = x.bounded(b)
			before := len(x.acts(""))
			begun, err := x.SearchEvidence(ctx, x.owner, act.NewEvidenceSearch{Text: "many"})
			if name == "at once" {
				if !errors.Is(err, act.ErrBusy) || len(x.acts("")) != before {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			ok(t, err)
			<-begun.Finished
			f, err := x.EvidenceSearch(ctx, x.owner, begun.ID)
			ok(t, err)
			if f.State != c.state || len(f.Lacks[c.lack]) == 0 || c.hits >= 0 && len(f.Hits) != c.hits || c.hits < 0 && (len(f.Hits) == 0 || len(f.Hits) > 100) {
				t.Errorf("%s: %s with %d, lacks %v", name, f.State, len(f.Hits), f.Lacks)
			}
		}
	})
}

// bounded are acts on the same data with these bounds.
func (x *fixture) bounded(b act.ScanBounds) *act.Acts {
	x.t.Helper()
	a, err := act.New(act.Config{Addresses: []string{"192.0.2.1:7443"}, DB: x.db, CA: x.ca, Hub: x.hub, Blobs: x.blobs, PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}, Scan: b, Now: func() time.Time { return x.clock }})
	ok(x.t, err)
	return a
}

// TestSearchedEvidenceStaysWhereItIs: no part of what was searched is written anywhere but in
// the ledger's words, and what is disposed of is told no more.
func TestSearchedEvidenceStaysWhereItIs(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		x.sealed()
		ctx, o := t.Context(), newOffice(t, x)
		inc, err := x.Incident(ctx, x.owner, o.incident)
		ok(t, err)
		o.keiri.send("flash", map[artifact.Kind][]string{artifact.KindProcess: {`{"pid":9,"comm":"needle-secretpart"}`}})
		f := x.ended(x.owner, act.NewEvidenceSearch{Text: "needle"})
		if found(f) != "process:1" || f.Hits[0].Values[0].Text != "needle-secretpart" || f.Hits[0].Values[0].Field != "comm" {
			t.Fatalf("%+v", f.Hits)
		}
		entries, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{})
		ok(t, err)
		timeline, err := x.Timeline(ctx, x.owner, inc.ID)
		ok(t, err)
		if strings.Contains(fmt.Sprint(entries, timeline), "secretpart") {
			t.Error("what was found stands in ledger or timeline")
		}
		ok(t, x.CloseIncident(ctx, x.owner, inc.ID, "because"))
		o.disposed("E01")
		again, err := x.EvidenceSearch(ctx, x.owner, f.ID)
		ok(t, err)
		if len(again.Hits) != 0 || again.Gone != 1 {
			t.Errorf("told after disposal: %+v", again.Hits)
		}
		f = x.ended(x.owner, act.NewEvidenceSearch{Text: "needle"})
		if len(f.Hits) != 0 || len(f.Lacks[act.LackDisposed]) != 1 {
			t.Errorf("%+v", f)
		}
	})
}

// sealed keeps evidence encrypted from here on.
func (x *fixture) sealed() {
	x.t.Helper()
	dir := x.t.TempDir()
	cfg := atrest.Config{Dir: filepath.Join(dir, "keys"), KeyFile: filepath.Join(dir, "evidence.key"), Collector: "c"}
	_, err := atrest.MakeKeyFile(cfg.KeyFile, x.clock)
	ok(x.t, err)
	ring, err := atrest.Open(cfg)
	if !errors.Is(err, atrest.ErrNoKeys) {
		x.t.Fatal(err)
	}
	_, err = ring.Add()
	ok(x.t, err)
	x.blobs, err = fsblob.OpenSealed(filepath.Join(dir, "evidence"), ring)
	ok(x.t, err)
	x.Acts = x.bounded(act.DefaultScanBounds())
}
