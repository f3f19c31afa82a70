package spool_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"hozen/agent/internal/spool"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// turned stands for encryption: it turns every bit, and writes an end when it is closed.
type turned struct {
	w    io.Writer
	fail error
}

func (t *turned) Write(b []byte) (int, error) {
	out := bytes.Clone(b)
	for i := range out {
		out[i] ^= 0xff
	}
	return t.w.Write(out)
}

func (t *turned) Close() error {
	if t.fail != nil {
		return t.fail
	}
	_, err := t.w.Write([]byte("end"))
	return err
}

// TestWrappedFolder: what lies in the folder is encrypted and has its own name, and the part
// speaks of what went in; without its end it is given up.
func TestWrappedFolder(t *testing.T) {
	for _, fail := range []error{nil, errors.New("disk full")} {
		dir := filepath.Join(t.TempDir(), "r")
		f := &spool.Folder{Dir: dir, Suffix: ".age", Wrap: func(w io.Writer) (io.WriteCloser, error) { return &turned{w, fail}, nil }}
		a, err := f.Begin(id.New(id.Acquisition), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Abort()
		p, err := a.Create("artifacts/x.jsonl.zst")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write([]byte("secret")); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); (err != nil) != (fail != nil) {
			t.Fatalf("close: %v", err)
		}
		list, err := os.ReadDir(filepath.Join(dir, "artifacts"))
		if err != nil {
			t.Fatal(err)
		}
		if fail != nil {
			if len(list) > 0 {
				t.Errorf("what was given up is still there: %v", list)
			}
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, "artifacts", "x.jsonl.zst.age"))
		if err != nil || len(list) != 1 || bytes.Contains(b, []byte("secret")) || !bytes.HasSuffix(b, []byte("end")) {
			t.Errorf("%q, %v, %v", b, list, err)
		}
		if sum, n := p.Sum(); n != 6 || sum != digest.Of([]byte("secret")) {
			t.Errorf("%v of %d bytes", sum, n)
		}
	}
	broken := &spool.Folder{Dir: filepath.Join(t.TempDir(), "r"), Wrap: func(io.Writer) (io.WriteCloser, error) { return nil, errors.New("no key") }}
	a, err := broken.Begin(id.New(id.Acquisition), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Abort()
	if _, err := a.Create("artifacts/x.jsonl.zst"); err == nil {
		t.Error("it was begun in the clear")
	}
}
