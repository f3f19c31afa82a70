package sockdiag

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozen/internal/artifact/record"
)

// inetRow makes the body of a row as the kernel does.
func inetRow(family, state uint8, src, dst netip.Addr, sport, dport uint16, uid, inode uint32) []byte {
	ne := binary.NativeEndian
	b := make([]byte, 72)
	b[0], b[1] = family, state
	binary.BigEndian.PutUint16(b[4:], sport)
	binary.BigEndian.PutUint16(b[6:], dport)
	copy(b[8:24], src.AsSlice())
	copy(b[24:40], dst.AsSlice())
	ne.PutUint32(b[40:], 3)
	ne.PutUint32(b[56:], 7)
	ne.PutUint32(b[60:], 128)
	ne.PutUint32(b[64:], uid)
	ne.PutUint32(b[68:], inode)
	return b
}

func attr(typ uint16, v []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func TestInet(t *testing.T) {
	var p Parser
	lo, ten := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.1.2.3")
	got, err := p.Socket(TCP, inetRow(2, 10, lo, netip.IPv4Unspecified(), 22, 0, 33, 4711))
	if err != nil {
		t.Fatal(err)
	}
	want := record.Socket{
		Source: "sock_diag", Family: "inet", Proto: "tcp", State: "LISTEN", LocalAddr: "127.0.0.1", LocalPort: 22,
		Inode: 4711, UID: 33, IfIndex: 3, RecvQ: 7, SendQ: 128,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got, _ = p.Socket(TCP6, inetRow(10, 6, netip.MustParseAddr("::ffff:10.1.2.3"), netip.MustParseAddr("2001:db8::9"), 8080, 443, 0, 0))
	if got.LocalAddr != "::ffff:10.1.2.3" || got.RemoteAddr != "2001:db8::9" || got.RemotePort != 443 || got.State != "TIME_WAIT" || got.UID != record.Unknown {
		t.Errorf("%+v", got)
	}
	got, _ = p.Socket(Raw, inetRow(2, 7, ten, netip.IPv4Unspecified(), 1, 1, 0, 5))
	if got.Proto != "raw" || got.ProtocolNum != 1 || got.LocalPort != 0 || got.RemoteAddr != "" || got.RemotePort != 0 {
		t.Errorf("%+v", got)
	}
	if _, err := p.Socket(UDP, make([]byte, 71)); err == nil {
		t.Error("a short row was taken")
	}
}

func TestUnix(t *testing.T) {
	row := func(name []byte) []byte {
		b := []byte{1, 1, 10, 0}
		b = binary.NativeEndian.AppendUint32(b, 99)
		b = append(b, make([]byte, 8)...)
		b = append(b, attr(0, name)...)
		b = append(b, attr(2, binary.NativeEndian.AppendUint32(nil, 100))...)
		return append(b, attr(7, binary.NativeEndian.AppendUint32(nil, 1000))...)
	}
	for _, c := range []struct{ in, path, exact string }{
		{"/run/x.sock\x00", "/run/x.sock", ""},
		{"/run/x.sock", "/run/x.sock", ""},
		{"\x00abstract", "@abstract", ""},
		{"\x00a\x00b", "@a@b", "\x00a\x00b"},
		{"@notabstract\x00", "@notabstract", "@notabstract"},
		{"/run/\xff\x00", "/run/\ufffd", "/run/\xff"},
		{"", "", ""},
	} {
		s, err := new(Parser).Socket(Unix, row([]byte(c.in)))
		if err != nil || s.Path != c.path || string(s.PathRaw) != c.exact {
			t.Errorf("%q: path %q, exact %q, %v", c.in, s.Path, s.PathRaw, err)
		}
		if s.Inode != 99 || s.PeerInode != 100 || s.UID != 1000 || s.Type != "stream" || s.State != "LISTEN" {
			t.Errorf("%+v", s)
		}
	}
}

func TestPacket(t *testing.T) {
	b := []byte{17, 3, 0, 0}
	binary.NativeEndian.PutUint16(b[2:], 0x888e)
	b = binary.NativeEndian.AppendUint32(b, 77)
	b = append(b, make([]byte, 8)...)
	b = append(b, attr(0, binary.NativeEndian.AppendUint32(nil, 2))...)
	s, err := new(Parser).Socket(Packet, b)
	if err != nil || s.ProtocolNum != 0x888e || s.IfIndex != 2 || s.Inode != 77 || s.Type != "raw" || s.UID != record.Unknown {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestMessages(t *testing.T) {
	datagram := append(header(typeDiagByFam, 2, 7, []byte("row1")), header(typeDiagByFam, 2|flagInterrupted, 7, []byte("row2"))...)
	datagram = append(datagram, header(typeDiagByFam, 2, 6, []byte("old "))...)
	datagram = append(datagram, header(typeDone, 2, 7, make([]byte, 4))...)
	var rows []string
	keep := func(_ uint16, b []byte) error { rows = append(rows, string(b)); return nil }
	r, err := Messages(datagram, 7, keep)
	if err != nil || !r.Done || !r.Interrupted || len(rows) != 2 || rows[1] != "row2" {
		t.Errorf("%+v %v %q", r, err, rows)
	}
	minus := -int32(syscall.ENOENT)
	_, err = Messages(header(typeError, 0, 7, binary.NativeEndian.AppendUint32(nil, uint32(minus))), 7, keep)
	if !errors.Is(err, syscall.ENOENT) {
		t.Errorf("error message: %v", err)
	}
	for _, cut := range []int{1, 15, 17, len(datagram) - 1} {
		if _, err := Messages(datagram[:cut], 7, keep); err == nil {
			t.Errorf("cut at %d: no error", cut)
		}
	}
}

func FuzzMessages(f *testing.F) {
	lo := netip.MustParseAddr("127.0.0.1")
	f.Add(append(header(typeDiagByFam, 2, 7, inetRow(2, 1, lo, lo, 1, 2, 3, 4)), header(typeDone, 2, 7, make([]byte, 4))...))
	f.Add(header(typeDiagByFam, 2, 7, append(make([]byte, 16), attr(0, []byte("/x"))...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		n := 0
		Messages(b, 7, func(typ uint16, body []byte) error {
			n++
			var p Parser
			for _, r := range []Request{TCP, TCP6, UDP, Raw6, Unix, Packet} {
				p.Socket(r, body)
			}
			link(body)
			return nil
		})
		if n > len(b)/headerLen || !bytes.Equal(before, b) {
			t.Fatalf("%d rows out of %d bytes, input changed: %t", n, len(b), !bytes.Equal(before, b))
		}
	})
}
