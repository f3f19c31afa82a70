package act_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/verify"
)

// vector writes a package that package verify keeps, if that was asked for. One that is there
// is never written again.
func (o *office) vector(name string, b []byte) {
	o.t.Helper()
	if !*update {
		return
	}
	for file, content := range map[string][]byte{name + ".zip": b, name + ".ca": []byte(o.ca.Fingerprint() + "\n")} {
		f, err := os.OpenFile(filepath.Join("../../../internal/verify/testdata/packages", file), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		ok(o.t, err)
		_, err = f.Write(content)
		ok(o.t, errors.Join(err, f.Close()))
	}
}

// The bytes of files that people sent are in packages, held by the ledger.
func TestSentFilesInAPackage(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	signer := x.signing()
	x.uploading()
	ctx, o := t.Context(), newOffice(t, x)
	o.keiri.send("flash", captured())
	log, photo := x.sent(o.incident, "fw\n.LOG", "UPLOADED-BYTES"), x.sent(o.incident, "写真 <1>.exe", "MZ bytes")
	o.sales.send("volatile", captured())
	by := verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: x.ca.Fingerprint()}}

	first := o.order(act.NewExport{})
	b := o.write(first)
	o.vector("v3", b)
	all := files(t, b)
	if all["data/uploads/"+log.Exhibit+".log"] != "UPLOADED-BYTES" || all["data/uploads/"+photo.Exhibit+".bin"] != "MZ bytes" {
		t.Errorf("they are not there: %q", names(all))
	}
	for _, lang := range []string{"README-ja.txt", "README-en.txt"} {
		for _, w := range []string{log.Exhibit + "  data/uploads/" + log.Exhibit + ".log", "写真 <1>.exe", photo.SHA256} {
			if !strings.Contains(all[lang], w) {
				t.Errorf("%s does not say %q", lang, w)
			}
		}
	}
	if got := o.check(b, by); got.Verdict != verify.Verified || len(got.Problems) > 0 || partOf(got, "uploads") != (verify.Part{Name: "uploads", Outcome: verify.Fits, Count: 2}) {
		t.Errorf("%s %+v %+v", got.Verdict, got.Problems, got.Parts)
	}
	if again := o.write(first); string(again) != string(b) {
		t.Error("the same record gave other bytes")
	}
	e, _, err := x.Exhibit(ctx, x.owner, log.Exhibit)
	ok(t, err)
	if n := len(e.Events); e.Events[n-1].Type != exhibit.Export || e.Events[n-1].HashBefore != log.SHA256 || e.Events[n-1].Text != first.Number {
		t.Errorf("nobody is said to have taken it: %+v", e.Events)
	}
	if got := files(t, o.write(o.order(act.NewExport{Hosts: []string{o.keiri.endpoint.ID}, Profiles: []string{"flash"}}))); got["data/uploads/"+log.Exhibit+".log"] == "" {
		t.Error("a scope of endpoints and profiles left them out")
	}

	t.Run("left out", func(t *testing.T) {
		b := o.write(o.order(act.NewExport{LeaveUploads: true}))
		if got := o.check(b, by); got.Verdict != verify.Verified || partOf(got, "uploads").Outcome != verify.Absent {
			t.Errorf("%s %+v", got.Verdict, got.Problems)
		}
		says(t, b, log.Exhibit, log.SHA256)
		for name, content := range files(t, b) {
			if strings.HasPrefix(name, "data/uploads/") || strings.Contains(content, "UPLOADED-BYTES") {
				t.Errorf("%s is there", name)
			}
		}
	})

	t.Run("behind the receipts", func(t *testing.T) {
		late := x.sent(o.incident, "late.csv", "a,b")
		r := o.order(act.NewExport{})
		b := o.write(r)
		signed, _, err := signer.Newest(ctx, r.OrganisationID)
		ok(t, err)
		for _, c := range []struct {
			anchor verify.PackageAnchor
			want   verify.Verdict
			told   bool
		}{{by, verify.Consistent, true}, {verify.PackageAnchor{Anchor: by.Anchor, CheckpointKey: signed.Key.Text(signed.Origin)}, verify.Verified, false}} {
			got := o.check(b, c.anchor)
			told := ""
			for _, u := range got.Unchecked {
				if u.Why == "upload_unanchored" {
					told += u.File
				}
			}
			if got.Verdict != c.want || (told == "data/uploads/"+late.Exhibit+".csv") != c.told {
				t.Errorf("%s %q %+v", got.Verdict, told, got.Problems)
			}
		}
	})

	t.Run("disposed of", func(t *testing.T) {
		ok(t, o.CloseIncident(ctx, o.owner, o.incident, "終息"))
		g, err := o.DisposalOf(ctx, o.owner, log.Exhibit)
		ok(t, err)
		_, err = o.DisposeExhibit(ctx, o.owner, log.Exhibit, "不要", g.Fingerprint())
		ok(t, err)
		if _, err := o.WriteExport(ctx, o.owner, first.Number, &strings.Builder{}); !errors.Is(err, act.ErrConflict) {
			t.Errorf("made again without its file: %v", err)
		}
		b := o.write(o.order(act.NewExport{}))
		o.vector("v3-disposed", b)
		got := o.check(b, by)
		why := map[string]string{}
		for _, u := range got.Unchecked {
			why[u.File] = u.Why
		}
		if got.Verdict != verify.Consistent || len(got.Problems) > 0 || why["data/uploads/"+log.Exhibit] != "disposed_unanchored" {
			t.Errorf("%s %+v %v", got.Verdict, got.Problems, why)
		}
		all := files(t, b)
		if all["data/uploads/"+log.Exhibit+".log"] != "" || all["data/uploads/"+photo.Exhibit+".bin"] == "" || !strings.Contains(all["README-ja.txt"], "廃棄") {
			t.Errorf("%q %s", names(all), all["README-ja.txt"])
		}
	})
	x.ledgerStands()
}

func partOf(r verify.PackageReport, name string) verify.Part {
	for _, p := range r.Parts {
		if p.Name == name {
			return p
		}
	}
	return verify.Part{}
}

func names(all map[string]string) (list []string) {
	for n := range all {
		list = append(list, n)
	}
	return list
}
