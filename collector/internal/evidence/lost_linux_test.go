package evidence_test

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/digest"
)

// thinDisk mounts a file system whose disk takes less than it promises, and returns its
// folder and what gives the disk more. Bytes are lost there after write(2) took them.
func thinDisk(t *testing.T, disk string) (dir string, grow func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	backing := t.TempDir()
	if err := unix.Mount("none", backing, "tmpfs", 0, "size="+disk); err != nil {
		t.Skip("tmpfs cannot be mounted here: " + err.Error())
	}
	t.Cleanup(func() { _ = unix.Unmount(backing, unix.MNT_DETACH) })
	image := filepath.Join(backing, "image")
	dir = t.TempDir()
	for _, args := range [][]string{
		{"truncate", "-s", "200M", image}, {"mkfs.ext4", "-q", "-O", "^has_journal", image}, {"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%v cannot be had here: %v %s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v %s", err, out)
		}
	})
	return dir, func() {
		if err := unix.Mount("none", backing, "tmpfs", unix.MS_REMOUNT, "size=400m"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoReceiptForWhatTheDiskLost: the kernel tells once that bytes did not reach the
// disk, and goes on showing them from memory. Whoever asks again would sign a receipt
// for evidence that is not there.
func TestNoReceiptForWhatTheDiskLost(t *testing.T) {
	dir, grow := thinDisk(t, "24m")
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.SQLiteURL(filepath.Join(t.TempDir(), "hozen.db"))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	site := evidencetest.New(t, db)
	site.Blobs = evidencetest.OpenBlobs(t, dir)
	site.Config.Blobs, site.Config.Incoming = site.Blobs, filepath.Join(dir, "incoming")
	site.Config.DailyShare = 100 // it is sent again and again
	site.Dir = dir
	in := site.Open(t, nil)
	ep := site.Endpoint(t)
	a := ep.Acquisition(t, 10, artifact.KindProcess)
	var plain bytes.Buffer
	random := rand.NewChaCha8([32]byte{7})
	raw, n := make([]byte, 3000), int64(0)
	for ; plain.Len() < 50<<20; n++ {
		_, _ = random.Read(raw) // never fails
		plain.WriteString(base64.StdEncoding.EncodeToString(raw))
		plain.WriteByte('\n')
	}
	a.Add(t, artifact.KindNetConn, plain.Bytes(), n)
	ep.Sign(t, a)
	if _, err := evidencetest.Send(t.Context(), in, ep.ID, a); err == nil {
		t.Skip("the disk took everything; nothing is shown")
	}
	grow()
	for try := 0; ; try++ {
		if _, err = evidencetest.Send(t.Context(), in, ep.ID, a); err == nil {
			break
		}
		if try == 5 {
			t.Fatalf("with a disk that works again: %v", err)
		}
	}
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*", "*"))
	if err != nil || len(blobs) < 2 {
		t.Fatal(blobs, err)
	}
	for _, path := range blobs {
		if got := fromDisk(t, site.Blobs, path); got+".age" != filepath.Base(path) {
			t.Errorf("%s holds other bytes on disk, %s", path, got)
		}
	}
}

// fromDisk returns the digest of what the disk has, not of what memory shows.
func fromDisk(t *testing.T, blobs *fsblob.Store, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	name, err := digest.Parse(strings.TrimSuffix(filepath.Base(path), ".age"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := blobs.Open(t.Context(), name)
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	sum, _, err := digest.OfReader(r)
	if err != nil {
		return err.Error()
	}
	return sum.String()
}
