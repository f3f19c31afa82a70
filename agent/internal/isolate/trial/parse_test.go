package trial

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

const resolvConf = `# made by somebody
search example.test
nameserver 127.0.0.53
nameserver 192.0.2.53
 nameserver 192.0.2.53
nameserver fe80::1%eth0
nameserver ::ffff:192.0.2.54
nameserver dns.example.test
nameserver
nameserver 0.0.0.0
options edns0
`

const clockConf = `[Time]
NTP=192.0.2.1 time.example.test [2001:db8::1]
FallbackNTP=192.0.2.2
#NTP=192.0.2.9
server 192.0.2.3 iburst
pool 2.debian.pool.ntp.org iburst
server 127.127.1.0
peer 2001:db8::2
`

func TestConfiguration(t *testing.T) {
	if got, want := parseResolvers([]byte(resolvConf)), addrs("192.0.2.53", "fe80::1%eth0", "192.0.2.54"); !slices.Equal(got, want) {
		t.Errorf("resolvers %v, want %v", got, want)
	}
	if got, want := parseClocks([]byte(clockConf)), addrs("192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3", "2001:db8::2"); !slices.Equal(got, want) {
		t.Errorf("time servers %v, want %v", got, want)
	}
	many := bytes.Repeat([]byte("nameserver 192.0.2.1\nnameserver 192.0.2.2\n"), 1000)
	for i := range 200 {
		many = append(many, []byte("nameserver 192.0.2."+string(rune('0'+i%10))+"\n")...)
	}
	if n := len(parseResolvers(many)); n > most {
		t.Errorf("%d resolvers", n)
	}
}

func attr(typ uint16, v ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), v...)
	return append(b, make([]byte, -len(b)&3)...)
}

func word(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func route(family, bits, typ byte, more ...[]byte) []byte {
	return append([]byte{family, bits, 0, 0, 254, 3, 0, typ, 0, 0, 0, 0}, slices.Concat(more...)...)
}

func TestRoutes(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1")
	nexthop := func(index byte, more []byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(8+len(more)))
		return append(append(append(b, 0, 0), word(uint32(index))...), more...)
	}
	for name, tt := range map[string]struct {
		row  []byte
		want []hop
	}{
		"IPv4":            {route(2, 0, 1, attr(5, four.AsSlice()...), attr(4, word(2)...)), []hop{{four, 2}}},
		"IPv6":            {route(10, 0, 1, attr(4, word(3)...), attr(5, six.AsSlice()...)), []hop{{six, 3}}},
		"other family":    {route(2, 0, 1, attr(18, append([]byte{10, 0}, six.AsSlice()...)...), attr(4, word(2)...)), []hop{{six, 2}}},
		"two":             {route(2, 0, 1, attr(9, append(nexthop(2, attr(5, four.AsSlice()...)), nexthop(3, attr(5, 192, 0, 2, 2))...)...)), []hop{{four, 2}, {netip.MustParseAddr("192.0.2.2"), 3}}},
		"not the default": {route(2, 24, 1, attr(5, four.AsSlice()...), attr(4, word(2)...)), nil},
		"no gateway":      {route(2, 0, 1, attr(4, word(2)...)), nil},
		"unreachable":     {route(2, 0, 7, attr(4, word(2)...), attr(5, four.AsSlice()...)), nil},
		"absurd gateway":  {route(2, 0, 1, attr(4, word(2)...), attr(5, 127, 0, 0, 1)), nil},
	} {
		got, err := parseDefault(tt.row)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, tt.want)
		}
	}
	for name, row := range map[string][]byte{
		"short": make([]byte, 11), "attribute": route(2, 0, 1, []byte{200, 0, 5, 0}), "next hop": route(2, 0, 1, attr(9, 200, 0, 0, 0, 1, 0, 0, 0)),
	} {
		if _, err := parseDefault(row); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNeighbours(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	row := func(state uint16, more ...[]byte) []byte {
		b := append([]byte{2, 0, 0, 0}, word(2)...)
		b = append(binary.NativeEndian.AppendUint16(b, state), 0, 0)
		return append(b, slices.Concat(more...)...)
	}
	to := attr(1, 192, 0, 2, 1)
	at := hop{netip.MustParseAddr("192.0.2.1"), 2}
	for _, tt := range []struct {
		row  []byte
		want neighbour
	}{
		{row(0x02, to, attr(2, mac...)), neighbour{at, mac}},
		{row(0x04, to, attr(2, mac...)), neighbour{at, mac}},
		{row(0x20, to, attr(2, mac...)), neighbour{at, nil}}, // does not answer
		{row(0x01, to), neighbour{at, nil}},
		{row(0x02, to, attr(2, 1, 2, 3)), neighbour{at, nil}},
	} {
		if got, err := parseNeighbour(tt.row); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%+v, %v, want %+v", got, err, tt.want)
		}
	}
	if _, err := parseNeighbour(make([]byte, 11)); err == nil {
		t.Error("short: no error")
	}
}

func TestFrameIsReadBack(t *testing.T) {
	n := nonce{1, 2, 3, 4, 5, 6, 7, 8}
	for _, six := range []bool{false, true} {
		s := someScene()
		g, src, proto := s.gateways[0], netip.MustParseAddr("192.0.2.7"), protoICMP
		if six {
			g, src, proto = s.gateways[2], netip.MustParseAddr("fe80::7"), protoICMP6
			g.mac = net.HardwareAddr{2, 0, 0, 0, 0, 9}
		}
		b := n.frame(way{kind: kindRaw, to: netip.AddrPortFrom(g.addr, 0), via: g}, src)
		if !bytes.Equal(b[:6], g.mac) || !bytes.Equal(b[6:12], g.dev.mac) {
			t.Errorf("frame %x", b)
		}
		p, ok := parsePacket(binary.BigEndian.Uint16(b[12:]), b[14:])
		f := flow{proto: proto, remote: g.addr.WithZone(""), nonce: n}
		if !ok || p.src != src || !f.sent(p) || f.answers(p) {
			t.Errorf("IPv6 %v: %+v", six, p)
		}
		// The sum over what is summed up, with its checksum, is 0 (RFC 1071).
		if !six && (checksum(b[14:34]) != 0 || checksum(p.body) != 0) {
			t.Error("checksum of IPv4")
		}
		if six {
			pseudo := append(append(src.AsSlice(), g.addr.WithZone("").AsSlice()...), 0, 0, 0, byte(len(p.body)), 0, 0, 0, protoICMP6)
			if checksum(append(pseudo, p.body...)) != 0 {
				t.Error("checksum of ICMPv6")
			}
		}
		reply := packet{src: f.remote, dst: src, proto: proto, body: slices.Clone(p.body)}
		reply.body[0] = map[bool]byte{false: reply4, true: reply6}[six]
		if !f.answers(reply) || f.sent(reply) {
			t.Error("the answer is not recognised")
		}
		reply.body[9]++
		if f.answers(reply) {
			t.Error("somebody else's answer")
		}
	}
}

// ip4 is an IPv4 packet with what follows.
func ip4(proto byte, src, dst string, body ...byte) []byte {
	b := []byte{0x45, 0, 0, byte(20 + len(body)), 0, 0, 0, 0, 64, proto, 0, 0}
	b = append(b, netip.MustParseAddr(src).AsSlice()...)
	return append(append(b, netip.MustParseAddr(dst).AsSlice()...), body...)
}

func TestFlows(t *testing.T) {
	ports := func(src, dst byte) []byte { return []byte{1, src, 0, dst, 0, 0, 0, 0} }
	f := flow{proto: protoUDP, remote: netip.MustParseAddr("192.0.2.1"), remotePort: 53, local: 0x107}
	sent := ip4(protoUDP, "192.0.2.7", "192.0.2.1", ports(7, 53)...)
	unreachable := append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, sent...)
	later := slices.Clone(sent)
	later[7] = 9 // a fragment without ports
	for name, tt := range map[string]struct {
		b           []byte
		sent, comes bool
	}{
		"sent":                  {sent, true, false},
		"answer":                {ip4(protoUDP, "192.0.2.1", "192.0.2.7", 0, 53, 1, 7), false, true},
		"another's answer":      {ip4(protoUDP, "192.0.2.2", "192.0.2.7", 0, 53, 1, 7), false, false},
		"to another port":       {ip4(protoUDP, "192.0.2.1", "192.0.2.7", 0, 53, 1, 8), false, false},
		"another protocol":      {ip4(protoTCP, "192.0.2.1", "192.0.2.7", 0, 53, 1, 7), false, false},
		"unreachable":           {ip4(protoICMP, "192.0.2.1", "192.0.2.7", unreachable...), false, true},
		"unreachable, a router": {ip4(protoICMP, "198.51.100.1", "192.0.2.7", unreachable...), false, true},
		"fragment":              {later, false, false},
	} {
		p, _ := parsePacket(etherIPv4, tt.b)
		if f.sent(p) != tt.sent || f.answers(p) != tt.comes {
			t.Errorf("%s: sent %v, answer %v", name, f.sent(p), f.answers(p))
		}
	}
}

func TestQueries(t *testing.T) {
	n := nonce{1, 2, 3}
	if q := n.query(portDNS); len(q) != 17 || q[2] != 1 || q[12] != 0 || q[14] != 2 {
		t.Errorf("DNS %x", q)
	}
	if q := n.query(portClock); len(q) != 48 || q[0] != 0x23 || q[40] != 1 {
		t.Errorf("NTP %x", q)
	}
	if q := n.query(portClosed); !bytes.Equal(q, n[:]) {
		t.Errorf("%x", q)
	}
}

// FuzzConfiguration takes what may stand in files that others write.
func FuzzConfiguration(f *testing.F) {
	f.Add([]byte(resolvConf))
	f.Add([]byte(clockConf))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, as := range [][]netip.Addr{parseResolvers(b), parseClocks(b)} {
			if len(as) > most {
				t.Errorf("%d addresses", len(as))
			}
			for i, a := range as {
				if !usable(a) || slices.Contains(as[:i], a) {
					t.Errorf("%v in %v", a, as)
				}
			}
		}
	})
}

// FuzzRows takes what the kernel may answer.
func FuzzRows(f *testing.F) {
	f.Add(route(2, 0, 1, attr(5, 192, 0, 2, 1), attr(4, word(2)...)))
	f.Add(append([]byte{2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0}, attr(1, 192, 0, 2, 1)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		hops, _ := parseDefault(b)
		for _, h := range hops {
			if !usable(h.addr) {
				t.Errorf("gateway %v", h.addr)
			}
		}
		if len(hops) > most+1 {
			t.Errorf("%d next hops", len(hops))
		}
		if n, err := parseNeighbour(b); err == nil && n.mac != nil && len(n.mac) != 6 {
			t.Errorf("link-layer address %v", n.mac)
		}
	})
}

// FuzzPacket takes what anybody may send.
func FuzzPacket(f *testing.F) {
	f.Add(uint16(etherIPv4), ip4(protoUDP, "192.0.2.7", "192.0.2.1", 1, 7, 0, 53))
	f.Add(uint16(etherIPv4), ip4(protoICMP, "192.0.2.7", "192.0.2.1", append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, ip4(protoICMP, "192.0.2.7", "192.0.2.1", 8, 0, 0, 0)...)...))
	f.Fuzz(func(t *testing.T, ether uint16, b []byte) {
		p, ok := parsePacket(ether, b)
		if !ok {
			return
		}
		fl := flow{proto: p.proto, remote: p.dst, remotePort: p.dstPort, local: p.srcPort}
		if p.body == nil && !fl.sent(p) {
			t.Errorf("%+v does not know its own packet", fl)
		}
		fl.remote = p.src
		_ = fl.answers(p)
	})
}
