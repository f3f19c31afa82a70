package spool_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"hozen/agent/internal/spool"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// TestSignedPartsOutliveTheirNotes: what is noted beside encrypted parts may be damaged, gone or
// of a newer agent. Of what was signed nothing is taken away then, also where it was delivered or
// refused; the manifest tells what is in it.
func TestSignedPartsOutliveTheirNotes(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func([]byte) []byte // nil: the file goes
		named bool
	}{
		{"whole", func(b []byte) []byte { return b }, false},
		{"damaged", func(b []byte) []byte { b[3] ^= 1; return b }, true},
		{"gone", nil, true},
		{"too large", func([]byte) []byte { return bytes.Repeat([]byte(" "), 9<<20) }, true},
		{"of a newer agent", func(b []byte) []byte { return bytes.Replace(b, []byte(`{"name"`), []byte(`{"new":1,"name"`), 1) }, false},
		{"of other bytes", func(b []byte) []byte {
			return bytes.Replace(b, []byte(digest.Of([]byte(bytesA)).String()), []byte(digest.Of(nil).String()), 1)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, wrap := organisation(t)
			dir := t.TempDir()
			s := open(t, spool.Config{Dir: dir, Wrap: wrap})
			a, err := s.Begin(id.New(id.Acquisition), []byte("plan"))
			must(t, err)
			must(t, write(a, partA, bytesA))
			with := seal
			with.Manifest = fmt.Appendf(nil, `{"artifacts":[{"name":%q,"stored":{"size":%d,"sha256":%q}}]}`, partA, len(bytesA), digest.Of([]byte(bytesA)).String())
			must(t, a.Seal(with))
			must(t, s.Close())
			notes := filepath.Join(dir, a.ID(), "parts.jsonl")
			if b, err := os.ReadFile(notes); c.do != nil {
				must(t, err)
				must(t, os.WriteFile(notes, c.do(b), 0o600))
			} else {
				must(t, os.Remove(notes))
			}
			half := filepath.Join(dir, a.ID(), "artifacts", "c.age.part")
			if c.named {
				must(t, os.WriteFile(half, []byte("half"), 0o600))
			}
			for _, state := range []spool.State{spool.Sealed, spool.Refused, spool.Received} {
				s = open(t, spool.Config{Dir: dir, Wrap: wrap})
				switch state {
				case spool.Refused:
					must(t, s.Refused(a.ID(), "no"))
				case spool.Received:
					must(t, s.Receipt(a.ID(), []byte("receipt")))
				}
				must(t, s.Close())
				s = open(t, spool.Config{Dir: dir, Wrap: wrap})
				if got := states(s); got != state.String() {
					t.Errorf("it is %s", got)
				}
				r, err := s.Open(a.ID())
				must(t, err)
				parts, err := r.Parts()
				must(t, err)
				if len(parts) != 1 || parts[0].Size != int64(len(bytesA)) || parts[0].SHA256 != digest.Of([]byte(bytesA)) || !parts[0].Sealed || !parts[0].Complete {
					t.Errorf("%s: %+v", state, parts)
				}
				if told := s.Status().Problems; (len(told) > 0) != c.named {
					t.Errorf("%s: %q", state, told)
				}
				must(t, r.Close())
				must(t, s.Close())
			}
			if _, err := os.Stat(half); c.named && err != nil {
				t.Errorf("beside what was signed: %v", err)
			}
		})
	}
}

// TestWholeFilesWithoutNoteAreKept: nobody can tell what is in them, so they are no parts; but a
// file that has its name was whole.
func TestWholeFilesWithoutNoteAreKept(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("notes that are open cannot be taken away there")
	}
	_, wrap := organisation(t)
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, Wrap: wrap})
	a, err := s.Begin(id.New(id.Acquisition), []byte("plan"))
	must(t, err)
	whole := map[string]bool{}
	for n := range 3 {
		must(t, write(a, partB, fmt.Sprint(n)))
		b, err := os.ReadFile(filepath.Join(dir, a.ID(), partB+".age"))
		must(t, err)
		whole[string(b)] = true
		must(t, s.Close())
		must(t, os.Remove(filepath.Join(dir, a.ID(), "parts.jsonl")))
		s = open(t, spool.Config{Dir: dir, Wrap: wrap})
		if told := fmt.Sprint(s.Status().Problems); strings.Count(told, "is kept") != n+1 {
			t.Errorf("named: %s", told)
		}
		if s.List()[0].Bytes < int64((n+1)*len(b)) {
			t.Errorf("the quota does not count it: %+v", s.List())
		}
		a, err = s.Resume(a.ID())
		must(t, err)
		if len(a.Parts()) > 0 || fmt.Sprint(a.Dropped()) != "["+partB+"]" {
			t.Errorf("parts %+v, dropped %v", a.Parts(), a.Dropped())
		}
	}
	must(t, write(a, partA, bytesA))
	must(t, a.Seal(seal))
	must(t, s.Close())
	s = open(t, spool.Config{Dir: dir, Wrap: wrap})
	files, err := os.ReadDir(filepath.Join(dir, a.ID(), "artifacts"))
	must(t, err)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, a.ID(), "artifacts", f.Name()))
		must(t, err)
		delete(whole, string(b))
	}
	if len(whole) > 0 || len(files) != 4 || states(s) != "sealed" {
		t.Errorf("%d are gone, of %v; %s", len(whole), files, states(s))
	}
	must(t, s.Receipt(a.ID(), []byte("receipt")))
	must(t, s.Close())
	open(t, spool.Config{Dir: dir, KeepAfterReceipt: -1})
	if _, err := os.Stat(filepath.Join(dir, a.ID())); err == nil {
		t.Error("it stays when the acquisition goes")
	}
}

func write(a *spool.Acquisition, name, content string) error {
	p, err := a.Create(name)
	if err != nil {
		return err
	}
	if _, err := p.Write([]byte(content)); err != nil {
		return err
	}
	return p.Close()
}
