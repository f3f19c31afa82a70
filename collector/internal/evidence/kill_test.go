package evidence_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/crashpoint"
)

const childFolder = "HOZEN_TEST_KILL_FOLDER"

// TestKilled has a process that takes evidence in killed at every crash point, then
// goes on in its folder as a restarted collector does: everything is there exactly
// once. It needs the tag crashpoint.
func TestKilled(t *testing.T) {
	if !crashpoint.Enabled {
		t.Skip("built without the tag crashpoint")
	}
	if dir := os.Getenv(childFolder); dir != "" {
		childOf(t, dir)
		return
	}
	for _, point := range crashpoint.All() {
		if !strings.HasPrefix(point, "evidence.") {
			continue
		}
		for _, at := range []string{point, point + ":2"} {
			t.Run(at, func(t *testing.T) {
				dir := t.TempDir()
				c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
				c.Env = append(os.Environ(), childFolder+"="+dir, "HOZEN_CRASH_AT="+at)
				out, err := c.CombinedOutput()
				_, once, _ := strings.Cut(at, ":")
				killed := !c.ProcessState.Exited()
				if err == nil && once == "" || err != nil && !killed {
					t.Fatalf("the process was not killed: %v\n%s", err, out)
				}
				resurrect(t, dir)
			})
		}
	}
}

func siteIn(t *testing.T, dir string) *evidencetest.Site {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.SQLiteURL(filepath.Join(dir, "hozen.db"))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	site := evidencetest.New(t, db)
	site.Blobs = evidencetest.OpenBlobs(t, dir)
	site.Dir, site.Config.Blobs, site.Config.Incoming = dir, site.Blobs, filepath.Join(dir, "incoming")
	site.Config.Verifier = anyone{}
	return site
}

// anyone takes every certificate: the key of the one who enrolled died with the process.
type anyone struct{}

func (anyone) SignerKey(_ context.Context, _ string, certificate []byte) (*ecdsa.PublicKey, error) {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, err
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, evidence.ErrNotIssued
	}
	return key, nil
}

func childOf(t *testing.T, dir string) {
	site := siteIn(t, dir)
	ep := site.Endpoint(t)
	a := ep.Acquisition(t, 60, artifact.KindProcess, artifact.KindNetConn, artifact.KindSession)
	spooled, err := json.Marshal(a)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "spool.json"), spooled, 0o600)
	}
	if err == nil {
		_, err = evidencetest.Send(t.Context(), site.Open(t, nil), ep.ID, a)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func resurrect(t *testing.T, dir string) {
	site := siteIn(t, dir)
	var a evidencetest.Acquisition
	spooled, err := os.ReadFile(filepath.Join(dir, "spool.json"))
	if err == nil {
		err = json.Unmarshal(spooled, &a)
	}
	if err != nil {
		t.Fatal(err)
	}
	in := site.Open(t, nil)
	_, err = in.Recover(t.Context())
	_, serr := evidencetest.Send(t.Context(), in, a.Manifest.EndpointID, &a)
	if err := errors.Join(err, serr); err != nil {
		t.Fatal(err)
	}
	r, err := fsck.Run(t.Context(), fsck.Config{DB: site.DB, Blobs: site.Blobs}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(r.Problems, r.Notes, r.Acquisitions, r.Items, r.Blobs, r.Entries); got != "[] [] 1 3 4 4" {
		t.Error(got)
	}
	if n := leftovers(t, site); n != 0 {
		t.Errorf("%d files are left in incoming", n)
	}
}
