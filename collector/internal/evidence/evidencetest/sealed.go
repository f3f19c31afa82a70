package evidencetest

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"hozen/collector/internal/blob/atrest"
	"hozen/collector/internal/blob/fsblob"
)

// OpenBlobs opens a store that encrypts, in blobs/ of dir, with keys that are made in dir
// when they are not there: another process opens the same.
func OpenBlobs(t testing.TB, dir string) *fsblob.Store {
	t.Helper()
	cfg := atrest.Config{Dir: filepath.Join(dir, "blobs", "keys"), KeyFile: filepath.Join(dir, "evidence.key"), Collector: "test"}
	ring, err := atrest.Open(cfg)
	if errors.Is(err, atrest.ErrNoKeyFile) {
		if _, err := atrest.MakeKeyFile(cfg.KeyFile, time.Now()); err != nil {
			t.Fatal(err)
		}
		ring, err = atrest.Open(cfg)
	}
	if errors.Is(err, atrest.ErrNoKeys) {
		_, err = ring.Add()
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := fsblob.OpenSealed(filepath.Join(dir, "blobs"), ring)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
