package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hozen/internal/durable"
)

// TestReplacesWhatIsBeingRead: a reader lets go after a moment, and the file is replaced then;
// one that does not is told of, and the old file stays.
func TestReplacesWhatIsBeingRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "word.json")
	if err := durable.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	let := time.AfterFunc(200*time.Millisecond, func() { reader.Close() })
	defer let.Stop()
	if err := durable.WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); string(b) != "new" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if reader, err = os.Open(path); err != nil {
		t.Fatal(err)
	}
	err = durable.WriteFile(path, []byte("newer"), 0o600)
	reader.Close()
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("replaced while it was read: %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "new" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}
