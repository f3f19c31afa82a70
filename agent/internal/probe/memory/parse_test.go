package memory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const page = 4096

// iomem is that of a PC whose firmware left odd ends, with memory that was plugged in.
const iomem = `00000000-00000fff : Reserved
00001000-0009fbff : System RAM
0009fc00-0009ffff : Reserved
  000c0000-000cffff : System ROM
00100000-3fffefff : System RAM
  20000000-20e00000 : Kernel code
  30000000-37ffffff : Crash kernel
fee00000-fee00fff : Local APIC
140000000-17fffffff : 0000:00:03.0
  140000000-17fffffff : virtio0
    148000000-14fffffff : System RAM (virtio_mem)
100000000-13fffffff : System RAM
139000000-13fffffff : System RAM
2000-2fff : System RAM
180000200-180000fff : System RAM
garbage : System RAM
18-17 : System RAM
`

func TestParseIomem(t *testing.T) {
	ram, hidden := parseIomem([]byte(iomem), page)
	want := []span{{0x1000, 0x9f000}, {0x100000, 0x3ffff000}, {0x100000000, 0x140000000}, {0x148000000, 0x150000000}}
	if diff := cmp.Diff(want, ram, cmp.AllowUnexported(span{})); diff != "" || hidden {
		t.Errorf("hidden %t\n%s", hidden, diff)
	}
	if n := total(ram); n != 0x87f9d000 {
		t.Errorf("%x bytes", n)
	}
	for text, want := range map[string]bool{
		"00000000-00000000 : System RAM\n00000000-00000000 : Reserved\n": true,
		"":                               false,
		"00000000-00000000 : Reserved\n": false,
	} {
		if ram, hidden := parseIomem([]byte(text), page); hidden != want || len(ram) > 0 {
			t.Errorf("%q: %v, hidden %t", text, ram, hidden)
		}
	}
}

// elf makes a core file of segments, with a note in front.
func elf(segments []segment, notes []byte) []byte {
	le := binary.LittleEndian
	n := len(segments) + 1
	b := make([]byte, elfHeader+n*progHeader, elfHeader+n*progHeader+len(notes))
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint64(b[32:], elfHeader)
	le.PutUint16(b[54:], progHeader)
	le.PutUint16(b[56:], uint16(n))
	p := b[elfHeader:]
	le.PutUint32(p, ptNote)
	le.PutUint64(p[8:], uint64(len(b)))
	le.PutUint64(p[32:], uint64(len(notes)))
	for _, s := range segments {
		p = p[progHeader:]
		le.PutUint32(p, ptLoad)
		le.PutUint64(p[8:], uint64(s.offset))
		le.PutUint64(p[24:], s.start)
		le.PutUint64(p[32:], s.end-s.start)
		if s.start == nowhere {
			le.PutUint64(p[32:], page)
		}
	}
	return append(b, notes...)
}

// noteOf makes a note.
func noteOf(name string, kind uint32, desc string) (b []byte) {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(name)+1))
	b = le.AppendUint32(b, uint32(len(desc)))
	b = le.AppendUint32(b, kind)
	pad := func(s string) []byte { return append([]byte(s), make([]byte, -len(s)&3)...) }
	return append(append(b, pad(name+"\x00")...), pad(desc)...)
}

func TestReadCore(t *testing.T) {
	want := []segment{{span{0x1000, 0x9f000}, 0x3000}, {span{0x100000, 0x40000000}, 1 << 46}}
	given := append([]segment{{span{nowhere, 0}, 0x7fff00000000}}, want...) // vmalloc has no physical address
	notes := append(noteOf("CORE", 1, "12345"), noteOf("VMCOREINFO", 0, "OSRELEASE=6.1\nKERNELOFFSET=1000\n")...)
	got, info, err := readCore(bytes.NewReader(elf(given, notes)))
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(segment{}, span{})); diff != "" || err != nil || info != "OSRELEASE=6.1\nKERNELOFFSET=1000\n" {
		t.Errorf("%q, %v\n%s", info, err, diff)
	}
	old := []segment{{span{0, page}, 0x3000}, {span{0, 2 * page}, 0x8000}}
	if _, _, err := readCore(bytes.NewReader(elf(old, nil))); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a kernel that says no addresses: %v", err)
	}
	whole := elf(want, nil)
	for name, b := range map[string][]byte{"empty": nil, "text": []byte(strings.Repeat("x", 100)), "cut": whole[:elfHeader+progHeader-1], "32 bit": bytes.Replace(whole, []byte("ELF\x02"), []byte("ELF\x01"), 1)} {
		if s, _, err := readCore(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: %v", name, s)
		}
	}
}

// TestPlan: the kernel's code is shown twice, a range begins before its segment, one has
// none, one takes several.
func TestPlan(t *testing.T) {
	segments := []segment{{span{0x200000, 0x400000}, 7}, {span{0x100000, 0x50000000}, 0x100000}, {span{0x80000000, 0x80004000}, 0x1000}, {span{0x80004000, 0x80006000}, 0x9000}}
	ram := []span{{0x80000, 0x50000000}, {0x60000000, 0x60001000}, {0x80000000, 0x80008000}}
	want := []piece{
		{span{0x80000, 0x100000}, absent},
		{span{0x100000, 0x40000000}, 0x100000},
		{span{0x40000000, 0x50000000}, 0x40000000},
		{span{0x60000000, 0x60001000}, absent},
		{span{0x80000000, 0x80004000}, 0x1000},
		{span{0x80004000, 0x80006000}, 0x9000},
		{span{0x80006000, 0x80008000}, absent},
	}
	if diff := cmp.Diff(want, planned(t, ram, segments), cmp.AllowUnexported(piece{}, span{})); diff != "" {
		t.Error(diff)
	}
	segments[0], segments[1] = segments[1], segments[0]
	want = []piece{{span{0x200000, 0x500000}, 0x200000}} // of the longer one, whichever comes first
	if diff := cmp.Diff(want, planned(t, []span{{0x200000, 0x500000}}, segments), cmp.AllowUnexported(piece{}, span{})); diff != "" {
		t.Error(diff)
	}
}

func planned(t *testing.T, ram []span, segments []segment) []piece {
	t.Helper()
	pieces, err := plan(ram, segments)
	if err != nil {
		t.Fatal(err)
	}
	return pieces
}

// TestPlanIsBounded: made-up lists take neither memory nor time, and what is not shown is
// one piece however long it is.
func TestPlanIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		ram      []span
		segments []segment
		pieces   int // 0: refused
	}{
		"all absent":   {[]span{{0, 1 << 50}}, nil, 1},
		"a big one":    {[]span{{0, 1 << 46}}, []segment{{span{0, 1 << 46}, 0}}, maxPieces},
		"too many":     {[]span{{0, 1<<46 + page}}, []segment{{span{0, 1 << 50}, 0}}, 0},
		"too much":     {[]span{{0, 1 << 52}, {1 << 53, 1<<53 + page}}, nil, 0},
		"all there is": {[]span{{0, math.MaxUint64 &^ (page - 1)}}, nil, 0},
		"too high":     {[]span{{math.MaxUint64 &^ (1<<30 - 1), math.MaxUint64 &^ (page - 1)}}, []segment{{span{1 << 63, math.MaxUint64}, 0}}, 0},
	} {
		pieces, err := plan(c.ram, c.segments)
		if len(pieces) != c.pieces || (err == nil) != (c.pieces > 0) {
			t.Errorf("%s: %d pieces, %v", name, len(pieces), err)
			continue
		}
		if w := new(raw); err == nil && (room(w, pieces) != nil || w.asked < chunk) {
			t.Errorf("%s: asked for %d bytes", name, w.asked)
		}
	}
	if n := total([]span{{0, math.MaxUint64}}); n != math.MaxInt64 {
		t.Errorf("%d bytes", n)
	}
}

func TestLockdown(t *testing.T) {
	for text, want := range map[string]string{"none integrity [confidentiality]": confidentiality, "[none] integrity confidentiality": "none", "": "", "none": ""} {
		if got := lockdown(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestBudget(t *testing.T) {
	const most = time.Hour
	for n, want := range map[uint64]time.Duration{0: most, 4 << 30: least + 4096/20*time.Second, 4 << 40: most, math.MaxUint64: most} {
		if got := budget(n, most); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
	if got := Budget(most); got < least || got > most {
		t.Errorf("this PC: %s", got)
	}
	if n, about := Estimate(); n < 0 || about < time.Minute || about%time.Minute != 0 {
		t.Errorf("this PC: %d bytes in %s", n, about)
	}
}

func FuzzIomem(f *testing.F) {
	f.Add([]byte(iomem))
	f.Add([]byte("0-ffffffffffffffff : System RAM\nfffffffffffff001-ffffffffffffffff : System RAM"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ram, hidden := parseIomem(b, page)
		var to uint64
		for _, s := range ram {
			if s.start < to || s.end <= s.start || s.start%page != 0 || s.end%page != 0 {
				t.Fatalf("%x after %x", s, to)
			}
			to = s.end
		}
		if hidden && len(ram) > 0 {
			t.Error("hidden and shown")
		}
	})
}

// FuzzCore reads foreign bytes as a core file, and plans with it: all of RAM is in the
// plan once, and nothing is read outside of its segment.
func FuzzCore(f *testing.F) {
	f.Add(elf([]segment{{span{0x1000, 0x9f000}, 0x3000}, {span{0x100000, 0x40000000}, 1 << 46}}, noteOf("VMCOREINFO", 0, "x")), uint64(0x1000), uint64(0x80000000))
	f.Add([]byte("\x7fELF\x02\x01"), uint64(0), uint64(page))
	f.Fuzz(func(t *testing.T, b []byte, from, to uint64) {
		segments, info, err := readCore(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(info) > len(b) {
			t.Fatal("more than there was")
		}
		s := whole(from, to, page)
		if to < from || s.end <= s.start || s.end-s.start > 1<<40 {
			return
		}
		at := s.start
		pieces, err := plan([]span{s}, segments)
		if s.end > maxAddr {
			if err == nil {
				t.Fatalf("%x is planned for", s)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pieces {
			if p.start != at || p.end <= p.start || p.end > s.end {
				t.Fatalf("%x behind %x", p, at)
			}
			at = p.end
			if p.offset == absent {
				continue
			}
			inside := false
			for _, g := range segments {
				inside = inside || p.start >= g.start && p.end <= g.end && p.offset == g.offset+int64(p.start-g.start)
			}
			if !inside || p.offset > math.MaxInt64-int64(p.end-p.start) {
				t.Fatalf("%x is in none of %x", p, segments)
			}
		}
		if at != s.end {
			t.Fatalf("ends at %x, want %x", at, s.end)
		}
	})
}
