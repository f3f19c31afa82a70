package memory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	// chunk is how much is read at a time. It has a header of its own, so that an image
	// that was broken off is one all the same, and a more urgent acquisition need not wait.
	chunk = 1 << 20
	// limeHeader is the size of a header of LiME: magic, version, first and last address,
	// and eight bytes of nothing, little-endian.
	limeHeader  = 32
	limeMagic   = 0x4C694D45
	limeVersion = 1

	maxIomem = 1 << 20
	// maxHoles bounds how many places of unreadable memory are listed.
	maxHoles = 64 << 10
)

// refused is why there is no image: the system does not allow it, or it has no room. A
// probe that is told so was denied.
type refused struct{ why string }

func (e *refused) Error() string { return e.why }
func (e *refused) Unwrap() error { return fs.ErrPermission }

// core is /proc/kcore.
type core interface {
	io.ReaderAt
	io.Closer
}

// Capture is one reading of memory, which serves two probes: the image, and after it the
// table of what it holds.
type Capture struct {
	root string
	page uint64
	proc opener
	// open is replaced in tests.
	open func(r facts.Root) (core, error)

	mu    sync.Mutex
	table []record.MemRange
	holes int
	err   error // why there is no table, while there is none
}

// New returns a reading of the system whose files are below root, usually "/".
func New(root string) *Capture {
	proc := openerOf(root)
	return &Capture{root: root, page: uint64(os.Getpagesize()), proc: proc, open: func(r facts.Root) (core, error) { return proc(r, "kcore") },
		err: errors.New("no image was begun")}
}

// Image returns the probe of memory itself.
func (c *Capture) Image() probe.Probe { return image{c} }

type image struct{ c *Capture }

func (image) Kind() artifact.Kind          { return artifact.KindMemory }
func (image) Schema() string               { return record.SchemaMemory }
func (image) Volatility() probe.Volatility { return probe.Image }

// Acquire writes the image. Its error is as [probe.Probe] says; pages that could not be
// read are the [probe.Missing].
func (i image) Acquire(ctx context.Context, w probe.Writer) error {
	err := i.c.take(ctx, w)
	i.c.mu.Lock()
	defer i.c.mu.Unlock()
	if i.c.table == nil {
		i.c.err = err
	}
	return err
}

func (c *Capture) take(ctx context.Context, w probe.Writer) error {
	raw, ok := w.(probe.RawWriter)
	if runtime.GOOS != "linux" || !ok {
		return errors.ErrUnsupported
	}
	r, err := facts.In(ctx, c.root)
	if err != nil {
		return err
	}
	defer r.Close()
	k, pieces, err := c.begin(r)
	if err != nil {
		return err
	}
	defer k.Close()
	if err := room(raw, pieces); err != nil {
		return err
	}
	return c.read(ctx, k, pieces, raw)
}

// begin finds out what is to be read, and from where.
func (c *Capture) begin(r facts.Root) (core, []piece, error) {
	text, err := c.proc.file(r, "iomem", maxIomem)
	if err != nil {
		return nil, nil, denial(r, "read /proc/iomem", err)
	}
	ram, hidden := parseIomem(text, c.page)
	switch {
	case hidden:
		return nil, nil, &refused{"the kernel hides where memory is (/proc/iomem): this needs root with CAP_SYS_ADMIN"}
	case len(ram) == 0:
		return nil, nil, fmt.Errorf("%w: /proc/iomem lists no System RAM", errors.ErrUnsupported)
	}
	k, err := c.open(r)
	if err != nil {
		return nil, nil, denial(r, "open /proc/kcore", err)
	}
	segments, _, err := readCore(k)
	if err != nil {
		return nil, nil, errors.Join(denial(r, "read /proc/kcore", err), k.Close())
	}
	pieces, err := plan(ram, segments)
	if err != nil {
		return nil, nil, errors.Join(err, k.Close())
	}
	return k, pieces, nil
}

// denial explains an error of opening: whatever keeps memory back is a refusal.
func denial(r facts.Root, what string, err error) error {
	already, is := errors.AsType[*refused](err)
	switch {
	case is:
		return already
	case errors.Is(err, fs.ErrNotExist):
		return &refused{what + ": this kernel does not show its memory (built without it, or hidden from this program)"}
	case !errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w", what, err)
	case lockdown(r.Value("sys/kernel/security/lockdown")) == confidentiality:
		return &refused{what + ": the kernel is locked down for confidentiality and shows its memory to nobody: " + err.Error()}
	}
	return &refused{what + ": this needs root with CAP_SYS_RAWIO: " + err.Error()}
}

// confidentiality is the mode of kernel_lockdown(7) in which memory cannot be read.
const confidentiality = "confidentiality"

// lockdown returns the mode out of a text such as "none [integrity] confidentiality".
func lockdown(text string) string {
	_, rest, _ := strings.Cut(text, "[")
	mode, _, _ := strings.Cut(rest, "]")
	return mode
}

// room asks whether the image fits, as large as it is when nothing of it can be
// compressed.
func room(w probe.RawWriter, pieces []piece) error {
	var n int64
	for _, p := range pieces {
		if p.offset != absent {
			n += int64(p.end - p.start)
		}
	}
	if err := w.Room(n + n>>12 + chunk); err != nil {
		return &refused{fmt.Sprintf("an image of %d bytes was not begun: %v", n, err)}
	}
	return nil
}

// read reads all pieces, and lists those too that it did not come to.
func (c *Capture) read(ctx context.Context, k core, pieces []piece, w probe.RawWriter) error {
	table := make([]record.MemRange, len(pieces))
	for i, p := range pieces {
		table[i] = record.MemRange{Start: p.start, End: p.end - 1, Problem: notReached}
		if p.offset == absent {
			table[i].Problem = notShown
		}
	}
	c.mu.Lock()
	c.table, c.err = table, nil
	c.mu.Unlock()
	buf := make([]byte, limeHeader+chunk)
	var pages int64
	var first error
	for i, p := range pieces {
		if p.offset == absent {
			pages += int64((p.end - p.start) / c.page)
			if first == nil {
				first = fmt.Errorf("memory from 0x%x: %s", p.start, notShown)
			}
			continue
		}
		begun := time.Now()
		for at := p.start; at < p.end; {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("memory up to 0x%x was read: %w", at, err)
			}
			n := min(chunk, p.end-at)
			holes := c.fill(k, buf[limeHeader:limeHeader+n], p.offset+int64(at-p.start), at)
			header(buf, at, at+n-1)
			if err := w.WriteRaw(buf[:limeHeader+n]); err != nil {
				return err
			}
			at += n
			c.enter(&table[i], begun, n, holes)
			for _, h := range holes {
				pages += int64((h.End - h.Start + 1) / c.page)
				if first == nil {
					first = fmt.Errorf("memory at 0x%x: %s", h.Start, h.Why)
				}
			}
		}
	}
	if first != nil {
		return &probe.Missing{Skipped: pages, Err: first}
	}
	return nil
}

// What is wrong with a range that is not in the image.
const (
	notShown   = "/proc/kcore does not show it"
	notReached = "it was not come to"
	brokenOff  = "its reading was broken off"
)

// enter notes in a line of the table that n more bytes are in the image, with the holes
// in them.
func (c *Capture) enter(r *record.MemRange, begun time.Time, n uint64, holes []record.MemHole) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	r.StartedAt, r.EndedAt, r.Problem = begun.UTC(), now.UTC(), brokenOff
	if r.Image += int64(n); r.Start+uint64(r.Image) > r.End {
		r.Problem = ""
	}
	if took := now.Sub(begun); took > 0 {
		r.Rate = int64(float64(r.Image) / took.Seconds())
	}
	for _, h := range holes {
		r.Zeroed += int64(h.End - h.Start + 1)
		if n := len(r.Holes); n > 0 && r.Holes[n-1].End+1 == h.Start && r.Holes[n-1].Why == h.Why {
			r.Holes[n-1].End = h.End
			continue
		}
		if c.holes == maxHoles {
			r.MoreHoles = true
			continue
		}
		c.holes++
		r.Holes = append(r.Holes, h)
	}
}

// fill reads memory from address at, which stands at offset, into b. Pages that cannot be
// read become zeros and are returned.
func (c *Capture) fill(k io.ReaderAt, b []byte, offset int64, at uint64) (holes []record.MemHole) {
	n, _ := k.ReadAt(b, offset) // what went wrong is looked at page by page
	if n == len(b) {
		return nil
	}
	page := int(c.page)
	for done := n - n%page; done < len(b); done += page {
		part := b[done : done+page]
		n, err := k.ReadAt(part, offset+int64(done))
		if n == page {
			continue
		}
		clear(part)
		start := at + uint64(done)
		h := record.MemHole{Start: start, End: start + c.page - 1, Why: cause(err)}
		if l := len(holes); l > 0 && holes[l-1].End+1 == start && holes[l-1].Why == h.Why {
			holes[l-1].End = h.End
		} else {
			holes = append(holes, h)
		}
	}
	return holes
}

// cause says in few words why memory could not be read.
func cause(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	if err == nil || errors.Is(err, io.EOF) {
		return "not shown"
	}
	return err.Error()
}

// header writes a header of LiME for the memory from first to last.
func header(b []byte, first, last uint64) {
	le := binary.LittleEndian
	le.PutUint32(b, limeMagic)
	le.PutUint32(b[4:], limeVersion)
	le.PutUint64(b[8:], first)
	le.PutUint64(b[16:], last)
	clear(b[24:limeHeader])
}
