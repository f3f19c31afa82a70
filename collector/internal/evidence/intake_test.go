package evidence_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/custody"
	"hozen/internal/digest"
)

func TestAccept(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		site := evidencetest.New(t, db)
		in := site.Open(t, nil)
		ep := site.Endpoint(t)
		a := ep.Acquisition(t, 500, artifact.KindProcess, artifact.KindNetConn)
		r, err := evidencetest.Send(ctx, in, ep.ID, a)
		if err != nil {
			t.Fatal(err)
		}
		got, err := custody.Verify(custody.Signed{Payload: r.Payload, Signature: r.Signature, Certificate: r.Certificate}, site.CA.Certificate())
		if err != nil {
			t.Fatal(err)
		}
		if got.AcquisitionID != a.Manifest.AcquisitionID || got.EndpointID != ep.ID || got.ManifestSHA256 != digest.Of(a.Raw).String() ||
			got.IncidentNumber != evidencetest.IncidentNumber || len(got.Evidence) != 2 || got.Evidence[1].Number != "INC-2026-0007-E02" {
			t.Errorf("receipt: %+v", got)
		}
		root, err := ledger.RootAt(ctx, db.Read(), evidencetest.Org, got.Ledger.TreeSize)
		if err != nil || digest.Digest(root).String() != got.Ledger.RootSHA256 {
			t.Errorf("the receipt's root is not the ledger's: %v", err)
		}

		rd := evidence.Reader{DB: db, Blobs: site.Blobs}
		items, err := rd.Items(ctx, evidence.ItemFilter{OrganisationID: evidencetest.Org, IncidentID: site.Incident})
		if err != nil || len(items) != 2 {
			t.Fatalf("%d items, %v", len(items), err)
		}
		for n, it := range items {
			if it.Kind != a.Manifest.Artifacts[n].Kind || it.Outcome != artifact.Complete || it.Records != 500 || it.AcquisitionID != a.Manifest.AcquisitionID {
				t.Errorf("item %d: %+v", n, it)
			}
			f, err := rd.Open(ctx, it)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(f)
			if err := errors.Join(err, f.Close()); err != nil || !bytes.Equal(b, a.Parts[it.Name]) {
				t.Errorf("item %d holds other bytes: %v", n, err)
			}
			for _, name := range []string{it.ID, it.Number} {
				if one, err := rd.Item(ctx, evidencetest.Org, name); err != nil || one.ID != it.ID {
					t.Errorf("item %s: %+v, %v", name, one, err)
				}
				if _, err := rd.Item(ctx, "org_other", name); !errors.Is(err, evidence.ErrNotFound) {
					t.Errorf("another organisation sees item %s: %v", name, err)
				}
			}
		}
		sealed, err := rd.Sealed(ctx, evidencetest.Org, a.Manifest.AcquisitionID)
		if err != nil || !bytes.Equal(sealed.Manifest, a.Raw) || !bytes.Equal(sealed.Signature, a.Signature) {
			t.Errorf("sealed: %v", err)
		}
		entries, err := ledger.Entries(ctx, db.Read(), ledger.Filter{OrganisationID: evidencetest.Org})
		if err != nil || len(entries) != 3 || entries[0].Act != evidence.ActAccepted || entries[0].Subject != a.Manifest.AcquisitionID {
			t.Errorf("ledger: %+v, %v", entries, err)
		}
		if n := leftovers(t, site); n != 0 {
			t.Errorf("%d files are left in incoming", n)
		}

		// A second acquisition goes on counting.
		b := ep.Acquisition(t, 1, artifact.KindSession)
		if _, err := evidencetest.Send(ctx, in, ep.ID, b); err != nil {
			t.Fatal(err)
		}
		acqs, err := rd.Acquisitions(ctx, evidence.AcquisitionFilter{OrganisationID: evidencetest.Org, EndpointID: ep.ID})
		if err != nil || len(acqs) != 2 || acqs[0].ID != b.Manifest.AcquisitionID || acqs[1].Records != 1000 {
			t.Errorf("acquisitions: %+v, %v", acqs, err)
		}
		if it, err := rd.Item(ctx, evidencetest.Org, "INC-2026-0007-E03"); err != nil || it.Kind != artifact.KindSession {
			t.Errorf("%+v, %v", it, err)
		}
	})
}

// leftovers counts the files below incoming.
func leftovers(t *testing.T, site *evidencetest.Site) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(site.Dir, "incoming"), func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSameAgain(t *testing.T) {
	ctx := t.Context()
	site := evidencetest.New(t, sqldbtest.Open(t))
	in := site.Open(t, nil)
	ep, other := site.Endpoint(t), site.Endpoint(t)
	a := ep.Acquisition(t, 10, artifact.KindProcess)
	first, err := evidencetest.Send(ctx, in, ep.ID, a)
	if err != nil {
		t.Fatal(err)
	}
	in = site.Open(t, nil) // restarted
	again := func(endpointID string, a *evidencetest.Acquisition, parts bool) (evidence.Receipt, error) {
		u, err := in.Begin(ctx, endpointID, a.Manifest.AcquisitionID)
		if err != nil {
			return evidence.Receipt{}, err
		}
		defer u.Close()
		for name, b := range a.Parts {
			if parts {
				if err := evidencetest.SendPart(u, name, b, 0); err != nil {
					return evidence.Receipt{}, err
				}
			}
		}
		return u.Seal(ctx, a.Raw, a.Signature, a.Certificate)
	}
	for _, parts := range []bool{true, false} {
		r, err := again(ep.ID, a, parts)
		if err != nil || !bytes.Equal(r.Payload, first.Payload) || !bytes.Equal(r.Signature, first.Signature) {
			t.Errorf("the same again (with parts: %t): %v", parts, err)
		}
	}
	if st, err := in.State(ctx, ep.ID, a.Manifest.AcquisitionID); err != nil || st.Receipt == nil || !bytes.Equal(st.Receipt.Payload, first.Payload) {
		t.Errorf("state: %+v, %v", st, err)
	}

	b := ep.Acquisition(t, 11, artifact.KindProcess)
	b.Manifest.AcquisitionID = a.Manifest.AcquisitionID
	ep.Sign(t, b)
	wantRefusal(t, evidence.Conflict, func() error { _, err := again(ep.ID, b, true); return err })
	mixed := *a
	mixed.Parts = b.Parts
	wantRefusal(t, evidence.Conflict, func() error { _, err := again(ep.ID, &mixed, true); return err })

	c := other.Acquisition(t, 1, artifact.KindProcess)
	c.Manifest.AcquisitionID = a.Manifest.AcquisitionID
	other.Sign(t, c)
	wantRefusal(t, evidence.ForeignEndpoint, func() error { _, err := again(other.ID, c, true); return err })
	wantRefusal(t, evidence.ForeignEndpoint, func() error { _, err := in.State(ctx, other.ID, a.Manifest.AcquisitionID); return err })

	if len(site.Accepted) != 1 || len(site.Refused) != 4 {
		t.Errorf("accepted %d times, refused %d times", len(site.Accepted), len(site.Refused))
	}
	if n := leftovers(t, site); n != 0 {
		t.Errorf("%d files are left in incoming", n)
	}
}

func wantRefusal(t *testing.T, code evidence.Code, f func() error) {
	t.Helper()
	err := f()
	if r, ok := errors.AsType[*evidence.Refusal](err); !ok || r.Code != code || r.Detail == "" {
		t.Errorf("want refusal %s, got %v", code, err)
	}
}

func TestResume(t *testing.T) {
	ctx := t.Context()
	site := evidencetest.New(t, sqldbtest.Open(t))
	in := site.Open(t, nil)
	ep := site.Endpoint(t)
	a := ep.Acquisition(t, 3000, artifact.KindProcess, artifact.KindOpenFile)
	acq := a.Manifest.AcquisitionID
	process, openfile := "artifacts/process.jsonl.zst", "artifacts/openfile.jsonl.zst"
	begin := func() *evidence.Upload {
		u, err := in.Begin(ctx, ep.ID, acq)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	u := begin()
	must(evidencetest.SendPart(u, openfile, a.Parts[openfile], 0))
	must(u.Part(process, 0, nil))
	must(u.Write(bytes.Clone(a.Parts[process][:5000])))

	// The connection is dead, the collector does not know yet, and the agent is back.
	st, err := in.State(ctx, ep.ID, acq)
	want := []evidence.PartState{{Name: openfile, Size: int64(len(a.Parts[openfile])), Complete: true}, {Name: process, Size: 5000}}
	if err != nil || !slices.Equal(st.Parts, want) {
		t.Fatalf("state: %+v, %v", st, err)
	}
	u2 := begin()
	if err := u.Write([]byte("late")); !errors.Is(err, evidence.ErrSuperseded) {
		t.Errorf("the old upload went on: %v", err)
	}
	u.Close()
	must(u2.Part(process, 5000, nil))
	must(u2.Write(bytes.Clone(a.Parts[process][5000:6000])))
	u2.Close()

	in = site.Open(t, nil) // restarted
	u3 := begin()
	if err := u3.Part(process, 5999, nil); !errors.Is(err, evidence.ErrOffset) {
		t.Errorf("a wrong offset: %v", err)
	}
	u3.Close()
	u3 = begin()
	if err := u3.Part("artifacts/clock.jsonl.zst", 7, nil); !errors.Is(err, evidence.ErrOffset) {
		t.Errorf("an offset in nothing: %v", err)
	}
	u3.Close()
	if _, err := evidencetest.Send(ctx, in, ep.ID, a); err != nil {
		t.Fatal(err)
	}

	// Bytes that went bad on the disk in between are not the agent's fault.
	b := ep.Acquisition(t, 3000, artifact.KindProcess)
	u, err = in.Begin(ctx, ep.ID, b.Manifest.AcquisitionID)
	must(err)
	must(u.Part(process, 0, nil))
	must(u.Write(bytes.Clone(b.Parts[process][:5000])))
	u.Close()
	path := filepath.Join(site.Dir, "incoming", ep.ID, b.Manifest.AcquisitionID, "p-process.jsonl.zst.part")
	must(os.WriteFile(path, make([]byte, 5000), 0o600))
	if _, err := evidencetest.Send(ctx, in, ep.ID, b); !errors.Is(err, evidence.ErrOffset) {
		t.Errorf("bad bytes on disk: %v", err)
	}
	if _, err := evidencetest.Send(ctx, in, ep.ID, b); err != nil {
		t.Errorf("sent from the beginning: %v", err)
	}
	if len(site.Refused) != 0 {
		t.Errorf("refused: %+v", site.Refused)
	}
}

// A part that was given up half-way, because its probe failed or the PC lost power,
// must not cost the rest of the acquisition.
func TestPartGivenUp(t *testing.T) {
	ctx := t.Context()
	site := evidencetest.New(t, sqldbtest.Open(t))
	in := site.Open(t, nil)
	ep := site.Endpoint(t)
	a := ep.Acquisition(t, 3000, artifact.KindProcess)
	u, err := in.Begin(ctx, ep.ID, a.Manifest.AcquisitionID)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(u.Part("artifacts/openfile.jsonl.zst", 0, nil), u.Write(make([]byte, 5000))); err != nil {
		t.Fatal(err)
	}
	u.Close()
	if _, err := evidencetest.Send(ctx, in, ep.ID, a); err != nil {
		t.Fatal(err)
	}
	if n := leftovers(t, site); n != 0 {
		t.Errorf("%d files left behind", n)
	}
}

// Parts may come in any order, end before the manifest exists, and be begun anew.
func TestPartAgain(t *testing.T) {
	ctx := t.Context()
	site := evidencetest.New(t, sqldbtest.Open(t))
	in := site.Open(t, nil)
	ep := site.Endpoint(t)
	a := ep.Acquisition(t, 100, artifact.KindProcess)
	name := "artifacts/process.jsonl.zst"
	u, err := in.Begin(ctx, ep.ID, a.Manifest.AcquisitionID)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	other := ep.Acquisition(t, 5, artifact.KindProcess).Parts[name]
	for _, err := range []error{
		evidencetest.SendPart(u, name, other, 0),
		evidencetest.SendPart(u, name, a.Parts[name], 0),
		evidencetest.SendPart(u, name, a.Parts[name], int64(len(a.Parts[name]))), // ended again
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := u.Seal(ctx, a.Raw, a.Signature, a.Certificate); err != nil {
		t.Error(err)
	}
}
