package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"testing"
)

func TestAxeIsTheExpectedOne(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range map[string]string{"package/LICENSE": "licence", axeFile: "script"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(b.Bytes())
	good := base64.StdEncoding.EncodeToString(sum[:])
	if got, err := unpackAxe(b.Bytes(), good); err != nil || string(got) != "script" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := unpackAxe(append(b.Bytes(), 0), good); err == nil {
		t.Error("another package was unpacked")
	}
}
