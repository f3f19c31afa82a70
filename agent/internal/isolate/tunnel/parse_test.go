package tunnel

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
)

func attribute(b []byte, typ uint16, v ...byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(v)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func word(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// deviceOf is what a kernel says of one tunnel.
func deviceOf(kind string, data []byte) []byte {
	b := make([]byte, ifinfomsgSize)
	binary.NativeEndian.PutUint32(b[4:], 9)
	info := attribute(attribute(nil, 1, append([]byte(kind), 0)...), 2|0x8000, data...)
	return attribute(attribute(b, 3, 't', '0', 0), 18|0x8000, info...)
}

func TestParseLink(t *testing.T) {
	four, six := at("192.0.2.1"), at("2001:db8::1")
	for name, tt := range map[string]struct {
		kind string
		data []byte
		want outer
	}{
		"ipip":        {"ipip", attribute(attribute(attribute(nil, 1, word(3)...), 3, four.AsSlice()...), 20, word(5)...), outer{remote: four, via: 3, mark: 5}},
		"ip6tnl":      {"ip6tnl", attribute(nil, 3, six.AsSlice()...), outer{remote: six}},
		"sit in UDP":  {"sit", attribute(attribute(nil, 3, four.AsSlice()...), 15, 1, 0), outer{remote: four, encap: true}},
		"gre":         {"gre", attribute(attribute(attribute(nil, 7, four.AsSlice()...), 14, 0, 0), 20, word(5)...), outer{remote: four, mark: 5}},
		"ip6gre":      {"ip6gre", attribute(attribute(nil, 7, six.AsSlice()...), 18), outer{remote: six, extern: true}},
		"vxlan":       {"vxlan", attribute(attribute(attribute(nil, 2, four.AsSlice()...), 15, 0x12, 0xb5), 25, 0), outer{remote: four, port: 4789}},
		"vxlan six":   {"vxlan", attribute(attribute(nil, 16, six.AsSlice()...), 3, word(2)...), outer{remote: six, via: 2}},
		"geneve":      {"geneve", attribute(attribute(nil, 2, four.AsSlice()...), 5, 0x17, 0xc1), outer{remote: four, port: 6081}},
		"nothing set": {"tun", attribute(nil, 3, 1, 2, 3), outer{}},
	} {
		l, err := parseLink(deviceOf(tt.kind, tt.data))
		if err != nil || l.outer != tt.want || l.kind != tt.kind || l.name != "t0" || l.index != 9 {
			t.Errorf("%s: %+v, %v; want %+v", name, l, err, tt.want)
		}
	}
	vlan := attribute(deviceOf("vlan", nil), 5, word(4)...)
	if l, err := parseLink(vlan); err != nil || l.lower != 4 {
		t.Errorf("%+v, %v", l, err)
	}
	if l, err := parseLink(attribute(vlan, 37, word(1)...)); err != nil || l.lower != 0 || !l.elsewhere {
		t.Errorf("in another namespace: %+v, %v", l, err)
	}
}

func TestParseRoute(t *testing.T) {
	b := attribute(make([]byte, rtmsgSize), 4, word(3)...)
	if r, err := parseRoute(b); err != nil || r != (route{link: 3}) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := parseRoute(attribute(slices.Clone(b), 22|0x8000)); err != nil || r != (route{link: 3, encap: true}) {
		t.Errorf("%+v, %v", r, err)
	}
	b[7] = rtnLocal
	if r, err := parseRoute(b); err != nil || r.link != 0 {
		t.Errorf("to ourselves: %+v, %v", r, err)
	}
}

// wgPeer is a peer as WireGuard tells of it (linux/wireguard.h).
func wgPeer(key byte, endpoint []byte, allowed ...string) []byte {
	k := make([]byte, 32)
	k[0] = key
	b := attribute(nil, 1, k...)
	b = attribute(b, 2, make([]byte, 32)...) // the preshared key
	if endpoint != nil {
		b = attribute(b, 4, endpoint...)
	}
	var ips []byte
	for i, a := range allowed {
		n := netip.MustParsePrefix(a)
		ip := attribute(nil, 1, 2, 0)
		ip = attribute(attribute(ip, 2, n.Addr().AsSlice()...), 3, byte(n.Bits()))
		ips = attribute(ips, uint16(i)|0x8000, ip...)
	}
	return attribute(b, 9|0x8000, ips...)
}

func sockaddrOf(s string) []byte {
	a := netip.MustParseAddrPort(s)
	b := make([]byte, 16)
	binary.NativeEndian.PutUint16(b, familyInet)
	binary.BigEndian.PutUint16(b[2:], a.Port())
	if a.Addr().Is4() {
		copy(b[4:], a.Addr().AsSlice())
		return b
	}
	b = append(b, make([]byte, 12)...)
	binary.NativeEndian.PutUint16(b, familyInet6)
	copy(b[8:], a.Addr().AsSlice())
	return b
}

func wgDevice(mark uint32, ps ...[]byte) []byte {
	b := attribute([]byte{0, 1, 0, 0}, 1, word(9)...)
	b = attribute(b, 3, make([]byte, 32)...) // the private key
	b = attribute(b, 7, word(mark)...)
	var all []byte
	for i, p := range ps {
		all = attribute(all, uint16(i)|0x8000, p...)
	}
	return attribute(b, 8|0x8000, all...)
}

// A device's peers come in several messages, and so do the addresses of one peer.
func TestParseWireGuard(t *testing.T) {
	var d peers
	for _, m := range [][]byte{
		wgDevice(51820, wgPeer(1, sockaddrOf("203.0.113.9:51820"), "0.0.0.0/0", "::/0"), wgPeer(2, sockaddrOf("[2001:db8::9]:5182"), "10.1.0.0/16")),
		wgDevice(51820, wgPeer(2, nil, "10.2.0.0/16"), wgPeer(3, nil, "10.2.3.0/24")),
	} {
		if err := d.add(m); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.all) != 3 || d.mark != 51820 {
		t.Fatalf("%+v", d)
	}
	for a, want := range map[string]string{
		"192.0.2.1": "203.0.113.9:51820", "10.1.2.3": "[2001:db8::9]:5182", "10.2.1.1": "[2001:db8::9]:5182", "10.2.3.1": "invalid AddrPort", "2001:db8::5": "203.0.113.9:51820",
	} {
		if p, ok := d.to(at(a)); !ok || p.endpoint.String() != want {
			t.Errorf("%s leads to %v, want %s", a, p.endpoint, want)
		}
	}
	id, err := parseFamily(attribute(attribute([]byte{1, 2, 0, 0}, 2, []byte("wireguard\x00")...), 1, 0x1d, 0))
	if err != nil || id != binary.NativeEndian.Uint16([]byte{0x1d, 0}) {
		t.Errorf("family %d, %v", id, err)
	}
}

func TestParseSocket(t *testing.T) {
	b := make([]byte, diagSize)
	b[0], b[1] = familyInet6, 1
	copy(b[24:], at("::ffff:192.0.2.1").AsSlice())
	binary.BigEndian.PutUint16(b[6:], 443)
	binary.NativeEndian.PutUint32(b[40:], 3)
	binary.NativeEndian.PutUint32(b[68:], 4711)
	b = attribute(b, diagMark, word(5)...)
	f, state, err := parseSocket(6, b)
	if want := (flow{protocol: 6, remote: netip.MustParseAddrPort("192.0.2.1:443"), mark: 5, via: 3, inode: 4711}); err != nil || f != want || state != 1 || !f.outside() {
		t.Errorf("%+v, %d, %v", f, state, err)
	}
	for _, inside := range []string{"127.0.0.1:443", "[::1]:443", "0.0.0.0:0", "192.0.2.1:0", "224.0.0.1:5"} {
		if f := (flow{protocol: 17, remote: netip.MustParseAddrPort(inside)}); f.outside() {
			t.Errorf("%s could carry a tunnel", inside)
		}
	}
	if n, ok := parseSocketLink("socket:[4711]"); !ok || n != 4711 {
		t.Error(n, ok)
	}
	for _, no := range []string{"", "socket:[]", "socket:[-1]", "socket:[4711", "pipe:[4711]", "socket:[99999999999]", "socket:[4294967296]"} {
		if n, ok := parseSocketLink(no); ok {
			t.Errorf("%q is %d", no, n)
		}
	}
	if got := parseHolds([]byte("pos:\t0\nflags:\t0100002\nmnt_id:\t27\nino:\t125\niff:\ttun0\n")); got != "tun0" {
		t.Errorf("%q", got)
	}
}

// FuzzParse takes what a kernel may answer.
func FuzzParse(f *testing.F) {
	f.Add(deviceOf("ipip", attribute(nil, 3, 1, 2, 3, 4)))
	f.Add(deviceOf("vxlan", attribute(nil, 15, 1, 2)))
	f.Add(wgDevice(1, wgPeer(1, sockaddrOf("192.0.2.1:1"), "0.0.0.0/0"), wgPeer(1, nil, "::/0")))
	f.Add(attribute(make([]byte, rtmsgSize), 4, 1, 0, 0, 0))
	f.Add(attribute(make([]byte, diagSize), diagMark, 1, 0, 0, 0))
	f.Add([]byte("iff:\ttun0\n"))
	f.Add([]byte("socket:[1]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := parseLink(b); err == nil && len(b) >= ifinfomsgSize && l.lower != 0 && l.elsewhere {
			t.Errorf("%+v", l)
		}
		_, _ = parseRoute(b)
		var d peers
		for range 2 {
			if err := d.add(b); err != nil {
				break
			}
		}
		for _, p := range d.all {
			for _, n := range p.allowed {
				if !n.IsValid() {
					t.Errorf("%+v", p)
				}
			}
		}
		_, _ = d.to(netip.IPv4Unspecified())
		if id, err := parseFamily(b); err == nil && id == 0 {
			t.Error("family 0")
		}
		if s, _, err := parseSocket(17, b); err == nil {
			_ = s.outside()
		}
		_ = parseHolds(b)
		_, _ = parseSocketLink(string(b))
	})
}
