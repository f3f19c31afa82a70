package winbytes_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"hozen/agent/internal/probe/winbytes"
)

func u16le(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{"": "", "C:\\請求書\\見積り.exe": "C:\\請求書\\見積り.exe", "𠮷野家": "𠮷野家"} {
		if got, exact := winbytes.Text(u16le(in)); got != want || exact != nil {
			t.Errorf("%q: %q, %x", in, got, exact)
		}
	}
	for name, in := range map[string][]byte{"high alone": {'a', 0, 0x00, 0xd8, 'b', 0}, "low alone": {0x00, 0xdc}, "odd": {'a', 0, 'b'}} {
		got, exact := winbytes.Text(in)
		if !slices.Equal(exact, in) || !strings.ContainsRune(got, '\ufffd') {
			t.Errorf("%s: %q, %x", name, got, exact)
		}
	}
	if got, exact := winbytes.Text16([]uint16{'a', 0xd800}); got != "a\ufffd" || !slices.Equal(exact, []byte{'a', 0, 0, 0xd8}) {
		t.Errorf("%q, %x", got, exact)
	}
}

func TestTime(t *testing.T) {
	if got, want := winbytes.Time(132223104000000001), time.Date(2020, 1, 1, 0, 0, 0, 100, time.UTC); !got.Equal(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := winbytes.Ticks(132223104000000019); got != 1577836800000001 {
		t.Error(got)
	}
	for _, v := range []int64{0, -1, 1 << 62} { // unknown, and never 1601
		if got := winbytes.Time(v); !got.IsZero() || winbytes.Ticks(v) != 0 {
			t.Errorf("%d: %v, %d", v, got, winbytes.Ticks(v))
		}
	}
}

// The cases of Microsoft's "Parsing C command-line arguments", and what malware does to them.
func TestArgs(t *testing.T) {
	for in, want := range map[string][]string{
		``:                              nil,
		`"abc" d e`:                     {"abc", "d", "e"},
		`a\\b d"e f"g h`:                {`a\\b`, "de fg", "h"},
		`a\\\"b c d`:                    {`a\"b`, "c", "d"},
		`a\\\\"b c" d e`:                {`a\\b c`, "d", "e"},
		`a"b"" c d`:                     {`ab"`, "c", "d"},
		`"C:\Program Files\x.exe" "" y`: {`C:\Program Files\x.exe`, "", "y"},
		"p\t-e  SQBFAFgA ":              {"p", "-e", "SQBFAFgA"},
		`"never closed \`:               {`never closed \`},
	} {
		if got := winbytes.Args(in); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// procRow makes a row of the process table whose name stands behind it.
func procRow(base uint64, at int, pid, ppid uint64, created int64, name string, last bool) []byte {
	text := u16le(name)
	size := 0x100 + (len(text)+7)/8*8
	b := make([]byte, size)
	le := binary.LittleEndian
	if !last {
		le.PutUint32(b, uint32(size))
	}
	le.PutUint32(b[4:], 3)
	le.PutUint64(b[0x20:], uint64(created))
	le.PutUint64(b[0x28:], 50_000_000)
	le.PutUint16(b[0x38:], uint16(len(text)))
	le.PutUint64(b[0x40:], base+uint64(at)+0x100)
	le.PutUint64(b[0x50:], pid)
	le.PutUint64(b[0x58:], ppid)
	le.PutUint32(b[0x60:], 77)
	le.PutUint32(b[0x64:], 1)
	le.PutUint64(b[0x90:], 4096)
	copy(b[0x100:], text)
	return b
}

func TestProcesses(t *testing.T) {
	const base = 0x7ffe0000
	b := procRow(base, 0, 4, 0, 0, "System", false)
	b = append(b, procRow(base, len(b), 5012, 4, 132223104000000000, "電卓.exe", true)...)
	list, err := winbytes.Processes(winbytes.Answer{Bytes: b, Base: base})
	want := []winbytes.Process{
		{PID: 4, Name: "System", Threads: 3, Handles: 77, Session: 1, UserTime: 50_000_000, WorkingSet: 4096},
		{PID: 5012, PPID: 4, Created: 132223104000000000, Name: "電卓.exe", Threads: 3, Handles: 77, Session: 1, UserTime: 50_000_000, WorkingSet: 4096},
	}
	if diff := cmp.Diff(want, list); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	for name, a := range map[string]winbytes.Answer{
		"cut":               {Bytes: b[:len(b)-8], Base: base},
		"name elsewhere":    {Bytes: b, Base: base + 1<<20},
		"name before":       {Bytes: b, Base: base * 2},
		"empty":             {},
		"next leads out":    {Bytes: append([]byte{0xff, 0xff, 0xff, 0x7f}, b[4:]...), Base: base},
		"next leads inside": {Bytes: append([]byte{8, 0, 0, 0}, b[4:]...), Base: base},
	} {
		if _, err := winbytes.Processes(a); !errors.Is(err, winbytes.ErrShort) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnicode(t *testing.T) {
	text := u16le(`x.exe -m "日本語"`)
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = append(binary.LittleEndian.AppendUint64(b, 0x1000+16), text...)
	if got, err := (winbytes.Answer{Bytes: b, Base: 0x1000}).Unicode(0); err != nil || !slices.Equal(got, text) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := (winbytes.Answer{Bytes: make([]byte, 16)}).Unicode(0); err != nil || got != nil {
		t.Errorf("none: %q, %v", got, err)
	}
	if _, err := (winbytes.Answer{Bytes: b, Base: 0x1002}).Unicode(8); !errors.Is(err, winbytes.ErrShort) {
		t.Error(err)
	}
}

func netip16(s string) []byte { b := netip.MustParseAddr(s).As16(); return b[:] }

// tcp4 is a table of one row of MIB_TCPROW_OWNER_MODULE.
func tcp4(state uint32, pid uint32, created uint64) []byte {
	b := make([]byte, 8+160)
	le := binary.LittleEndian
	le.PutUint32(b, 1)
	r := b[8:]
	le.PutUint32(r, state)
	copy(r[4:], []byte{192, 0, 2, 7, 0x1f, 0x90, 0xaa, 0xbb, 198, 51, 100, 9, 0x01, 0xbb, 0, 0})
	le.PutUint32(r[20:], pid)
	le.PutUint64(r[24:], created)
	le.PutUint64(r[32:], 12)
	return b
}

func TestSockets(t *testing.T) {
	list, err := winbytes.Sockets(winbytes.Table{Module: true}, tcp4(5, 5012, 132223104000000000))
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	s := list[0]
	if s.State != "ESTABLISHED" || s.Local.String() != "192.0.2.7:8080" || s.Remote.String() != "198.51.100.9:443" || s.PID != 5012 || s.Created != 132223104000000000 || s.ServiceTag != 12 {
		t.Errorf("%+v", s)
	}
	if list, _ = winbytes.Sockets(winbytes.Table{Module: true}, tcp4(2, 1, 0)); list[0].Remote.IsValid() || list[0].State != "LISTEN" {
		t.Errorf("one that waits has a peer: %+v", list[0])
	}
	if list, _ = winbytes.Sockets(winbytes.Table{Module: true}, tcp4(99, 1, 0)); list[0].State != "99" {
		t.Errorf("%+v", list[0])
	}
	six := binary.LittleEndian.AppendUint32(nil, 1)
	six = append(six, netip16("fe80::1")...)
	six = append(six, 4, 0, 0, 0, 0x02, 0x02, 0, 0)
	six = append(six, 0x10, 0, 0, 0)
	list, err = winbytes.Sockets(winbytes.Table{UDP: true, V6: true}, six)
	if err != nil || len(list) != 1 || list[0].Local.String() != "[fe80::1]:514" || list[0].Scope != 4 || list[0].PID != 16 || list[0].State != "" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := winbytes.Sockets(winbytes.Table{}, []byte{2, 0, 0, 0, 1}); !errors.Is(err, winbytes.ErrShort) {
		t.Error(err)
	}
	if _, err := winbytes.Sockets(winbytes.Table{}, nil); !errors.Is(err, winbytes.ErrShort) {
		t.Error(err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(procRow(0x1000, 0, 4, 0, 1, "a.exe", true), uint64(0x1000))
	f.Add(tcp4(5, 1, 1), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, base uint64) {
		a := winbytes.Answer{Bytes: b, Base: base}
		if list, _ := winbytes.Processes(a); len(list) > len(b)/0x100+1 {
			t.Errorf("%d processes in %d bytes", len(list), len(b))
		}
		_, _ = a.Unicode(0)
		for i := range 8 {
			winbytes.Sockets(winbytes.Table{UDP: i&1 > 0, V6: i&2 > 0, Module: i&4 > 0}, b)
		}
		line, _ := winbytes.Text(b)
		n := 0
		for _, a := range winbytes.Args(line) {
			n += len(a)
		}
		if n > len(line) {
			t.Errorf("%d bytes of arguments in %d", n, len(line))
		}
	})
}
