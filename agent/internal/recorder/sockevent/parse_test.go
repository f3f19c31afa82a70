package sockevent

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
)

// row makes the body of a row as the kernel does.
func row(state uint8, local, remote netip.AddrPort, cookie uint64, uid, inode uint32) []byte {
	ne, be := binary.NativeEndian, binary.BigEndian
	b := make([]byte, msgLen)
	b[0], b[1] = familyInet, state
	if local.Addr().Is6() {
		b[0] = familyInet6
	}
	be.PutUint16(b[4:], local.Port())
	be.PutUint16(b[6:], remote.Port())
	copy(b[8:24], local.Addr().AsSlice())
	copy(b[24:40], remote.Addr().AsSlice())
	ne.PutUint32(b[40:], 2)
	ne.PutUint32(b[44:], uint32(cookie))
	ne.PutUint32(b[48:], uint32(cookie>>32))
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

// notice makes a datagram of the destroy groups.
func notice(body []byte) []byte {
	ne := binary.NativeEndian
	b := ne.AppendUint32(nil, uint32(headerLen+len(body)))
	b = ne.AppendUint16(b, typeDiag)
	b = append(b, make([]byte, 10)...)
	return append(b, body...)
}

var (
	here  = netip.MustParseAddrPort("10.0.0.1:4711")
	there = netip.MustParseAddrPort("192.0.2.9:443")
	here6 = netip.MustParseAddrPort("[fe80::1]:53")
	any6  = netip.MustParseAddrPort("[::]:0")
)

func TestParse(t *testing.T) {
	s, err := parse(row(stateEstablished, here, there, 1<<40|7, 1000, 99), protoTCP)
	if err != nil || s.local != here || s.remote != there || s.cookie != 1<<40|7 || s.uid != 1000 || s.inode != 99 || s.ifindex != 2 || s.proto != protoTCP || !s.worth() {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := parse(row(stateClose, here6, any6, 8, 0, 1), protoUDP); err != nil || s.local != here6 || s.remote.IsValid() || !s.worth() {
		t.Errorf("%+v, %v", s, err)
	}
	for _, state := range []uint8{stateTimeWait, stateNewSynRecv, stateClose} {
		if s, err := parse(row(state, here, there, 8, 0, 1), protoTCP); err != nil || s.worth() {
			t.Errorf("state %d is on record: %v", state, err)
		}
	}
	if _, err := parse(make([]byte, msgLen), protoTCP); !errors.Is(err, errWire) {
		t.Errorf("no family: %v", err)
	}
}

func TestEnds(t *testing.T) {
	info := make([]byte, 200)
	binary.NativeEndian.PutUint64(info[ackedAt:], 5000)
	binary.NativeEndian.PutUint64(info[receivedAt:], 70)
	tcp := notice(append(append(row(stateClose, here, there, 8, 0, 0), attr(attrProtocol, []byte{protoTCP})...), attr(attrInfo, info)...))
	udp := notice(append(row(stateClose, here6, any6, 9, 0, 0), attr(attrProtocol, []byte{protoUDP})...))
	var got []ended
	if err := ends(append(tcp, udp...), func(e *ended) { got = append(got, *e) }); err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if e := got[0]; e.cookie != 8 || e.proto != protoTCP || !e.hasBytes || e.sent != 5000 || e.received != 70 {
		t.Errorf("%+v", e)
	}
	if e := got[1]; e.cookie != 9 || e.proto != protoUDP || e.hasBytes {
		t.Errorf("%+v", e)
	}
	for n := 1; n < len(tcp); n++ {
		if err := ends(tcp[:n], func(*ended) { t.Errorf("%d bytes made an end", n) }); err == nil {
			t.Errorf("%d bytes are taken", n)
		}
	}
}

const sockstat = "sockets: used 16\nTCP: inuse 1 orphan 0 tw 1 alloc 1 mem 175\nUDP: inuse 0 mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n"

func TestInUseMovesWithTheCounters(t *testing.T) {
	base := inUse([]byte(sockstat))
	seen := map[uint64]string{base: "base"}
	for _, other := range []string{
		"TCP: inuse 2 orphan 0 tw 1 alloc 1 mem 175\nUDP: inuse 0 mem 0\nUDPLITE: inuse 0\n",
		"TCP: inuse 1 orphan 0 tw 1 alloc 1 mem 175\nUDP: inuse 1 mem 0\nUDPLITE: inuse 0\n",
		"TCP: inuse 0 orphan 0 tw 1 alloc 1 mem 175\nUDP: inuse 1 mem 0\nUDPLITE: inuse 0\n",
	} {
		v := inUse([]byte(other))
		if was, again := seen[v]; again {
			t.Errorf("%q looks like %q", other, was)
		}
		seen[v] = other
	}
	if got := inUse([]byte("TCP: inuse 1 orphan 9 tw 7 alloc 5 mem 1\nUDP: inuse 0 mem 3\nUDPLITE: inuse 0\n")); got != base {
		t.Error("other counters move it")
	}
}

func TestTable(t *testing.T) {
	tb := newTable(2)
	s := socket{cookie: 1, proto: protoTCP, state: 2, local: here, remote: there, inode: 5, uid: 3}
	tb.begin()
	if tb.saw(s) == 0 {
		t.Error("a new one is no news")
	}
	if got := tb.own(tb.unowned(false), map[uint32]int{5: 77}, false); len(got) != 1 || got[0].pid != 77 {
		t.Errorf("owned %+v", got)
	}
	tb.saw(socket{cookie: 9, proto: protoTCP, local: here, inode: 6})
	for i := range 6 { // nobody holds this one
		want := tb.unowned(i > 0)
		if _, asked := want[6]; asked != (i < mostAsked) {
			t.Errorf("time %d: %v", i, want)
		}
		tb.own(want, nil, false)
		if _, asked := tb.unowned(i > 0)[6]; asked != (i < mostAsked) {
			t.Errorf("time %d: asking some counts as asking all", i)
		}
		tb.own(want, nil, true)
	}
	tb.end(9)
	if got := tb.holders(); len(got) != 1 || got[0] != 77 {
		t.Errorf("holders %v", got)
	}
	tb.begin()
	if tb.saw(s) != 0 {
		t.Error("the same again is news")
	}
	s.state, s.inode, s.uid = stateEstablished, 0, 0
	if tb.saw(s) == 0 {
		t.Error("established is no news")
	}
	tb.saw(socket{cookie: 2, proto: protoUDP, local: here6})
	if tb.saw(socket{cookie: 3, proto: protoUDP, local: here6}) != 0 || tb.over != 1 || tb.count() != 2 {
		t.Errorf("over %d, count %d", tb.over, tb.count())
	}
	if gone := tb.missing(); len(gone) != 0 {
		t.Errorf("missing %+v", gone)
	}
	tb.begin()
	tb.saw(s)
	if gone := tb.missing(); len(gone) != 1 || gone[0].cookie != 2 {
		t.Errorf("missing %+v", gone)
	}
	if s, known := tb.end(1); !known || s.pid != 77 || s.inode != 5 || s.uid != 3 {
		t.Errorf("whoever held it is forgotten: %+v", s)
	}
}

func FuzzEnds(f *testing.F) {
	f.Add(notice(append(row(stateClose, here, there, 8, 0, 0), attr(attrProtocol, []byte{protoTCP})...)))
	f.Fuzz(func(t *testing.T, b []byte) { _ = ends(b, func(*ended) {}) })
}

func FuzzInUse(f *testing.F) {
	f.Add([]byte(sockstat))
	f.Fuzz(func(t *testing.T, b []byte) { inUse(b) })
}
