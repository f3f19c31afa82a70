package act_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/collector/internal/transfer"
	"hozen/internal/artifact"
	"hozen/internal/digest"
)

// uploading lets files be sent.
func (x *fixture) uploading() *transfer.Folder {
	x.t.Helper()
	f, err := transfer.Open(transfer.Config{Dir: filepath.Join(x.t.TempDir(), "uploads"), Vault: x.blobs.Vault()})
	ok(x.t, err)
	x.UseUploads(f)
	return f
}

// sent sends a file whole.
func (x *fixture) sent(incidentID, name, content string) record.Upload {
	x.t.Helper()
	u, err := x.BeginUpload(x.t.Context(), x.owner, act.NewUpload{File: record.File{Source: record.Router, Name: name, Person: "佐藤", Device: "本社ルーター"}, IncidentID: incidentID, Size: int64(len(content))})
	ok(x.t, err)
	_, err = x.AppendUpload(x.t.Context(), x.owner, u.ID, 0, strings.NewReader(content))
	ok(x.t, err)
	u, err = x.FinishUpload(x.t.Context(), x.owner, u.ID)
	ok(x.t, err)
	return u
}

func TestSentFileIsAnExhibit(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.uploading()
		o := newOffice(t, x)
		inc, err := x.Incident(ctx, x.owner, o.incident)
		ok(t, err)
		taken := x.clock.Add(-time.Hour)
		u, err := x.BeginUpload(ctx, x.owner, act.NewUpload{IncidentID: o.incident, Size: 10, File: record.File{Source: record.VPN, Name: `C:\Users\佐藤\..\<b>log 𠮷.txt`, Device: "vpn-01",
			Description: hostileWords, Person: "佐藤 花子", TakenAt: taken, ClockKnown: true, ClockOffset: -90 * time.Second, ClockNote: "時報と比較"}})
		ok(t, err)
		if u.Name != "<b>log 𠮷.txt" {
			t.Errorf("its name is %q", u.Name)
		}
		_, err = x.FinishUpload(ctx, x.owner, u.ID)
		wantInvalid(t, err, "file", "required")
		n, err := x.AppendUpload(ctx, x.owner, u.ID, 0, strings.NewReader("01234"))
		if err != nil || n != 5 {
			t.Fatal(n, err)
		}
		_, err = x.FinishUpload(ctx, x.owner, u.ID)
		wantErr(t, err, act.ErrConflict)
		n, err = x.AppendUpload(ctx, x.owner, u.ID, 3, strings.NewReader("x"))
		wantErr(t, err, act.ErrConflict)
		if _, have, err := x.UploadState(ctx, x.owner, u.ID); n != 5 || err != nil || have != 5 {
			t.Error(n, have, err)
		}
		_, err = x.AppendUpload(ctx, x.owner, u.ID, 5, strings.NewReader("567890"))
		wantInvalid(t, err, "size", "range")
		x.clock = x.clock.Add(time.Minute)
		_, err = x.AppendUpload(ctx, x.owner, u.ID, 5, strings.NewReader("56789"))
		ok(t, err)
		for range 2 {
			if u, err = x.FinishUpload(ctx, x.owner, u.ID); err != nil || u.SHA256 != digest.Of([]byte("0123456789")).String() || u.Exhibit != o.incident+"-E01" || u.Size != 10 || !u.ReceivedAt.Equal(x.clock) {
				t.Fatalf("%+v, %v", u, err)
			}
		}
		_, err = x.AppendUpload(ctx, x.owner, u.ID, 10, strings.NewReader("x"))
		wantErr(t, err, act.ErrConflict)
		wantErr(t, x.DropUpload(ctx, x.owner, u.ID), act.ErrConflict)

		e := o.exhibit("E01")
		if e.Kind != exhibit.Log || e.Upload == nil || e.Upload.ClockOffset != -90*time.Second || e.Get(exhibit.Host) != "vpn-01" || !strings.Contains(e.Get(exhibit.Description), "<b>log 𠮷.txt") {
			t.Errorf("%+v", e.Item)
		}
		if types(e.Events) != "collect receive" || e.Trail.Holder != (exhibit.Party{Organisation: "組織"}) || len(e.Trail.Gaps) != 0 || !e.Events[0].At.Equal(taken) || e.Events[0].To.Person != "佐藤 花子" || e.Events[1].HashAfter != u.SHA256 {
			t.Errorf("%q %+v %+v", types(e.Events), e.Trail, e.Events)
		}
		if kinds := x.kinds(inc.ID); kinds != "opened upload" {
			t.Errorf("timeline: %s", kinds)
		}
		_, r, err := x.OpenUpload(ctx, x.owner, u.ID)
		ok(t, err)
		b, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || string(b) != "0123456789" {
			t.Errorf("%q, %v", b, err)
		}
		v, err := x.VerifyExhibit(ctx, x.owner, u.Exhibit, "")
		if err != nil || v.Files != 1 || v.Bytes != 10 || len(v.Wrong) != 0 || v.Event.HashAfter != u.SHA256 {
			t.Errorf("%+v, %v", v, err)
		}
		if got := types(o.exhibit("E01").Events); got != "collect receive copy verify" {
			t.Errorf("%q", got)
		}
		// The next evidence of an agent gets the next number.
		o.keiri.send("flash", captured())
		if items := o.custody().Items; len(items) != 2 || items[1].Number != o.incident+"-E02" {
			t.Errorf("%+v", items)
		}
		// An answer can rest on it.
		answer := said(record.Cause, record.Text, "VPN")
		answer.Basis.Evidence = []string{u.Exhibit}
		_, err = x.SetAnswer(ctx, x.owner, inc.ID, answer)
		ok(t, err)
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("%q", codes)
		}
		x.recordClean()
		// Bytes that somebody changes or takes away are found.
		ok(t, x.blobs.Remove(ctx, digest.Of([]byte("0123456789"))))
		if codes := o.fsckCodes(); !slices.Equal(codes, []string{"upload_missing"}) {
			t.Errorf("%q", codes)
		}
		if v, err := x.VerifyExhibit(ctx, x.owner, u.Exhibit, ""); err != nil || len(v.Wrong) != 1 || v.Event.Result != exhibit.ResultMismatch {
			t.Errorf("%+v, %v", v, err)
		}
		x.ledgerStands()
	})
}

func TestSentFilesThatAreRefused(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		_, err := x.BeginUpload(ctx, x.owner, act.NewUpload{})
		wantErr(t, err, errors.ErrUnsupported)
		x.uploading()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		right := act.NewUpload{File: record.File{Source: record.Photo, Person: "佐藤"}, IncidentID: inc.ID, Size: -1}
		for name, c := range map[string]struct {
			change      func(n *act.NewUpload)
			field, code string
		}{
			"source":      {func(n *act.NewUpload) { n.Source = "moon" }, "source", "unknown"},
			"person":      {func(n *act.NewUpload) { n.Person = " " }, "person", "required"},
			"long device": {func(n *act.NewUpload) { n.Device = strings.Repeat("x", 257) }, "device", "too_long"},
			"future":      {func(n *act.NewUpload) { n.TakenAt = x.clock.Add(time.Hour) }, "taken_at", "range"},
			"clock":       {func(n *act.NewUpload) { n.ClockKnown, n.ClockOffset = true, 1<<63-1 }, "clock_offset", "range"},
			"size":        {func(n *act.NewUpload) { n.Size = 1 << 60 }, "size", "range"},
		} {
			n := right
			c.change(&n)
			_, err := x.BeginUpload(ctx, x.owner, n)
			inv, is := errors.AsType[*act.Invalid](err)
			if !is || inv.Field != c.field || inv.Code != c.code {
				t.Errorf("%s: %v", name, err)
			}
		}
		begun, err := x.BeginUpload(ctx, x.owner, right)
		ok(t, err)
		for _, role := range []operator.Role{operator.Viewer, operator.Auditor, operator.Vendor} {
			p := x.person("p"+string(role), role)
			_, err := x.BeginUpload(ctx, p, right)
			wantErr(t, err, act.ErrForbidden)
			_, err = x.AppendUpload(ctx, p, begun.ID, 0, strings.NewReader("x"))
			wantErr(t, err, act.ErrForbidden)
			_, err = x.FinishUpload(ctx, p, begun.ID)
			wantErr(t, err, act.ErrForbidden)
			wantErr(t, x.DropUpload(ctx, p, begun.ID), act.ErrForbidden)
			if _, _, err := x.OpenUpload(ctx, p, begun.ID); !errors.Is(err, act.ErrForbidden) && !errors.Is(err, act.ErrNotFound) {
				t.Errorf("%s opens it: %v", role, err)
			}
		}
		_, _, err = x.OpenUpload(ctx, x.owner, begun.ID) // nothing was received
		wantErr(t, err, act.ErrNotFound)
		_, err = x.AppendUpload(ctx, x.owner, "../../x", 0, strings.NewReader("x"))
		wantErr(t, err, act.ErrNotFound)
		// What nobody goes on with is given up after a week, and not before.
		_, err = x.AppendUpload(ctx, x.owner, begun.ID, 0, strings.NewReader("x"))
		ok(t, err)
		ok(t, x.DropOldUploads(ctx))
		x.clock = time.Now().Add(8 * 24 * time.Hour) // the files have the real one
		fresh, err := x.BeginUpload(ctx, x.owner, right)
		ok(t, err)
		ok(t, x.DropOldUploads(ctx))
		list, err := x.Uploads(ctx, x.owner, inc.ID)
		if err != nil || len(list) != 1 || list[0].ID != fresh.ID {
			t.Errorf("%+v, %v", list, err)
		}
		if got := x.acts(begun.ID); !slices.Equal(got, []string{"record.upload_begin", "record.upload_drop"}) {
			t.Errorf("%q", got)
		}
		if kinds := x.kinds(inc.ID); kinds != "opened" {
			t.Errorf("timeline: %s", kinds)
		}
		x.ledgerStands()
	})
}

func TestSentFileIsDisposedOf(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.uploading()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		a, b, other := x.sent(inc.ID, "a", "same"), x.sent(inc.ID, "b", "same"), x.sent(inc.ID, "c", "alone")
		has := func(content string) bool {
			_, err := x.blobs.Stat(ctx, digest.Of([]byte(content)))
			return err == nil
		}
		dispose := func(u record.Upload) error {
			g, err := x.DisposalOf(ctx, x.owner, u.Exhibit)
			if err != nil {
				return err
			}
			_, err = x.DisposeExhibit(ctx, x.owner, u.Exhibit, "保存期間の終了", g.Fingerprint())
			return err
		}
		wantErr(t, dispose(a), act.ErrRetained)
		ok(t, x.CloseIncidentAs(ctx, x.owner, inc.ID, incident.Resolved, "x"))
		ok(t, dispose(a))
		if !has("same") {
			t.Fatal("another exhibit has the same bytes")
		}
		_, _, err = x.OpenUpload(ctx, x.owner, a.ID)
		wantErr(t, err, act.ErrDisposed)
		_, err = x.VerifyExhibit(ctx, x.owner, a.Exhibit, "")
		wantErr(t, err, act.ErrDisposed)
		ok(t, dispose(b))
		if has("same") {
			t.Error("the bytes are still there")
		}
		wantErr(t, dispose(b), act.ErrConflict)

		ok(t, x.HoldIncident(ctx, x.owner, inc.ID, "訴訟"))
		wantErr(t, dispose(other), act.ErrHeld)
		// The order was given, and the hold came before the bytes were gone.
		ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return record.DisposeUpload(ctx, tx, other.ID, x.clock) }))
		ok(t, x.FinishDisposals(ctx))
		if c, err := x.Custody(ctx, x.owner, inc.ID); err != nil || !slices.Equal(c.Unfinished, []string{other.Exhibit}) || !has("alone") {
			t.Errorf("%q, %v", c.Unfinished, err)
		}
		ok(t, x.ReleaseHold(ctx, x.owner, inc.ID, "和解"))
		ok(t, x.FinishDisposals(ctx))
		if c, err := x.Custody(ctx, x.owner, inc.ID); err != nil || len(c.Unfinished) != 0 || has("alone") {
			t.Errorf("%q, %v", c.Unfinished, err)
		}
		r, err := x.Fsck(ctx, x.owner, nil, nil)
		if err != nil || len(r.Problems) != 1 || r.Problems[0].Code != "upload_edited" || len(r.Notes) != 0 { // this test's order has no entry
			t.Errorf("%v %v, %v", r.Problems, r.Notes, err)
		}
		x.recordClean()
	})
}

// Evidence of an agent and a file that a person sent may have the same bytes.
func TestEvidenceAndSentFileShareBytes(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	ctx := t.Context()
	x.uploading()
	o := newOffice(t, x)
	acquisition := o.keiri.send("flash", map[artifact.Kind][]string{artifact.KindProcess: {`{"pid":1}`}})
	items, err := o.AcquisitionItems(ctx, o.owner, acquisition)
	ok(t, err)
	_, r, err := o.OpenEvidence(ctx, o.owner, items[0].ID, act.ToDownload)
	ok(t, err)
	b, err := io.ReadAll(r)
	ok(t, errors.Join(err, r.Close()))
	u := x.sent(o.incident, "copy", string(b))
	if u.SHA256 != items[0].StoredSHA256 {
		t.Fatal("the bytes are others")
	}
	ok(t, x.CloseIncident(ctx, x.owner, o.incident, "x"))
	for _, no := range []string{o.incident + "-E01", u.Exhibit} {
		sum, err := digest.Parse(u.SHA256)
		ok(t, err)
		if _, err := x.blobs.Stat(ctx, sum); err != nil {
			t.Fatalf("before %s: %v", no, err)
		}
		g, err := x.DisposalOf(ctx, x.owner, no)
		ok(t, err)
		if want := map[bool]int{true: 1}[no != u.Exhibit]; g.Shared != want {
			t.Errorf("%s shares %d files, want %d", no, g.Shared, want)
		}
		_, err = x.DisposeExhibit(ctx, x.owner, no, "x", g.Fingerprint())
		ok(t, err)
	}
	sum, err := digest.Parse(u.SHA256)
	ok(t, err)
	if _, err := x.blobs.Stat(ctx, sum); err == nil {
		t.Error("the bytes are still there")
	}
	if codes := o.fsckCodes(); len(codes) != 0 {
		t.Errorf("%q", codes)
	}
}
