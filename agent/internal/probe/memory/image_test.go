package memory

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree makes files below a folder of the test.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		must(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)))
	}
	return root
}

// ram is /proc/kcore of a PC whose memory holds, in each eight bytes, their address.
type ram struct {
	head   []byte
	bad    map[uint64]error // pages that cannot be read
	after  func(reads int)
	reads  int
	closed bool
}

// shift is where memory stands in the file of ram.
const shift = 1 << 30

func (r *ram) Close() error { r.closed = true; return nil }

func (r *ram) ReadAt(b []byte, off int64) (int, error) {
	if off < shift {
		return bytes.NewReader(r.head).ReadAt(b, off)
	}
	if r.reads++; r.after != nil {
		r.after(r.reads)
	}
	for i := range b {
		at := uint64(off-shift) + uint64(i)
		if err := r.bad[at&^(page-1)]; err != nil {
			return i, err
		}
		b[i] = byte((at &^ 7) >> (at % 8 * 8))
	}
	return len(b), nil
}

// raw is a writer that keeps bytes.
type raw struct {
	probetest.Lines
	b     []byte
	asked int64
	full  error
}

func (r *raw) Room(n int64) error { r.asked = n; return r.full }

func (r *raw) WriteRaw(b []byte) error {
	r.b = append(r.b, b...)
	return nil
}

// ranges reads an image as somebody else would: each range with its bytes.
func (r *raw) ranges(t *testing.T) map[uint64][]byte {
	t.Helper()
	got, last := map[uint64][]byte{}, uint64(0)
	for b := r.b; len(b) > 0; {
		if len(b) < 32 || binary.LittleEndian.Uint32(b) != 0x4C694D45 || binary.LittleEndian.Uint32(b[4:]) != 1 || binary.LittleEndian.Uint64(b[24:]) != 0 {
			t.Fatalf("%x is no header", b[:min(32, len(b))])
		}
		start, end := binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
		if start < last || end < start || end-start+1 > uint64(len(b)-32) {
			t.Fatalf("a range from %x to %x behind %x, %d bytes are left", start, end, last, len(b))
		}
		got[start] = b[32:][:end-start+1]
		b, last = b[32+end-start+1:], end+1
	}
	return got
}

type row struct {
	Start, End    string
	Image, Zeroed int64
	Holes         []struct{ Start, End, Why string }
	MoreHoles     bool `json:"more_holes"`
	Problem       string
}

func table(t *testing.T, c *Capture) (rows []row) {
	t.Helper()
	var l probetest.Lines
	must(t, c.Ranges().Acquire(t.Context(), &l))
	for _, b := range l.All {
		var r row
		must(t, json.Unmarshal(b, &r))
		rows = append(rows, r)
	}
	return rows
}

// pc makes a capture of a PC with two ranges of memory, one of which /proc/kcore does not
// show to its end.
func pc(t *testing.T, r *ram) *Capture {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	c := New(tree(t, map[string]string{"proc/iomem": "00001000-0009fbff : System RAM\n00100000-003fffff : System RAM\n"}))
	c.page = page
	r.head = elf([]segment{{span{0x1000, 0x9f000}, shift + 0x1000}, {span{0x100000, 0x380000}, shift + 0x100000}}, nil)
	c.open = func(facts.Root) (core, error) { return r, nil }
	return c
}

func TestImageHoldsAllMemory(t *testing.T) {
	r := &ram{bad: map[uint64]error{0x5000: syscall.EFAULT, 0x6000: syscall.EFAULT, 0x9e000: syscall.EIO, 0x200000: syscall.EFAULT}}
	c, w := pc(t, r), new(raw)
	err := c.Image().Acquire(t.Context(), w)
	m := probe.AsMissing(err)
	if m == nil || m.Skipped != 4+0x80 || !strings.Contains(err.Error(), "0x5000: bad address") {
		t.Fatalf("%v", err)
	}
	if !r.closed || w.asked < 0x9e000+0x280000 {
		t.Errorf("closed %t, asked for %d bytes", r.closed, w.asked)
	}
	n := uint64(0)
	for start, b := range w.ranges(t) {
		n += uint64(len(b))
		for at := start; at < start+uint64(len(b)); at += 8 {
			want := at
			if r.bad[at&^(page-1)] != nil {
				want = 0
			}
			if got := binary.LittleEndian.Uint64(b[at-start:]); got != want {
				t.Fatalf("%x at %x", got, at)
			}
		}
	}
	if n != 0x9e000+0x280000 {
		t.Errorf("%x bytes", n)
	}
	var sum int64
	rows := table(t, c)
	for _, x := range rows {
		sum += x.Image
	}
	if len(rows) != 3 || sum != int64(n) {
		t.Fatalf("%d bytes in %+v", sum, rows)
	}
	if x := rows[0]; x.Start != "0x1000" || x.End != "0x9efff" || x.Zeroed != 3*page || fmt.Sprint(x.Holes) != "[{0x5000 0x6fff bad address} {0x9e000 0x9efff input/output error}]" || x.Problem != "" {
		t.Errorf("%+v", x)
	}
	if x := rows[2]; x.Start != "0x380000" || x.End != "0x3fffff" || x.Image != 0 || x.Problem == "" {
		t.Errorf("%+v", x)
	}
}

// TestBrokenOff: what was read until then is an image, and the table says where it ends.
func TestBrokenOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &ram{after: func(n int) {
		if n == 2 {
			cancel()
		}
	}}
	c, w := pc(t, r), new(raw)
	if err := c.Image().Acquire(ctx, w); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "up to 0x200000") {
		t.Errorf("%v", err)
	}
	got := w.ranges(t)
	if len(got) != 2 || len(got[0x100000]) != chunk {
		t.Errorf("%d ranges", len(got))
	}
	rows := table(t, c)
	if rows[0].Problem != "" || rows[1].Image != chunk || rows[1].Problem == "" || rows[2].Problem == "" {
		t.Errorf("%+v", rows)
	}
}

func TestRefused(t *testing.T) {
	r := &ram{}
	c := pc(t, r)
	open := func(err error) func(*Capture, *raw) {
		return func(c *Capture, _ *raw) {
			c.open = func(facts.Root) (core, error) { return nil, &fs.PathError{Op: "open", Path: "kcore", Err: err} }
		}
	}
	put := func(name, text string) func(*Capture, *raw) {
		return func(c *Capture, _ *raw) { c.root = tree(t, map[string]string{name: text}) }
	}
	locked := func(c *Capture, w *raw) {
		open(syscall.EPERM)(c, w)
		must(t, os.MkdirAll(filepath.Join(c.root, "sys/kernel/security"), 0o755))
		must(t, os.WriteFile(filepath.Join(c.root, "sys/kernel/security/lockdown"), []byte("none integrity [confidentiality]\n"), 0o644))
	}
	for name, x := range map[string]struct {
		change func(*Capture, *raw)
		why    string
		denied bool
	}{
		"no rights":        {open(syscall.EPERM), "CAP_SYS_RAWIO", true},
		"no such file":     {open(syscall.ENOENT), "does not show its memory", true},
		"locked down":      {locked, "locked down for confidentiality", true},
		"hidden addresses": {put("proc/iomem", "00000000-00000000 : System RAM\n"), "hides where memory is", true},
		"no room":          {func(_ *Capture, w *raw) { w.full = errors.New("the disk is small") }, "not begun: the disk is small", true},
		"no memory listed": {put("proc/iomem", "00000000-00000fff : Reserved\n"), "no System RAM", false},
		"no core file":     {func(c *Capture, _ *raw) { r.head = make([]byte, 100) }, "not a 64-bit", false},
	} {
		t.Run(name, func(t *testing.T) {
			c, w := pc(t, r), new(raw)
			x.change(c, w)
			err := c.Image().Acquire(t.Context(), w)
			if err == nil || errors.Is(err, fs.ErrPermission) != x.denied || !strings.Contains(err.Error(), x.why) {
				t.Errorf("%v", err)
			}
			if len(w.b) > 0 {
				t.Errorf("%d bytes were written", len(w.b))
			}
			if terr := c.Ranges().Acquire(t.Context(), w); !errors.Is(terr, err) {
				t.Errorf("the table: %v", terr)
			}
		})
	}
	if err := c.Ranges().Acquire(t.Context(), new(raw)); err == nil {
		t.Error("a table without an image")
	}
}

// TestManyHoles: the list of what could not be read is bounded, and says so.
func TestManyHoles(t *testing.T) {
	r := &ram{bad: map[uint64]error{}}
	for at := uint64(0x100000); at < 0x380000; at += 2 * page {
		r.bad[at] = syscall.EFAULT
	}
	c, w := pc(t, r), new(raw)
	c.holes = maxHoles - 3
	if m := probe.AsMissing(c.Image().Acquire(t.Context(), w)); m == nil || m.Skipped != 0x280/2+0x80 {
		t.Errorf("%+v", m)
	}
	if x := table(t, c)[1]; len(x.Holes) != 3 || !x.MoreHoles || x.Zeroed != 0x280000/2 {
		t.Errorf("%d holes, more %t, %d bytes", len(x.Holes), x.MoreHoles, x.Zeroed)
	}
}

// sink is a writer that counts.
type sink struct {
	raw
	n int64
}

func (s *sink) WriteRaw(b []byte) error { s.n += int64(len(b)); return nil }

// zeros is a core file of nothing but zeros.
type zeros struct{ ram }

func (z *zeros) ReadAt(b []byte, off int64) (int, error) {
	if off < shift {
		return z.ram.ReadAt(b, off)
	}
	return len(b), nil
}

// TestMemoryDoesNotGrowWithTheRange: a PC with 64 GiB costs no more than one with one.
func TestMemoryDoesNotGrowWithTheRange(t *testing.T) {
	used := func(size uint64) (allocated uint64) {
		z := &zeros{}
		c, s := pc(t, &z.ram), new(sink)
		c.root = tree(t, map[string]string{"proc/iomem": fmt.Sprintf("00100000-%08x : System RAM\n", 0x100000+size-1)})
		z.head = elf([]segment{{span{0x100000, 0x100000 + size}, shift + 0x100000}}, nil)
		c.open = func(facts.Root) (core, error) { return z, nil }
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		must(t, c.Image().Acquire(t.Context(), s))
		runtime.ReadMemStats(&after)
		if s.n != int64(size+size/chunk*limeHeader) {
			t.Errorf("%d bytes of %d", s.n, size)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	if small, large := used(1<<30), used(64<<30); large > small+2<<20 || large > 8<<20 {
		t.Errorf("%d bytes were allocated for 1 GiB, %d for 64", small, large)
	}
}

// TestThisPC: whatever this machine says, it is an outcome; nothing is read.
func TestThisPC(t *testing.T) {
	w := &raw{full: errors.New("only looked")}
	err := New("/").Image().Acquire(t.Context(), w)
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errors.ErrUnsupported) || len(w.b) > 0 {
		t.Errorf("%v, %d bytes", err, len(w.b))
	}
	t.Log(err)
}

func TestFilesOfTheKernel(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	const symbols = "ffffffff81000000 T _text\nffffffff81000010 T _stext\n"
	hidden := "0000000000000000 T _text\n0000000000000000 T _stext\n"
	full := tree(t, map[string]string{
		"proc/version": "Linux version 6.1.0 (builder)\n", "proc/sys/kernel/osrelease": "6.1.0\n", "proc/kallsyms": symbols, "sys/kernel/btf/vmlinux": "\x9f\xeb",
		"usr/lib/modules/6.1.0/System.map": "map\n", "boot/config-6.1.0": "CONFIG_X=y\n", "sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
		"sys/kernel/notes": string(noteOf("GNU", 3, "\x12\xab")), "proc/iomem": iomem,
	})
	for kind, want := range map[artifact.Kind]string{artifact.KindKallsyms: symbols, artifact.KindBTF: "\x9f\xeb", artifact.KindSystemMap: "map\n", artifact.KindKconfig: "CONFIG_X=y\n"} {
		w, p := new(raw), NewFile(full, kind)
		if err := p.Acquire(t.Context(), w); err != nil || string(w.b) != want || p.Kind() != kind || p.Schema() != "hozen."+string(kind)+"/1" {
			t.Errorf("%s: %q, %v", kind, w.b, err)
		}
		w = new(raw)
		if err := NewFile(t.TempDir(), kind).Acquire(t.Context(), w); err != nil || len(w.b) > 0 {
			t.Errorf("%s without a file: %v", kind, err)
		}
	}
	w := new(raw)
	err := NewFile(tree(t, map[string]string{"proc/kallsyms": hidden}), artifact.KindKallsyms).Acquire(t.Context(), w)
	if !errors.Is(err, fs.ErrPermission) || len(w.b) > 0 {
		t.Errorf("hidden addresses: %v, %q", err, w.b)
	}
	long := tree(t, map[string]string{"proc/sys/kernel/osrelease": "1\n", "boot/config-1": ""})
	must(t, os.Truncate(filepath.Join(long, "boot/config-1"), maxFile+1))
	if m := probe.AsMissing(NewFile(long, artifact.KindKconfig).Acquire(t.Context(), w)); m == nil || len(w.b) != maxFile {
		t.Errorf("%v, %d bytes of a long file", m, len(w.b))
	}
	var l probetest.Lines
	must(t, NewKernel(full).Acquire(t.Context(), &l))
	for _, want := range []string{`"banner":"Linux version 6.1.0 (builder)"`, `"build_id":"12ab"`, `"lockdown":"integrity"`, `"/usr/lib/modules/6.1.0/System.map"`, `"/boot/config-6.1.0"`, `"system_ram":`} {
		if len(l.All) != 1 || !strings.Contains(string(l.All[0]), want) {
			t.Errorf("no %s in %s", want, l.All)
		}
	}
}

func TestKernelConformance(t *testing.T) {
	fresh := func() probe.Probe { return NewKernel("/") }
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("release")})
}
