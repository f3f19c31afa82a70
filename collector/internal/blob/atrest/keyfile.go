package atrest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"hozen/internal/durable"
	"hozen/internal/envelope/unseal"
)

// MakeKeyFile makes a key file, which must not exist, for its owner alone to read.
func MakeKeyFile(path string, now time.Time) (unseal.Identity, error) {
	id, err := unseal.New()
	if err != nil {
		return id, err
	}
	return id, WriteKeyFile(path, id, now)
}

// WriteKeyFile writes a key to a new file, as after typing it from paper.
func WriteKeyFile(path string, id unseal.Identity, now time.Time) error {
	text := fmt.Sprintf("# Hozen 証拠の鍵 / evidence key\n# %s  %s\n%s\n", now.UTC().Format(time.RFC3339), Name(id), id.Text())
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make key file: %w", err)
	}
	if err := durable.CreateFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("make key file: %w", err)
	}
	return nil
}

// Name is a short name of a key, for people to compare.
func Name(id unseal.Identity) string { return id.Recipient().Fingerprint().String()[:16] }

// LoadKeyFile reads a key file and refuses one that others than its owner can read.
func LoadKeyFile(path string) (unseal.Identity, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return unseal.Identity{}, fmt.Errorf("%w: %q", ErrNoKeyFile, path)
	}
	if err != nil {
		return unseal.Identity{}, fmt.Errorf("load key file: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return unseal.Identity{}, fmt.Errorf("%w: %q is no file", ErrKeyFile, path)
	}
	// Windows has no such bits; there the folder's access list holds.
	if p := fi.Mode().Perm(); p&0o077 != 0 && runtime.GOOS != "windows" {
		return unseal.Identity{}, fmt.Errorf("%w: others can read %q (mode %04o); chmod 600 it, and rotate the key if somebody may have read it", ErrKeyFile, path, p)
	}
	f, err := os.Open(path)
	if err != nil {
		return unseal.Identity{}, fmt.Errorf("load key file: %w", err)
	}
	defer f.Close()
	ids, err := unseal.Read(f)
	if err != nil {
		return unseal.Identity{}, fmt.Errorf("%w: %q: %w", ErrKeyFile, path, err)
	}
	if len(ids) != 1 || ids[0].Recipient().PostQuantum() {
		return unseal.Identity{}, fmt.Errorf("%w: %q: want one AGE-SECRET-KEY-1…", ErrKeyFile, path)
	}
	return ids[0], nil
}

// Within reports whether path lies in the folder dir, links followed as far as they are
// there.
func Within(dir, path string) bool {
	rel, err := filepath.Rel(real(dir), real(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// real follows links in the part of a path that exists.
func real(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	for rest := ""; ; {
		if at, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Join(at, rest)
		}
		up := filepath.Dir(path)
		if up == path {
			return filepath.Join(path, rest)
		}
		rest, path = filepath.Join(filepath.Base(path), rest), up
	}
}

// keyError tells a key that does not fit from a damaged file.
func keyError(err error) error {
	if errors.Is(err, unseal.ErrOtherKey) {
		return ErrOtherKey
	}
	return err
}
