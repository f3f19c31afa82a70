// Package blobtest is what every blob store must pass. It knows nothing of how a
// store keeps its bytes.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"hozen/collector/internal/blob"
	"hozen/internal/digest"
)

// Run runs the suite. open returns an empty store and a folder for files that the
// store can adopt.
func Run(t *testing.T, open func(t *testing.T) (s blob.Store, incoming string)) {
	t.Run("put and read", func(t *testing.T) {
		s, _ := open(t)
		for _, content := range [][]byte{nil, []byte("a"), bytes.Repeat([]byte("保全"), 1<<17)} {
			d := put(t, s, content)
			if got := read(t, s, d); !bytes.Equal(got, content) {
				t.Errorf("%d bytes came back as %d", len(content), len(got))
			}
			if info, err := s.Stat(t.Context(), d); err != nil || info.Digest != d || info.Size != int64(len(content)) {
				t.Errorf("stat: %+v, %v", info, err)
			}
		}
	})
	t.Run("put twice", func(t *testing.T) {
		s, _ := open(t)
		d := put(t, s, []byte("same"))
		put(t, s, []byte("same"))
		if n := len(list(t, s)); n != 1 {
			t.Errorf("%d blobs", n)
		}
		if string(read(t, s, d)) != "same" {
			t.Error("changed")
		}
	})
	t.Run("other bytes are refused", func(t *testing.T) {
		s, _ := open(t)
		d := digest.Of([]byte("right"))
		for name, c := range map[string]struct {
			size int64
			r    io.Reader
		}{
			"other bytes": {5, bytes.NewReader([]byte("wrong"))},
			"too short":   {5, bytes.NewReader([]byte("righ"))},
			"too long":    {5, bytes.NewReader([]byte("right and more"))},
			"wrong size":  {4, bytes.NewReader([]byte("right"))},
		} {
			if err := s.Put(t.Context(), d, c.size, c.r); !errors.Is(err, blob.ErrMismatch) {
				t.Errorf("%s: %v", name, err)
			}
		}
		broken := errors.New("broken")
		if err := s.Put(t.Context(), d, 5, io.MultiReader(bytes.NewReader([]byte("ri")), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Errorf("a broken source: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Put(ctx, d, 5, bytes.NewReader([]byte("right"))); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled call: %v", err)
		}
		if n := len(list(t, s)); n != 0 {
			t.Errorf("%d blobs of refused bytes", n)
		}
		if _, err := s.Stat(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("stat: %v", err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		s, _ := open(t)
		if _, err := s.Open(t.Context(), digest.Of([]byte("x"))); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("open: %v", err)
		}
		if _, err := s.Stat(t.Context(), digest.Of([]byte("x"))); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("stat: %v", err)
		}
	})
	t.Run("adopt", func(t *testing.T) {
		s, dir := open(t)
		content := []byte("adopted")
		d := digest.Of(content)
		for range 2 { // the second time it is there already
			path := filepath.Join(dir, "x.part")
			write(t, path, content)
			if err := s.Adopt(t.Context(), d, int64(len(content)), path); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
			if !bytes.Equal(read(t, s, d), content) {
				t.Error("changed")
			}
		}
		path := filepath.Join(dir, "y.part")
		write(t, path, []byte("cut"))
		if err := s.Adopt(t.Context(), digest.Of([]byte("cut off")), 7, path); !errors.Is(err, blob.ErrMismatch) {
			t.Errorf("a file that is too short: %v", err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("the refused file is gone: %v", err)
		}
	})
	t.Run("list", func(t *testing.T) {
		s, _ := open(t)
		want := map[digest.Digest]int64{}
		for i := range 50 {
			content := fmt.Appendf(nil, "%0*d", i, i)
			want[put(t, s, content)] = int64(len(content))
		}
		got := list(t, s)
		for i, info := range got {
			if want[info.Digest] != info.Size {
				t.Errorf("%s has %d bytes, want %d", info.Digest, info.Size, want[info.Digest])
			}
			if i > 0 && got[i-1].Digest.String() >= info.Digest.String() {
				t.Error("not in order")
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d blobs, want %d", len(got), len(want))
		}
		for range s.List(t.Context()) {
			break // must not go on
		}
	})
	t.Run("concurrent", func(t *testing.T) {
		s, _ := open(t)
		content := bytes.Repeat([]byte("x"), 1<<20)
		d := digest.Of(content)
		errs := make(chan error)
		for range 8 {
			go func() { errs <- s.Put(context.Background(), d, int64(len(content)), bytes.NewReader(content)) }()
		}
		for range 8 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if n := len(list(t, s)); n != 1 {
			t.Errorf("%d blobs", n)
		}
	})
}

func put(t *testing.T, s blob.Store, content []byte) digest.Digest {
	t.Helper()
	d := digest.Of(content)
	if err := s.Put(t.Context(), d, int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return d
}

func read(t *testing.T, s blob.Store, d digest.Digest) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, s blob.Store) []blob.Info {
	t.Helper()
	var out []blob.Info
	for info, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, info)
	}
	return out
}
