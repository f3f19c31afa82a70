package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// axe-core looks for what shuts people out of a page. It is used by tests alone, is not part
// of the product, and is fetched by its package manager, so that its bytes stand nowhere here.
const (
	axeName      = "axe-core"
	axeVersion   = "4.14.1"
	axeIntegrity = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==" // SHA-512 of the package
	axeFile      = "package/axe.min.js"
	maxAxe       = 16 << 20
)

// axe puts axe-core into the cache of this machine. Where it cannot be had that is said, and
// the test that wants it says so too.
func (c *checker) axe(ctx context.Context) {
	if err := fetchAxe(ctx); err != nil {
		c.note(fmt.Sprintf("no %s %s, so pages are not looked at with it: %v", axeName, axeVersion, err))
	}
}

func fetchAxe(ctx context.Context) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find cache: %w", err)
	}
	folder := filepath.Join(cache, "hozen", axeName+"-"+axeVersion)
	if _, err := os.Stat(filepath.Join(folder, "axe.min.js")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "hozen-axe-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	if out, err := cmd(ctx, tmp, nil, "npm", "pack", "--silent", "--ignore-scripts", axeName+"@"+axeVersion); err != nil {
		return fmt.Errorf("npm pack: %w: %s", err, tail(out, 3))
	}
	pkg, err := os.ReadFile(filepath.Join(tmp, axeName+"-"+axeVersion+".tgz"))
	if err != nil {
		return fmt.Errorf("read package: %w", err)
	}
	script, err := unpackAxe(pkg, axeIntegrity)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	// Another run may do the same.
	part := filepath.Join(folder, filepath.Base(tmp))
	if err := os.WriteFile(part, script, 0o644); err != nil {
		return fmt.Errorf("write cache: %w", err)
	}
	return os.Rename(part, filepath.Join(folder, "axe.min.js"))
}

// unpackAxe returns the script of a package that is the expected one to the byte.
func unpackAxe(pkg []byte, integrity string) ([]byte, error) {
	sum := sha512.Sum512(pkg)
	if got := base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		return nil, fmt.Errorf("the package of %s %s has SHA-512 %s, want %s", axeName, axeVersion, got, integrity)
	}
	z, err := gzip.NewReader(bytes.NewReader(pkg))
	if err != nil {
		return nil, fmt.Errorf("read package: %w", err)
	}
	for t := tar.NewReader(io.LimitReader(z, maxAxe)); ; {
		h, err := t.Next()
		if err != nil {
			return nil, fmt.Errorf("find %s in the package: %w", axeFile, err)
		}
		if h.Name == axeFile {
			return io.ReadAll(t)
		}
	}
}
