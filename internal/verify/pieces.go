package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"strings"
)

// pieces is a file, or the pieces .001, .002 … of one that was cut, read as one.
type pieces struct {
	files []*os.File
	ends  []int64 // where each ends in the whole
	size  int64
}

const (
	firstPiece = ".001"
	maxPieces  = 999
)

func openPieces(name string) (*pieces, error) {
	p := &pieces{}
	stem, cut := strings.CutSuffix(name, firstPiece)
	for n := 1; n <= maxPieces; n++ {
		next := name
		if cut {
			next = fmt.Sprintf("%s.%03d", stem, n)
		}
		f, err := os.Open(next)
		if n > 1 && errors.Is(err, fs.ErrNotExist) {
			break
		}
		var fi fs.FileInfo
		if err == nil {
			p.files = append(p.files, f)
			fi, err = f.Stat()
		}
		if err == nil && !fi.Mode().IsRegular() {
			err = fmt.Errorf("%s is no plain file", next)
		}
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		p.size += fi.Size()
		p.ends = append(p.ends, p.size)
		if !cut {
			break
		}
	}
	return p, nil
}

// Close closes all pieces.
func (p *pieces) Close() error {
	var errs []error
	for _, f := range p.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// ReadAt implements [io.ReaderAt] over all pieces.
func (p *pieces) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("before the beginning")
	}
	n := 0
	for n < len(b) {
		i := sort.Search(len(p.ends), func(i int) bool { return p.ends[i] > off })
		if i == len(p.ends) {
			return n, io.EOF
		}
		begin := int64(0)
		if i > 0 {
			begin = p.ends[i-1]
		}
		want := b[n:min(int64(len(b)), int64(n)+p.ends[i]-off)]
		m, err := p.files[i].ReadAt(want, off-begin)
		n += m
		off += int64(m)
		if m < len(want) {
			return n, err
		}
	}
	return n, nil
}

func (p *pieces) sha256(ctx context.Context) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, &patient{ctx, io.NewSectionReader(p, 0, p.size)}); err != nil {
		return "", fmt.Errorf("read package: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
