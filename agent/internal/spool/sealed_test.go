package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozen/agent/internal/spool"
	"hozen/internal/crashpoint"
	"hozen/internal/digest"
	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
	"hozen/internal/id"
)

// organisation is a secret key, and what encrypts to it.
func organisation(t testing.TB) (unseal.Identity, func() func(io.Writer) (io.WriteCloser, error)) {
	t.Helper()
	key, err := unseal.New()
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(w io.Writer) (io.WriteCloser, error) { return envelope.Seal(w, key.Recipient()) }
	return key, func() func(io.Writer) (io.WriteCloser, error) { return wrap }
}

// noise is n bytes that nobody finds on a disk by chance.
func noise(n int) []byte {
	b := make([]byte, 0, n+32)
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "secret %d of the PC's user\n", i)
	}
	return b[:n]
}

// clearOn names a file below dir that holds some of the bytes.
func clearOn(t *testing.T, dir string, b []byte) (found string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		have, err := os.ReadFile(path)
		if bytes.Contains(have, b[:min(24, len(b))]) || bytes.Contains(have, b[max(0, len(b)-24):]) {
			found = path
		}
		return err
	}))
	return found
}

// TestSealedParts: what waits lies on the disk as an age file alone; the spool tells what is in
// it while it grows, when it is whole and after a restart, and hands out the file as it is.
func TestSealedParts(t *testing.T) {
	const name = "artifacts/process.jsonl.zst"
	for _, n := range []int{1, spool.SealedChunk, spool.SealedChunk + 1, 3*spool.SealedChunk + 5} {
		key, wrap := organisation(t)
		dir := t.TempDir()
		s := open(t, spool.Config{Dir: dir, Wrap: wrap})
		a, err := s.Begin(id.New(id.Acquisition), []byte("plan"))
		must(t, err)
		p, err := a.Create(name)
		must(t, err)
		r, err := s.Open(a.ID())
		must(t, err)
		defer r.Close()
		clear := noise(n)
		if _, err := p.Write(clear); err != nil {
			t.Fatal(err)
		}
		parts, err := r.Parts()
		must(t, err)
		whole := (n - 1) / spool.SealedChunk // the last one waits for what follows
		envelope, err := r.Envelope(name)
		must(t, err)
		if got := parts[0]; !got.Sealed || got.Complete || got.Size != int64(n) || got.File != int64(len(envelope)+whole*(spool.SealedChunk+16)) {
			t.Errorf("%d bytes grow as %+v", n, got)
		}
		if n > spool.SealedChunk && spool.SealedOffset(len(envelope), int64(n-1)) != int64(len(envelope)+whole*(spool.SealedChunk+16)) {
			t.Errorf("byte %d is looked for at %d", n-1, spool.SealedOffset(len(envelope), int64(n-1)))
		}
		p.Note([]byte(`{"of":"it"}`))
		must(t, p.Close())
		must(t, a.Seal(seal))
		if i := s.List()[0]; !i.Sealed {
			t.Errorf("%+v", i)
		}
		again := func(r *spool.Reader) {
			t.Helper()
			parts, err := r.Parts()
			must(t, err)
			if got := parts[0]; len(parts) != 1 || got.Name != name || got.Size != int64(n) || got.SHA256 != digest.Of(clear) || !got.Complete || !got.Sealed {
				t.Errorf("%d bytes: %+v", n, parts)
			}
			file := make([]byte, parts[0].File)
			_, err = r.ReadAt(name, file, 0)
			must(t, err)
			if _, err := r.ReadAt(name, make([]byte, 1), parts[0].File); !errors.Is(err, io.EOF) {
				t.Errorf("behind the end: %v", err)
			}
			opened, err := unseal.Open(bytes.NewReader(file), key)
			must(t, err)
			if got, err := io.ReadAll(opened); err != nil || !bytes.Equal(got, clear) {
				t.Errorf("%d bytes came out as %d: %v", n, len(got), err)
			}
		}
		again(r)
		if at := clearOn(t, dir, clear); at != "" && n > 1 {
			t.Errorf("%s can be read by whoever has the disk", at)
		}
		must(t, r.Close())
		must(t, s.Close())
		s = open(t, spool.Config{Dir: dir}) // and the key is not needed to hand it out
		if st := s.Status(); len(st.Problems) > 0 {
			t.Error(st.Problems)
		}
		r, err = s.Open(a.ID())
		must(t, err)
		again(r)
		must(t, r.Close())
		must(t, s.Close())
	}
}

// TestSealedPartsAfterACrash: a part whose note is there is whole, with the note of its writer;
// one without is no part, because nobody here can find out what is in it.
func TestSealedPartsAfterACrash(t *testing.T) {
	_, wrap := organisation(t)
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, Wrap: wrap})
	a, err := s.Begin(id.New(id.Acquisition), []byte("plan"))
	must(t, err)
	for _, name := range []string{partA, partB} {
		p, err := a.Create(name)
		must(t, err)
		_, err = p.Write([]byte(name))
		must(t, err)
		p.Note([]byte(`{"name":"` + name + `"}`))
		must(t, p.Close())
	}
	must(t, s.Close())
	notes := filepath.Join(dir, a.ID(), "parts.jsonl")
	b, err := os.ReadFile(notes)
	must(t, err)
	cut := bytes.LastIndexByte(b[:len(b)-1], '\n')
	must(t, os.WriteFile(notes, append(b[:cut+20], "\n{}\n"...), 0o600)) // the second line is torn

	s = open(t, spool.Config{Dir: dir, Wrap: wrap})
	a, err = s.Resume(a.ID())
	must(t, err)
	if got := fmt.Sprint(a.Dropped()); got != "["+partB+"]" {
		t.Errorf("dropped %s", got)
	}
	if got := string(a.PartNote(partA)); got != `{"name":"`+partA+`"}` || a.PartNote(partB) != nil {
		t.Errorf("noted %q, %q", got, a.PartNote(partB))
	}
	if parts := a.Parts(); len(parts) != 1 || parts[0].SHA256 != digest.Of([]byte(partA)) {
		t.Errorf("%+v", parts)
	}
	p, err := a.Create(partB) // again, behind the torn line
	must(t, err)
	_, err = p.Write([]byte("again"))
	must(t, err)
	must(t, p.Close())
	must(t, a.Leave())
	if a, err = s.Resume(a.ID()); err != nil || len(a.Parts()) != 2 {
		t.Errorf("%+v, %v", a.Parts(), err)
	}
	must(t, a.Leave())
	must(t, s.Close())

	// Without a key what is there stays, and nothing is added in the clear.
	s = open(t, spool.Config{Dir: dir})
	a, err = s.Resume(a.ID())
	must(t, err)
	if _, err := a.Create("artifacts/c"); err == nil {
		t.Error("a part in the clear beside encrypted ones")
	}
	must(t, a.Seal(seal))
}

// TestSealedStoppedAtEachStep is TestStoppedAtEachStep with a key, for the steps at which that
// makes a difference, each the first time that it comes.
func TestSealedStoppedAtEachStep(t *testing.T) {
	key, wrap := organisation(t)
	for _, point := range points() {
		if !strings.HasPrefix(point, "spool.begin.") && !strings.HasPrefix(point, "spool.part.") && !strings.HasPrefix(point, crashpoint.SpoolSeal) {
			continue
		}
		dir, reached := t.TempDir(), false
		s := open(t, spool.Config{Dir: dir, KeepAfterReceipt: -1, Wrap: wrap, Step: func(p string) error {
			if reached = reached || p == point; reached {
				return errCrash
			}
			return nil
		}})
		if err := life(s); !errors.Is(err, errCrash) {
			t.Errorf("%s: %v", point, err)
		}
		must(t, s.Close())
		if at := clearOn(t, dir, []byte(bytesA)); at != "" {
			t.Errorf("%s: %s lies there in the clear", point, at)
		}
		survivorsWith(t, dir, func(r *spool.Reader, p spool.PartInfo) string {
			b := make([]byte, p.File)
			if _, err := r.ReadAt(p.Name, b, 0); err != nil {
				return err.Error()
			}
			clear, err := unseal.Open(bytes.NewReader(b), key)
			if err != nil {
				return err.Error()
			}
			got, err := io.ReadAll(clear)
			if err != nil {
				return err.Error()
			}
			return string(got)
		})
	}
}

// TestOlderAgentsPassOverSealedParts: an agent from before would take the files for parts as
// they were written; the format of the head keeps it from that.
func TestOlderAgentsPassOverSealedParts(t *testing.T) {
	_, wrap := organisation(t)
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, Wrap: wrap})
	acq := sealed(t, s, 3)
	head, err := os.ReadFile(filepath.Join(dir, acq, "acquisition.json"))
	must(t, err)
	if !bytes.Contains(head, []byte(`"format":"hozen-spool/2"`)) {
		t.Errorf("%s", head)
	}
	must(t, s.Close())
	s = open(t, spool.Config{Dir: t.TempDir()})
	if sealed(t, s, 3); s.List()[0].Sealed {
		t.Errorf("%+v", s.List())
	}
}
