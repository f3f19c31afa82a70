package act_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/verify"
)

// What was disposed of is not in a package ordered later, which says so and is whole all the
// same. One that was ordered before cannot be made any more.
func TestDisposedEvidenceInAPackage(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	signer := x.signing()
	o := newOffice(t, x)
	gone := o.keiri.send("flash", map[artifact.Kind][]string{artifact.KindProcess: {`{"pid":1,"comm":"secret"}`}, artifact.KindClock: {`{"wall":"2026-11-22T00:00:00Z","boot_ns":5}`}})
	stays := o.sales.send("flash", captured())
	before := o.order(act.NewExport{})
	b := o.write(before)
	all := files(t, b)
	if !bytes.HasPrefix([]byte(all["data/custody/form.pdf"]), []byte("%PDF-")) || !strings.Contains(all["data/custody/exhibits.json"], o.incident+"-E01") {
		t.Errorf("%d bytes of form, exhibits: %.300s", len(all["data/custody/form.pdf"]), all["data/custody/exhibits.json"])
	}
	number := o.incident + "-E01"
	ok(t, o.CloseIncident(t.Context(), o.owner, o.incident, "終息"))
	g, err := o.DisposalOf(t.Context(), o.owner, number)
	ok(t, err)
	_, err = o.DisposeExhibit(t.Context(), o.owner, number, "手続きの終了", g.Fingerprint())
	ok(t, err)
	if _, err := o.WriteExport(t.Context(), o.owner, before.Number, &bytes.Buffer{}); !errors.Is(err, act.ErrConflict) {
		t.Errorf("made again without its evidence: %v", err)
	}
	b = o.write(o.order(act.NewExport{Recipient: "r", Purpose: "p"}))
	for name := range files(t, b) {
		if strings.Contains(name, gone) && (strings.Contains(name, "artifacts/") || strings.Contains(name, "/decoded/")) {
			t.Errorf("%s is there", name)
		}
	}
	by := verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: x.ca.Fingerprint()}}
	told := func(b []byte, anchor verify.PackageAnchor, verdict verify.Verdict, why string) {
		t.Helper()
		got := o.check(b, anchor)
		n := 0
		for _, u := range got.Unchecked {
			if u.Why == why && strings.Contains(u.File, gone) {
				n++
			}
			if strings.Contains(u.File, stays) && strings.HasPrefix(u.Why, "disposed") {
				t.Errorf("%+v", u)
			}
		}
		if got.Verdict != verdict || n != 2 {
			t.Errorf("%s, %d told: %+v", got.Verdict, n, got.Problems)
		}
	}
	told(b, by, verify.Consistent, "disposed_unanchored") // no receipt is newer than the disposal
	signed, _, err := signer.Newest(t.Context(), before.OrganisationID)
	ok(t, err)
	told(b, verify.PackageAnchor{Anchor: by.Anchor, CheckpointKey: signed.Key.Text(signed.Origin)}, verify.Verified, "disposed")
}
