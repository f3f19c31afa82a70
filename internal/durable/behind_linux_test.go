package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/internal/durable"
)

// TestWriteBehindTellsOfTheFirstWindow: an error of beginning to write is told, for the
// sync at the end need not hear of it again; a file that has no such thing is none.
func TestWriteBehindTellsOfTheFirstWindow(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int64{0, 4096} {
		// A closed file stands for a disk that fails: that one needs a device of its own.
		if err := durable.WriteBehind(f, offset, 4096); !errors.Is(err, unix.EBADF) {
			t.Errorf("from %d on: %v", offset, err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err := durable.WriteBehind(w, 0, 4096); err != nil {
		t.Errorf("a pipe: %v", err)
	}
}
