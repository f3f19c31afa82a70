package act_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/verify"
)

// Whoever printed the custody form gets packages that verify, also where the act stands in the
// ledger under the name that it had at first.
func TestPackageAfterTheForm(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	o := newOffice(t, x)
	o.keiri.send("flash", captured())
	ok(t, o.CustodyForm(t.Context(), o.owner, o.incident, &bytes.Buffer{}))
	e := o.exhibit("E01")
	ok(t, x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := ledger.Append(ctx, tx, ledger.Entry{OrganisationID: e.OrganisationID, At: x.clock, ActorKind: "system", Act: "custody.form", Subject: e.IncidentID, Details: map[string]string{"number": o.incident, "exhibits": "1"}})
		return err
	}))
	ok(t, o.HoldIncident(t.Context(), o.owner, o.incident, "調停"))
	b := o.write(o.order(act.NewExport{}))
	if all := files(t, b); !strings.Contains(all["data/custody/entries.jsonl"], "custody.form") || !strings.Contains(all["data/custody/exhibits.json"], "custody.hold") {
		t.Error("the act is not in the package")
	}
	if got := o.check(b, verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: x.ca.Fingerprint()}}); got.Verdict != verify.Verified {
		t.Errorf("%s %+v", got.Verdict, got.Problems)
	}
}

// The verifier makes custodians and gaps of its own, and they are those of the collector,
// whatever people record.
func TestVerifierFollowsCustody(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	o := newOffice(t, x)
	o.keiri.send("flash", captured())
	o.sales.send("flash", captured())
	r := rand.New(rand.NewPCG(7, 11))
	parties := []exhibit.Party{{}, {}, {Person: "田中 一郎", Organisation: "組織"}, {Person: "田中　一郎"}, {Organisation: "Ｌａｂ"}, {Person: "J. Smith", Organisation: "LAB"}, {Person: "j.smith", Organisation: "Other"}, {Organisation: "組織"}}
	types := []exhibit.EventType{exhibit.HandOver, exhibit.Ship, exhibit.Receive, exhibit.Return, exhibit.Store, exhibit.Seal, exhibit.HandOver, exhibit.Ship, exhibit.Receive, exhibit.View, exhibit.Note}
	gaps, events := map[exhibit.GapCode]int{}, 0
	x.clock = x.clock.Add(100 * time.Hour)
	for n := range 40 {
		i, err := o.AddExhibit(t.Context(), o.owner, act.NewExhibit{IncidentID: o.incident, Kind: exhibit.Device, At: x.clock.Add(-50 * time.Hour), Fields: map[exhibit.Field]string{exhibit.Serial: fmt.Sprint(n)}})
		ok(t, err)
		ok(t, o.DescribeExhibit(t.Context(), o.owner, i.ID, map[exhibit.Field]string{exhibit.Maker: "甲", exhibit.Serial: ""}))
		ok(t, o.DescribeExhibit(t.Context(), o.owner, i.ID, map[exhibit.Field]string{exhibit.Maker: "乙"}))
		for range r.IntN(7) {
			e := exhibit.Event{Type: types[r.IntN(len(types))], At: x.clock.Add(-time.Duration(r.IntN(60)) * time.Hour), From: parties[r.IntN(len(parties))], To: parties[r.IntN(len(parties))], Place: "金庫", Carrier: "運送", Text: "覚え"}
			if _, err := o.RecordCustody(t.Context(), o.owner, i.ID, e); err == nil {
				events++
			}
		}
		for _, g := range o.exhibit(i.Short()).Trail.Gaps {
			gaps[g.Code]++
		}
	}
	for _, code := range []exhibit.GapCode{exhibit.GapTransit, exhibit.GapNotHolder, exhibit.GapOtherReceiver, exhibit.GapOrder} {
		if gaps[code] == 0 {
			t.Errorf("none of %d events gave a gap %s: %v", events, code, gaps)
		}
	}
	for _, n := range []act.NewExport{{}, {Hosts: []string{o.sales.endpoint.ID}}} {
		got := o.check(o.write(o.order(n)), verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: x.ca.Fingerprint()}})
		if got.Verdict != verify.Verified {
			t.Errorf("%v: %s %+v", n.Hosts, got.Verdict, got.Problems)
		}
	}
}
