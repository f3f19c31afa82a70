package evidence_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
)

// TestDiskFull fills a real file system of 4 MB, with the database on it too, at
// whatever moment that happens to be, and then makes room.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small tmpfs needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("tmpfs cannot be mounted here: " + err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.SQLiteURL(filepath.Join(dir, "hozen.db"))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	site := evidencetest.New(t, db)
	site.Blobs = evidencetest.OpenBlobs(t, dir)
	site.Config.Blobs, site.Config.Incoming = site.Blobs, filepath.Join(dir, "incoming")
	site.Dir = dir
	in := site.Open(t, nil)
	ep := site.Endpoint(t)
	var sent, waiting []*evidencetest.Acquisition
	ballast := filepath.Join(dir, "ballast")
	fill := func(leave int) {
		var s unix.Statfs_t
		if err := unix.Statfs(dir, &s); err != nil {
			t.Fatal(err)
		}
		n := max(int(s.Bavail)*int(s.Bsize)-leave, 0)
		if err := os.WriteFile(ballast, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// From no room at all to just not enough for the rows.
	for leave := 0; leave < 500<<10; leave += 28 << 10 {
		a := ep.Acquisition(t, 1200, artifact.KindProcess, artifact.KindNetConn, artifact.KindSession)
		fill(leave)
		if _, err := evidencetest.Send(t.Context(), in, ep.ID, a); err == nil {
			sent = append(sent, a)
		} else if waiting = append(waiting, a); !errors.Is(err, evidence.ErrNoSpace) {
			t.Errorf("with %d bytes free: %v", leave, err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if len(waiting) > 0 {
			a := waiting[len(waiting)-1]
			waiting = waiting[:len(waiting)-1]
			if _, err := evidencetest.Send(t.Context(), in, ep.ID, a); err != nil {
				t.Fatalf("with room again: %v", err)
			}
			sent = append(sent, a)
		}
		exactlyOnce(t, site, sent)
		if len(sent) == 6 { // the file system is small
			break
		}
	}
	if len(sent) < 3 {
		t.Errorf("only %d acquisitions fit", len(sent))
	}
}
