package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"hozen/internal/custody/checkpoint"
)

// inPackage is where an evidence package has its checkpoint, below its one folder; see
// internal/docs/design/package-format.md.
const inPackage = "custody/checkpoint.txt"

// keptNote reads a checkpoint that was kept elsewhere: the file itself, or an evidence package
// (zip) that has it.
func keptNote(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, checkpoint.MaxNote+1))
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	if bytes.HasPrefix(b, []byte("age-encryption.org/")) {
		return nil, fmt.Errorf("read checkpoint: %s is encrypted: decrypt it first", path)
	}
	if !bytes.HasPrefix(b, []byte("PK\x03\x04")) {
		return b, nil
	}
	info, err := f.Stat()
	if err == nil {
		b, err = packedNote(f, info.Size())
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint of the package %s: %w", path, err)
	}
	return b, nil
}

func packedNote(r io.ReaderAt, size int64) ([]byte, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	for _, f := range z.File {
		if f.Name != inPackage && !strings.HasSuffix(f.Name, "/"+inPackage) {
			continue
		}
		o, err := f.Open()
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(o, checkpoint.MaxNote+1))
		return b, errors.Join(err, o.Close())
	}
	return nil, errors.New("it has none: nothing was signed when it was made, or it is no evidence package")
}
