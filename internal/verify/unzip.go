package verify

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
)

// tree is all files of a package.
type tree interface {
	source
	// files lists all files with their sizes, sorted.
	files() []sized
}

type sized struct {
	name string
	size int64
}

// archive is a package in a zip.
type archive struct {
	r     io.ReaderAt
	named map[string]*zipEntry // below the base folder
	all   []sized
	idle  sync.Pool // of *inflater
}

// inflater unpacks one file after the other.
type inflater struct {
	in *bufio.Reader
	r  io.ReadCloser
}

// newArchive makes the tree of a zip's files, which all lie in one folder.
func newArchive(r io.ReaderAt, list []*zipEntry) (*archive, string, error) {
	a := &archive{r: r, named: map[string]*zipEntry{}}
	base := ""
	for _, e := range list {
		first, rest, ok := strings.Cut(e.name, "/")
		if !ok || base != "" && first != base {
			return nil, "", zipWrong(codeZipName, fmt.Sprintf("%.200q", e.name), "it does not lie in the one folder of the package")
		}
		if base = first; e.dir {
			continue
		}
		a.named[rest] = e
		a.all = append(a.all, sized{rest, e.size})
	}
	slices.SortFunc(a.all, func(x, y sized) int { return strings.Compare(x.name, y.name) })
	return a, base, nil
}

func (a *archive) files() []sized { return a.all }

func (a *archive) open(name string) (io.ReadCloser, int64, *Problem) {
	e := a.named[name]
	if e == nil {
		return nil, 0, &Problem{Code: codeMissing}
	}
	f, ok := a.idle.Get().(*inflater)
	if !ok {
		f = &inflater{in: bufio.NewReaderSize(nil, 128<<10)}
		f.r = flate.NewReader(f.in)
	}
	f.in.Reset(io.NewSectionReader(a.r, e.data, e.stored))
	u := &unpacked{of: a, f: f, e: e, in: f.in, r: f.in}
	if e.method == 8 {
		if err := f.r.(flate.Resetter).Reset(f.in, nil); err != nil {
			return nil, 0, &Problem{Code: codeZipData, Detail: err.Error()}
		}
		u.r = f.r
	}
	return u, e.size, nil
}

func (a *archive) list(dir string) ([]listed, error) {
	prefix := dir + "/"
	if dir == "." {
		prefix = ""
	}
	seen := map[string]bool{}
	var out []listed
	from, _ := slices.BinarySearchFunc(a.all, prefix, func(s sized, p string) int { return strings.Compare(s.name, p) })
	for _, s := range a.all[from:] {
		rest, ok := strings.CutPrefix(s.name, prefix)
		if !ok {
			break
		}
		name, _, isDir := strings.Cut(rest, "/")
		if !seen[name] {
			seen[name] = true
			out = append(out, listed{name, isDir})
		}
	}
	if len(out) == 0 {
		return nil, fs.ErrNotExist
	}
	return out, nil
}

// unpacked reads one file of a zip and holds it against what the zip says of it: size, CRC
// and that nothing is left over.
type unpacked struct {
	of  *archive
	f   *inflater
	e   *zipEntry
	in  *bufio.Reader
	r   io.Reader
	n   int64
	crc uint32
	err error
}

func (u *unpacked) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.r.Read(p)
	u.n += int64(n)
	u.crc = crc32.Update(u.crc, crc32.IEEETable, p[:n])
	switch {
	case u.n > u.e.size:
		u.err = fmt.Errorf("it unpacks to more than %d bytes", u.e.size)
		return 0, u.err
	case err == io.EOF:
		u.err = u.end()
	case err != nil:
		u.err = err
	default:
		return n, nil
	}
	return n, u.err
}

// end is [io.EOF] when everything was as the zip says.
func (u *unpacked) end() error {
	switch _, err := u.in.Peek(1); {
	case u.n != u.e.size:
		return fmt.Errorf("it unpacks to %d bytes, not %d", u.n, u.e.size)
	case u.crc != u.e.crc:
		return fmt.Errorf("it unpacks to bytes with the CRC %08x, not %08x", u.crc, u.e.crc)
	case err != io.EOF:
		return fmt.Errorf("bytes are left over behind it")
	}
	return io.EOF
}

// Close gives back what unpacked the file. Nothing may be read afterwards.
func (u *unpacked) Close() error {
	if u.f != nil {
		u.of.idle.Put(u.f)
		u.f, u.err = nil, fs.ErrClosed
	}
	return nil
}

// below is a folder of a tree.
type below struct {
	tree
	prefix string // with "/" at its end
}

func (b below) open(name string) (io.ReadCloser, int64, *Problem) {
	return b.tree.open(b.prefix + name)
}

func (b below) list(dir string) ([]listed, error) { return b.tree.list(path.Join(b.prefix, dir)) }
