package fsck_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hozen/collector/internal/blob/atrest"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/digest"
)

// world is a store with three accepted acquisitions.
func world(t *testing.T, db *sqldb.DB) (*evidencetest.Site, []*evidencetest.Acquisition) {
	t.Helper()
	site := evidencetest.New(t, db)
	in := site.Open(t, nil)
	var sent []*evidencetest.Acquisition
	for range 3 {
		ep := site.Endpoint(t)
		a := ep.Acquisition(t, 20, artifact.KindProcess, artifact.KindNetConn)
		if _, err := evidencetest.Send(t.Context(), in, ep.ID, a); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, a)
	}
	return site, sent
}

func run(t *testing.T, site *evidencetest.Site) fsck.Report {
	t.Helper()
	r, err := fsck.Run(t.Context(), fsck.Config{DB: site.DB, Blobs: site.Blobs, CA: site.CA.Certificate(), Verifier: site}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestClean(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		site, sent := world(t, db)
		steps := map[string]int{}
		r, err := fsck.Run(t.Context(), fsck.Config{DB: db, Blobs: site.Blobs}, func(step string, done, _ int) { steps[step] = done })
		if err != nil {
			t.Fatal(err)
		}
		var bytes int64
		for _, a := range sent {
			for _, b := range a.Parts {
				bytes += int64(len(b))
			}
		}
		if !r.Clean() || len(r.Notes) > 0 || r.Acquisitions != 3 || r.Items != 6 || r.Blobs != 9 || r.Entries != 9 || r.Bytes != bytes {
			t.Errorf("%+v", r)
		}
		if steps[fsck.StepLedger] != 9 || steps[fsck.StepEvidence] != 3 || steps[fsck.StepBlobs] != 9 {
			t.Errorf("progress: %v", steps)
		}
	})
}

// What an intruder on the collector or a failing disk can do, and what must be said.
func TestTampering(t *testing.T) {
	acq := func(a *evidencetest.Acquisition) string { return "id = '" + a.Manifest.AcquisitionID + "'" }
	items := func(a *evidencetest.Acquisition) string {
		return "acquisition_id = '" + a.Manifest.AcquisitionID + "'"
	}
	for name, c := range map[string]struct {
		code   string
		tamper func(t *testing.T, w tampered)
	}{
		"byte of a blob":    {"blob_corrupt", func(t *testing.T, w tampered) { w.blob(t, w.part(), func(b []byte) []byte { b[9] ^= 1; return b }) }},
		"blob cut off":      {"blob_corrupt", func(t *testing.T, w tampered) { w.blob(t, w.part(), func(b []byte) []byte { return b[:9] }) }},
		"blob removed":      {"blob_missing", func(t *testing.T, w tampered) { w.blob(t, w.part(), nil) }},
		"manifest changed":  {"blob_corrupt", func(t *testing.T, w tampered) { w.blob(t, w.manifest(), func(b []byte) []byte { b[9] ^= 1; return b }) }},
		"manifest removed":  {"blob_missing", func(t *testing.T, w tampered) { w.blob(t, w.manifest(), nil) }},
		"file in the store": {"stray_file", func(t *testing.T, w tampered) { w.blob(t, "notes", func([]byte) []byte { return nil }) }},
		"host renamed": {"row_edited", func(t *testing.T, w tampered) {
			w.sql(t, "UPDATE evidence_acquisitions SET endpoint_id = 'end_x' WHERE "+acq(w.a))
		}},
		"outcome prettified": {"row_edited", func(t *testing.T, w tampered) {
			w.sql(t, "UPDATE evidence_acquisitions SET outcome = 'partial' WHERE "+acq(w.a))
		}},
		"time moved": {"receipt_wrong", func(t *testing.T, w tampered) {
			w.sql(t, "UPDATE evidence_acquisitions SET received_at = '2020-01-01T00:00:00.000000000Z' WHERE "+acq(w.a))
		}},
		"moved to another case": {"ledger_wrong", func(t *testing.T, w tampered) {
			w.sql(t, "UPDATE evidence_acquisitions SET incident_id = 'inc_x' WHERE "+acq(w.a))
		}},
		"item's digest": {"row_edited", func(t *testing.T, w tampered) {
			w.sql(t, "UPDATE evidence_items SET stored_sha256 = plain_sha256 WHERE "+items(w.a))
		}},
		"item renumbered": {"ledger_wrong", func(t *testing.T, w tampered) {
			w.sql(t, "UPDATE evidence_items SET number = 'INC-2026-0007-E99' WHERE position = 1 AND "+items(w.a))
		}},
		"item removed": {"row_missing", func(t *testing.T, w tampered) {
			w.sql(t, "DELETE FROM evidence_items WHERE position = 1 AND "+items(w.a))
		}},
		"acquisition removed": {"row_missing", func(t *testing.T, w tampered) { w.sql(t, "DELETE FROM evidence_acquisitions WHERE "+acq(w.a)) }},
		"all of it removed": {"row_missing", func(t *testing.T, w tampered) {
			w.sql(t, "DELETE FROM evidence_acquisitions WHERE "+acq(w.a))
			w.sql(t, "DELETE FROM evidence_items WHERE "+items(w.a))
		}},
		"signature removed": {"signature_wrong", func(t *testing.T, w tampered) {
			w.sql(t, "UPDATE evidence_acquisitions SET manifest_signature = '' WHERE "+acq(w.a))
		}},
		"receipt edited": {"receipt_wrong", func(t *testing.T, w tampered) {
			w.sql(t, "UPDATE evidence_acquisitions SET receipt_payload = REPLACE(receipt_payload, 'E05', 'E15') WHERE "+acq(w.a))
		}},
		"ledger entry edited": {"ledger_edited", func(t *testing.T, w tampered) {
			w.sql(t, "UPDATE ledger_entries SET entry_json = REPLACE(entry_json, '経理', '総務')")
		}},
		"ledger entry removed": {"ledger_missing", func(t *testing.T, w tampered) { w.sql(t, "DELETE FROM ledger_entries WHERE idx = 8") }},
		"ledger cut back": {"receipt_wrong", func(t *testing.T, w tampered) {
			w.sql(t, "DELETE FROM ledger_hashes WHERE idx + LENGTH(hash) / 64 > 14")
		}},
		"another's certificate": {"signature_wrong", func(t *testing.T, w tampered) {
			w.sql(t, "UPDATE evidence_acquisitions SET signer_certificate = (SELECT receipt_certificate FROM evidence_acquisitions WHERE "+acq(w.a)+") WHERE "+acq(w.a))
		}},
		"certificate not base64": {"row_edited", func(t *testing.T, w tampered) {
			w.sql(t, "UPDATE evidence_acquisitions SET signer_certificate = '?' WHERE "+acq(w.a))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			site, sent := world(t, sqldbtest.Open(t))
			c.tamper(t, tampered{site, sent[2]})
			r := run(t, site)
			if !slices.ContainsFunc(r.Problems, func(p fsck.Problem) bool { return string(p.Code) == c.code }) {
				t.Errorf("want %s, got %v", c.code, r.Problems)
			}
			for _, p := range r.Problems {
				for _, innocent := range sent[:2] {
					if p.Subject == innocent.Manifest.AcquisitionID {
						t.Errorf("blames an acquisition that nobody touched: %v", p)
					}
				}
			}
		})
	}
}

type tampered struct {
	site *evidencetest.Site
	a    *evidencetest.Acquisition
}

func (w tampered) part() string     { return w.a.Manifest.Artifacts[0].Stored.SHA256 }
func (w tampered) manifest() string { return digest.Of(w.a.Raw).String() }

func (w tampered) blob(t *testing.T, name string, change func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(w.site.Dir, "blobs", "sha256", name[:2], name+".age")
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if change == nil {
		return
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, change(b), 0o444)); err != nil {
		t.Fatal(err)
	}
}

func (w tampered) sql(t *testing.T, statement string) {
	t.Helper()
	if err := w.site.DB.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		r, err := tx.ExecContext(ctx, statement)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			t.Errorf("changed nothing: %s", statement)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestOrphanIsANote(t *testing.T) {
	site, _ := world(t, sqldbtest.Open(t))
	content := "left by a crash"
	if err := site.Blobs.Put(t.Context(), digest.Of([]byte(content)), int64(len(content)), strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	r := run(t, site)
	if !r.Clean() || len(r.Notes) != 1 || r.Notes[0].Code != fsck.OrphanBlob || r.OrphanBytes != int64(len(content)) {
		t.Errorf("%+v", r)
	}
}

// A verifier that can't answer is no verdict.
func TestNotAbleToLook(t *testing.T) {
	site, _ := world(t, sqldbtest.Open(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fsck.Run(ctx, fsck.Config{DB: site.DB, Blobs: site.Blobs}, nil); err == nil {
		t.Error("a verdict without looking")
	}
}

func TestBackup(t *testing.T) { sqldbtest.Run(t, testBackup) }

func testBackup(t *testing.T, db *sqldb.DB) {
	site, _ := world(t, db)
	dir := filepath.Join(t.TempDir(), "backup")
	cfg := fsck.BackupConfig{DB: site.DB, Blobs: site.Blobs, Dir: dir}
	first, err := fsck.Backup(t.Context(), cfg, nil)
	if err != nil || first.Blobs != 9 || len(first.Ledgers) != 1 || first.Ledgers[0].Size != 9 {
		t.Fatalf("%+v, %v", first, err)
	}
	ep := site.Endpoint(t)
	a := ep.Acquisition(t, 5, artifact.KindSession)
	if _, err := evidencetest.Send(t.Context(), site.Open(t, nil), ep.ID, a); err != nil {
		t.Fatal(err)
	}
	second, err := fsck.Backup(t.Context(), cfg, nil)
	if err != nil || second.Blobs != 11 || second.Ledgers[0].Size != 11 {
		t.Fatalf("%+v, %v", second, err)
	}
	if note, err := fsck.ReadNote(dir); err != nil || note.SHA256 != second.SHA256 || !note.At.Equal(second.At) {
		t.Errorf("%+v, %v", note, err)
	}

	// The backup is a whole store: it opens as one and proves itself.
	copied := evidencetest.Site{Dir: dir, CA: site.CA}
	if copied.DB, err = sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.SQLiteURL(filepath.Join(dir, fsck.BackupDB))}); err != nil {
		t.Fatal(err)
	}
	defer copied.DB.Close()
	r, err := fsck.Run(t.Context(), fsck.Config{DB: copied.DB, Blobs: site.Blobs, CA: site.CA.Certificate(), Verifier: site}, nil)
	if err != nil || !r.Clean() || r.Acquisitions != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := (evidence.Reader{DB: copied.DB}).Acquisition(t.Context(), evidencetest.Org, a.Manifest.AcquisitionID); err != nil {
		t.Error(err)
	}
}

func TestBackupRefuses(t *testing.T) {
	site, _ := world(t, sqldbtest.Open(t))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fsck.Backup(t.Context(), fsck.BackupConfig{DB: site.DB, Blobs: site.Blobs, Dir: dir}, nil); err == nil {
		t.Error("backed up into somebody's folder")
	}

	// A store that is not right makes no backup that looks right.
	(tampered{site: site}).sql(t, "DELETE FROM ledger_entries WHERE idx = 3")
	dir = filepath.Join(t.TempDir(), "b")
	if _, err := fsck.Backup(t.Context(), fsck.BackupConfig{DB: site.DB, Blobs: site.Blobs, Dir: dir}, nil); err == nil {
		t.Error("backed up a broken ledger without a word")
	}
	if _, err := fsck.ReadNote(dir); err == nil {
		t.Error("a failed backup has a note")
	}
}

// A backup is worth what can be restored from it: everything in it is proved from its own bytes.
func TestProveBackup(t *testing.T) { sqldbtest.Run(t, testProveBackup) }

func testProveBackup(t *testing.T, db *sqldb.DB) {
	site, _ := world(t, db)
	dir := filepath.Join(t.TempDir(), "backup")
	if _, _, err := fsck.Prove(t.Context(), fsck.ProveConfig{Dir: dir}, nil); err == nil {
		t.Error("proved a backup that is not there")
	}
	want, err := fsck.Backup(t.Context(), fsck.BackupConfig{DB: site.DB, Blobs: site.Blobs, Dir: dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, sealed := site.Blobs.Vault().(*atrest.Ring)
	if !sealed {
		t.Fatal("the store does not encrypt")
	}
	prove := func() fsck.Report {
		t.Helper()
		n, r, err := fsck.Prove(t.Context(), fsck.ProveConfig{Dir: dir, Keys: keys, CA: site.CA.Certificate()}, nil)
		if err != nil || n.SHA256 != want.SHA256 {
			t.Fatalf("%+v, %v", n, err)
		}
		return r
	}
	if r := prove(); !r.Clean() || r.Blobs != want.Blobs || r.Acquisitions == 0 {
		t.Fatalf("%+v", r)
	}

	// One byte of one piece of evidence.
	var blob string
	err = filepath.WalkDir(filepath.Join(dir, fsck.BackupBlobs, "sha256"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && blob == "" {
			blob = path
		}
		return err
	})
	if err != nil || blob == "" {
		t.Fatal(err)
	}
	was, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(was)
	changed[len(changed)/2] ^= 1
	write := func(path string, b []byte) {
		t.Helper()
		if err := os.Chmod(path, 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(blob, changed)
	if r := prove(); r.Clean() {
		t.Error("a changed byte of the evidence was not seen")
	}
	write(blob, was)

	// Evidence that is missing, and a database that is another one.
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	if r := prove(); r.Clean() {
		t.Error("missing evidence was not seen")
	}
	write(blob, was)
	path := filepath.Join(dir, fsck.BackupDB)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(path, append(file, 0))
	if r := prove(); r.Clean() || r.Problems[0].Code != fsck.BackupChanged {
		t.Errorf("another database: %+v", r.Problems)
	}
}
