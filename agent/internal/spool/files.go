package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"hozen/internal/durable"
)

// Names of the files of an acquisition.
const (
	lockFile      = "lock"
	headFile      = "acquisition.json"
	manifestFile  = "manifest.json"
	signatureFile = "manifest.json.sig"
	signerFile    = "signer.pem"
	certFile      = "signer-cert.pem"
	receiptFile   = "receipt.json"
	refusedFile   = "refused.json"
	artifactDir   = "artifacts"

	growing  = ".part" // suffix of a file that is being written
	dropping = ".drop" // suffix of a folder that is being dropped
)

// The most that is read of each kind of file; a larger one is not ours.
const (
	maxHead     = 2 << 20
	maxManifest = 4 << 20
	maxSmall    = 64 << 10
	maxReceipt  = 512 << 10
	maxReason   = 4 << 10
)

var errNotRegular = errors.New("not a regular file")

// checkPart reports why name cannot be a part. The rule is narrow enough that a
// name is safe as a path on every system.
func checkPart(name string) error {
	base, ok := strings.CutPrefix(name, artifactDir+"/")
	if !ok || base == "" || len(base) > 64 || base[0] == '.' || strings.HasSuffix(base, growing) {
		return fmt.Errorf("part name %.100q: want %s/ and at most 64 of a-z, 0-9, '.', '-', '_'", name, artifactDir)
	}
	for _, c := range []byte(base) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return fmt.Errorf("part name %.100q: want %s/ and at most 64 of a-z, 0-9, '.', '-', '_'", name, artifactDir)
		}
	}
	return nil
}

// createFile makes a new file and never opens what lies there already.
func createFile(root *os.Root, name string) (f *os.File, err error) {
	if err := removeIfThere(root, name); err != nil {
		return nil, err
	}
	err = durable.Patient(func() error {
		f, err = root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		return err
	})
	return f, err
}

// openRegular opens a file for reading and refuses everything that is not plainly
// one: a link is not followed, a pipe does not block.
func openRegular(root *os.Root, name string) (*os.File, int64, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	if !before.Mode().IsRegular() {
		return nil, 0, &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(before, now) {
		err = &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, now.Size(), nil
}

// readFile reads a regular file of at most limit bytes.
func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	f, size, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%d bytes, at most %d are allowed", size, limit)}
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// removeIfThere removes a file; one that is not there is no error.
func removeIfThere(root *os.Root, name string) error {
	err := durable.Patient(func() error { return root.Remove(name) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
