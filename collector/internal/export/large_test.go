package export

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozen/internal/verify"
)

// zeros is so many bytes of nothing.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	clear(p[:n])
	z.left -= n
	return int(n), nil
}

func (*zeros) Close() error { return nil }

type zeroSource struct{ size int64 }

func (z zeroSource) Open(context.Context, string) (io.ReadCloser, error) { return &zeros{z.size}, nil }

func (zeroSource) Sealed(context.Context, string) (Sealed, error) { return Sealed{}, nil }

// holes is a file in which zeros take no room.
type holes struct{ f *os.File }

func (h holes) Write(p []byte) (int, error) {
	for _, c := range p {
		if c != 0 {
			return h.f.Write(p)
		}
	}
	if _, err := h.f.Seek(int64(len(p)), io.SeekCurrent); err != nil {
		return 0, err
	}
	return len(p), nil
}

// A package of more than 4 GiB, with a file of more than 4 GiB, is one that every program
// reads (Zip64).
func TestLargePackage(t *testing.T) {
	if os.Getenv("HOZEN_SOAK") == "" {
		t.Skip("writes and reads 4 GiB: set HOZEN_SOAK")
	}
	const size = 4<<30 + 4096
	h := sha256.New()
	if _, err := io.Copy(h, &zeros{size}); err != nil {
		t.Fatal(err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	p, _ := packed(t, nil, "pc")
	p.Acquisitions[0].Items = []Item{{Number: "E", Name: "artifacts/memory.lime", Kind: "memory", Compression: "none", PlainSize: size, PlainSHA256: sum, StoredSHA256: sum, StoredSize: size}}
	f, err := os.Create(filepath.Join(t.TempDir(), "p.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Write(t.Context(), holes{f}, p, zeroSource{size}); err != nil {
		t.Fatal(err)
	}
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(f, fi.Size())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, e := range z.File {
		if filepath.Base(e.Name) != "memory.lime" {
			continue
		}
		found = true
		r, err := e.Open()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); n != size || err != nil || e.UncompressedSize64 != size {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	if !found {
		t.Error("it is not there")
	}
	r, err := verify.Package(t.Context(), f.Name(), verify.PackageAnchor{})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range r.Parts { // what nobody signed is missing; the zip and its digests are right
		if part.Name == "zip" && part.Outcome != verify.Fits {
			t.Errorf("%+v", part)
		}
	}
	for _, p := range r.Problems {
		if strings.HasPrefix(p.Code, "zip") || p.Code == "digest" || p.Code == "bag" {
			t.Errorf("%+v", p)
		}
	}
}
