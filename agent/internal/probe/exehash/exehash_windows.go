package exehash

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/winsys"
	"hozen/agent/internal/sorted"
	"hozen/internal/artifact/record"
	"hozen/internal/digest"
)

const (
	// chunk is how much is read between two looks at the context.
	chunk = 256 << 10
	// settled is how old the last change of a file must be for its digest to be kept.
	settled = 2 * time.Second
)

var (
	errChanged  = errors.New("the file changed while it was read")
	errReplaced = errors.New("another file has the name of the program now")
	errRemote   = errors.New("the program lies on another computer, which might not answer")
	errNoPath   = errors.New("the path of the program is not known")
)

// find groups the processes by the file that has the name of their program. Windows has no
// door to the file of a process but its name; Windows does not let it be changed while it runs.
func (h hasher) find(ctx context.Context) (files []*file, missing *probe.Missing) {
	procs, _ := h.pass.Processes(ctx) // what is missing of them is told by their own probe
	at := make(map[identity]*file)
	byPath := make(map[string]*file)
	var skipped int64
	var first error
	for _, p := range procs {
		if p.KernelOnly || p.Exe == "" {
			if !p.KernelOnly && len(p.Unread) > 0 {
				skipped++
				first = cmp.Or(first, error(fmt.Errorf("process %d: %w", p.PID, errNoPath)))
			}
			continue
		}
		ref := record.ProcRef{PID: p.PID, StartTicks: p.StartTicks}
		f := byPath[p.Exe]
		if f == nil {
			f = look(p)
			if f.err == nil && at[f.id] != nil { // another name of the same file
				f = at[f.id]
			} else {
				at[f.id] = f
				files = append(files, f)
			}
			byPath[p.Exe] = f
		}
		f.rec.Processes = append(f.rec.Processes, ref)
	}
	sorted.Func(files, func(a, b *file) int {
		return cmp.Or(cmp.Compare(a.id.dev, b.id.dev), cmp.Compare(a.id.inode, b.id.inode), strings.Compare(a.rec.Path, b.rec.Path))
	})
	if skipped > 0 {
		missing = &probe.Missing{Skipped: skipped, Err: first}
	}
	return files, missing
}

// look finds out which file has the name of a process's program.
func look(p *record.Process) *file {
	f := &file{done: make(chan struct{}), rec: record.ExeHash{Path: p.Exe, PathRaw: p.ExeRaw, UID: record.Unknown}}
	if f.err = local(p.Exe); f.err != nil {
		return f
	}
	g, err := winsys.Open(p.Exe, false)
	if err != nil {
		f.err = err
		return f
	}
	defer g.Close()
	st, err := g.Status()
	f.err = err
	f.id = identityOf(st)
	f.rec.Dev, f.rec.Inode, f.rec.Size, f.rec.MTime, f.rec.CTime = st.Volume, st.Index, st.Size, st.Modified, st.Changed
	return f
}

// local refuses what could make the reading wait for another computer.
func local(path string) error {
	if strings.HasPrefix(path, `\\`) {
		return errRemote
	}
	return nil
}

func identityOf(st winsys.Status) identity {
	return identity{dev: st.Volume, inode: st.Index, size: st.Size, mtime: st.Modified.UnixNano(), ctime: st.Changed.UnixNano()}
}

// hash fills in the digest and the signature of f, or f.err.
func (h hasher) hash(ctx context.Context, f *file, buf []byte) {
	if f.err != nil { // it could not even be looked at
		return
	}
	if v, ok := h.cache.get(f.id); ok {
		v.tell(&f.rec)
		return
	}
	g, err := winsys.Open(f.rec.Path, true)
	if err != nil {
		f.err = err
		return
	}
	defer g.Close()
	d, keep, err := sum(ctx, g, f.id, buf)
	if err != nil {
		f.err = err
		return
	}
	f.rec.SHA256, f.rec.Signature = d.String(), "unknown"
	if ctx.Err() != nil {
		return
	}
	f.rec.Signature, f.rec.SignatureCode = winsys.Signature(f.rec.Path, g)
	if keep {
		h.cache.put(f.id, verdict{d, f.rec.Signature, f.rec.SignatureCode})
	}
}

// sum hashes an open file, which must be the file id. keep says that the digest may be
// remembered.
func sum(ctx context.Context, g *winsys.File, id identity, buf []byte) (d digest.Digest, keep bool, err error) {
	st, err := g.Status()
	if err != nil {
		return d, false, err
	}
	if identityOf(st) != id {
		return d, false, errReplaced
	}
	begun := time.Now()
	hash := sha256.New()
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return d, false, err
		}
		k, err := g.Read(buf)
		hash.Write(buf[:k])
		n += int64(k)
		if err == io.EOF {
			break
		}
		if err != nil {
			return d, false, &fs.PathError{Op: "read", Path: "executable", Err: err}
		}
	}
	after, err := g.Status()
	if err != nil {
		return d, false, err
	}
	if identityOf(after) != id || n != id.size {
		return d, false, errChanged
	}
	newest := st.Modified
	if st.Changed.After(newest) {
		newest = st.Changed
	}
	return digest.Digest(hash.Sum(nil)), !st.Changed.IsZero() && begun.Sub(newest) > settled, nil
}
