package act_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/verify"
)

// sealed counts the acquisitions of a package.
func sealed(t testing.TB, b []byte) int {
	t.Helper()
	n := 0
	for name := range files(t, b) {
		if strings.Contains(name, "/sealed/") && strings.HasSuffix(name, "/manifest.json") {
			n++
		}
	}
	return n
}

// says looks for words in the README of both languages and in the record of the incident.
func says(t testing.TB, b []byte, words ...string) {
	t.Helper()
	all := files(t, b)
	for _, name := range []string{"README-ja.txt", "README-en.txt", "data/incident.json"} {
		for _, w := range words {
			if !strings.Contains(all[name], w) {
				t.Errorf("%s does not say %q:\n%.2500s", name, w, all[name])
			}
		}
	}
	if w := "The scope leaves nothing out."; strings.Contains(all["README-en.txt"], w) {
		t.Error(w)
	}
}

// What was acquired of an endpoint before it was split off stays, and so is in the package of
// the incident that has it; that of the other names it.
func TestPackageOfASplitIncident(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx, o := t.Context(), newOffice(t, x)
		o.keiri.send("flash", captured())
		o.sales.send("flash", captured())
		made, err := o.SplitIncident(ctx, o.owner, o.incident, []string{o.sales.endpoint.ID}, "b", "別件")
		ok(t, err)
		for name, n := range map[string]struct {
			act.NewExport
			want  int
			words []string
		}{
			"the one that has it": {act.NewExport{}, 2, []string{made.Number}},
			"that endpoint alone": {act.NewExport{Hosts: []string{o.sales.endpoint.ID}}, 1, nil},
			"the other":           {act.NewExport{IncidentID: made.ID}, 0, []string{o.incident, "2"}},
		} {
			b := o.write(o.order(n.NewExport))
			if got := o.check(b, verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: x.ca.Fingerprint()}}); got.Verdict != verify.Verified && n.want > 0 || len(got.Problems) > 0 {
				t.Errorf("%s: %s %+v", name, got.Verdict, got.Problems)
			}
			if got := sealed(t, b); got != n.want {
				t.Errorf("%s: %d acquisitions", name, got)
			}
			if n.words != nil {
				says(t, b, n.words...)
			}
		}
		_, err = o.OrderExport(ctx, o.owner, act.NewExport{IncidentID: made.ID, Hosts: []string{o.keiri.endpoint.ID}, Recipient: "r", Purpose: "p"})
		wantInvalid(t, err, "hosts", "unknown")
	})
}

// A record that was made when endpoints that were split off were forgotten gives no package
// that lacks their evidence without a word.
func TestNoPackageWithoutTheEndpointOfAnAcquisition(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	o := newOffice(t, x)
	o.keiri.send("flash", captured())
	r := o.order(act.NewExport{})
	ok(t, x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE export_package SET frozen = replace(frozen, $1, 'end_other') WHERE id = $2`, o.keiri.endpoint.ID, r.ID)
		return err
	}))
	if _, err := o.WriteExport(t.Context(), o.owner, r.ID, &strings.Builder{}); !errors.Is(err, act.ErrConflict) {
		t.Errorf("%v", err)
	}
}

// Evidence that stays in an incident that was merged is named where people look for it.
func TestPackageOfAMergedIncident(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx, o := t.Context(), newOffice(t, x)
		x.uploading()
		x.sent(o.incident, "fw.log", "bytes")
		o.keiri.send("flash", captured())
		b, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "b"})
		ok(t, err)
		c, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "c"})
		ok(t, err)
		_, err = o.MergeIncident(ctx, o.owner, o.incident, b.ID, "同じ")
		ok(t, err)
		_, err = o.MergeIncident(ctx, o.owner, b.ID, c.ID, "これも")
		ok(t, err)
		all := o.write(o.order(act.NewExport{IncidentID: c.ID}))
		says(t, all, o.incident, b.Number)
		if s := files(t, all)["README-en.txt"]; !strings.Contains(s, o.incident+" (was merged into this one)  acquisitions: 1, files that people sent: 1") {
			t.Error(s)
		}
		mine := o.write(o.order(act.NewExport{}))
		if says(t, mine, b.Number, c.Number, "fw.log"); sealed(t, mine) != 1 {
			t.Error("its own evidence is not in it")
		}
	})
}
