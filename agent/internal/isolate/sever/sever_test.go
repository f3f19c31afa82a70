package sever

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"hozen/agent/internal/isolate"
)

// row is what the kernel says of a socket.
func row(local, remote netip.AddrPort, state byte, mark uint32) []byte {
	b := make([]byte, messageSize)
	b[0], b[1] = familyInet, state
	if local.Addr().Is6() {
		b[0] = familyInet6
	}
	binary.BigEndian.PutUint16(b[4:], local.Port())
	binary.BigEndian.PutUint16(b[6:], remote.Port())
	copy(b[8:24], local.Addr().AsSlice())
	copy(b[24:40], remote.Addr().AsSlice())
	binary.NativeEndian.PutUint32(b[44:], 7)
	binary.NativeEndian.PutUint32(b[48:], 1)
	binary.NativeEndian.PutUint32(b[64:], 1000)
	binary.NativeEndian.PutUint32(b[68:], 4711)
	attr := func(typ uint16, v []byte) {
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(v)))
		b = append(binary.NativeEndian.AppendUint16(b, typ), v...)
	}
	attr(attrMark, binary.NativeEndian.AppendUint32(nil, mark))
	info := make([]byte, 232)
	binary.NativeEndian.PutUint64(info[infoAcked:], 11)
	binary.NativeEndian.PutUint64(info[infoReceived:], 22)
	attr(attrInfo, info)
	return b
}

func TestWhichConnectionsAreAllowed(t *testing.T) {
	p := isolate.Policy{Mark: 9, Collectors: []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.1:7443"), netip.MustParseAddrPort("[2001:db8::1]:7443"),
	}}
	own := map[netip.Addr]bool{netip.MustParseAddr("192.0.2.77"): true}
	for _, tt := range []struct {
		name, protocol, local, remote string
		mark                          uint32
		allowed                       bool
	}{
		{"the agent", tcp, "192.0.2.77:40000", "192.0.2.1:7443", 9, true},
		{"the agent, IPv6", tcp, "[2001:db8::7]:40000", "[2001:db8::1]:7443", 9, true},
		{"the agent by a socket for both families", tcp, "[::ffff:192.0.2.77]:40000", "[::ffff:192.0.2.1]:7443", 9, true},
		{"somebody else with the collector", tcp, "192.0.2.77:40000", "192.0.2.1:7443", 0, false},
		{"the agent with another port", tcp, "192.0.2.77:40000", "192.0.2.1:443", 9, false},
		{"the agent with somebody else", tcp, "192.0.2.77:40000", "192.0.2.2:7443", 9, false},
		{"by UDP with the collector", udp, "192.0.2.77:40000", "192.0.2.1:7443", 9, false},
		{"somebody else", tcp, "192.0.2.77:40000", "198.51.100.1:443", 0, false},
		{"incoming", tcp, "192.0.2.77:22", "198.51.100.1:50000", 0, false},
		{"loopback", tcp, "127.0.0.1:40000", "127.0.0.1:80", 0, true},
		{"loopback, IPv6", tcp, "[::1]:40000", "[::1]:80", 0, true},
		{"loopback by a socket for both families", tcp, "[::ffff:127.0.0.1]:40000", "[::ffff:127.0.0.1]:80", 0, true},
		{"own address", tcp, "192.0.2.77:40000", "192.0.2.77:80", 0, true},
		{"DHCP", udp, "192.0.2.77:68", "192.0.2.9:67", 0, true},
		{"DHCPv6", udp, "[fe80::1]:546", "[fe80::2]:547", 0, true},
		{"DHCP's port to elsewhere", udp, "192.0.2.77:68", "192.0.2.9:53", 0, false},
		{"name server", udp, "192.0.2.77:40000", "192.0.2.9:53", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parse(tt.protocol, row(netip.MustParseAddrPort(tt.local), netip.MustParseAddrPort(tt.remote), 1, tt.mark))
			if err != nil {
				t.Fatal(err)
			}
			if got := s.allowed(p, own); got != tt.allowed {
				t.Errorf("allowed %v: %+v", got, s)
			}
			if s.State != "ESTABLISHED" || s.Cookie != 1<<32|7 || s.UID != 1000 || s.Inode != 4711 || s.Sent != 11 || s.Received != 22 {
				t.Errorf("%+v", s)
			}
		})
	}
	p.Mark = 0
	s, _ := parse(tcp, row(netip.MustParseAddrPort("192.0.2.77:40000"), netip.MustParseAddrPort("192.0.2.1:7443"), 1, 5))
	if !s.allowed(p, own) {
		t.Error("without a mark the collector's connections are not known")
	}
}

// What a permit leaves open goes on; the same port by another protocol, and what was
// permitted before an edit, does not.
func TestAllowedByPermits(t *testing.T) {
	p := isolate.Policy{Mode: isolate.Selective, Permits: []isolate.Permit{
		{Network: netip.MustParsePrefix("198.51.100.0/24"), Protocol: isolate.TCP, First: 443, Last: 444},
		{Network: netip.MustParsePrefix("2001:db8:7::1/128"), Protocol: isolate.UDP, First: 5000, Last: 5000},
	}}
	for _, tt := range []struct {
		protocol, remote string
		allowed          bool
	}{
		{tcp, "198.51.100.9:444", true},
		{tcp, "198.51.100.9:445", false},
		{udp, "198.51.100.9:444", false},
		{tcp, "198.51.101.9:443", false},
		{udp, "[2001:db8:7::1]:5000", true},
		{udp, "[2001:db8:7::2]:5000", false},
		{tcp, "[::ffff:198.51.100.9]:443", true},
	} {
		local := "192.0.2.77:40000"
		if strings.HasPrefix(tt.remote, "[") {
			local = "[2001:db8::77]:40000"
		}
		s, err := parse(tt.protocol, row(netip.MustParseAddrPort(local), netip.MustParseAddrPort(tt.remote), 1, 0))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.allowed(p, nil); got != tt.allowed {
			t.Errorf("%s %s: allowed %v", tt.protocol, tt.remote, got)
		}
		if s.allowed(isolate.Policy{Mode: isolate.Full}, nil) {
			t.Errorf("%s %s: allowed in full mode", tt.protocol, tt.remote)
		}
	}
}

// What carries the way home is kept, whoever's it is.
func TestAllowedByTunnels(t *testing.T) {
	p := isolate.Policy{Mark: 5, Tunnels: []isolate.Tunnel{
		{Address: netip.MustParseAddr("198.51.100.9"), Protocol: isolate.ProtocolUDP, Port: 51820},
		{Address: netip.MustParseAddr("2001:db8:7::1"), Protocol: isolate.ProtocolTCP, Port: 443},
		{Address: netip.MustParseAddr("198.51.100.9"), Protocol: isolate.ProtocolGRE},
	}}
	for _, tt := range []struct {
		protocol, remote string
		allowed          bool
	}{
		{udp, "198.51.100.9:51820", true},
		{udp, "[::ffff:198.51.100.9]:51820", true},
		{udp, "198.51.100.9:53", false},
		{tcp, "198.51.100.9:51820", false},
		{tcp, "[2001:db8:7::1]:443", true},
		{tcp, "[2001:db8:7::2]:443", false},
	} {
		local := "192.0.2.77:40000"
		if strings.HasPrefix(tt.remote, "[") {
			local = "[2001:db8::77]:40000"
		}
		s, err := parse(tt.protocol, row(netip.MustParseAddrPort(local), netip.MustParseAddrPort(tt.remote), 1, 0))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.allowed(p, nil); got != tt.allowed {
			t.Errorf("%s %s: allowed %v", tt.protocol, tt.remote, got)
		}
	}
}

// On a point-to-point link the other end is not this endpoint.
func TestOwnAddress(t *testing.T) {
	attr := func(typ uint16, a string) []byte {
		v := netip.MustParseAddr(a).AsSlice()
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
		return append(binary.NativeEndian.AppendUint16(b, typ), v...)
	}
	for _, tt := range []struct {
		attrs []byte
		want  string
	}{
		{append(attr(1, "10.0.0.2"), attr(2, "10.0.0.1")...), "10.0.0.1"},
		{append(attr(2, "2001:db8::1"), attr(1, "2001:db8::2")...), "2001:db8::1"},
		{attr(1, "2001:db8::1"), "2001:db8::1"},
	} {
		if a, err := ownAddress(tt.attrs); err != nil || a.String() != tt.want {
			t.Errorf("got %v, %v; want %s", a, err, tt.want)
		}
	}
}

// FuzzParse takes what a kernel may answer.
func TestParseLink(t *testing.T) {
	for text, want := range map[string]uint32{
		"socket:[4711]": 4711, "socket:[4294967295]": 4294967295, "socket:[4294967296]": 0, "socket:[]": 0, "socket:[-1]": 0,
		"socket:[12": 0, "pipe:[12]": 0, "/tmp/socket:[12]": 0, "": 0,
	} {
		if n, ok := parseLink([]byte(text)); n != want && ok || ok != (want != 0) {
			t.Errorf("%q is %d, %v", text, n, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(row(netip.MustParseAddrPort("192.0.2.77:40000"), netip.MustParseAddrPort("192.0.2.1:7443"), 1, 5))
	f.Add(row(netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::1]:7443"), 255, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parse(tcp, b)
		if err == nil && (!s.Local.Addr().IsValid() || s.State == "" && b[1] != 0) {
			t.Errorf("%+v", s)
		}
		_ = s.allowed(isolate.Policy{}, nil)
		_, _ = ownAddress(b)
		if n, ok := parseLink(b); ok && n == 0 && !bytes.Contains(b, []byte("0")) {
			t.Errorf("%q is inode 0", b)
		}
	})
}
