package netconfig

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func attr(typ uint16, v ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func u32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func row(parts ...[]byte) []byte { return slices.Concat(parts...) }

var (
	linkRow = row([]byte{0, 0, 1, 0}, u32(7), u32(0x1|0x2|0x40|0x1000), u32(0),
		attr(3, []byte("veth0\x00")...), attr(4, u32(1500)...), attr(1, 2, 0, 0, 0, 0, 9), attr(16, 6), attr(5, u32(8)...),
		attr(18, attr(1, []byte("veth\x00")...)...))
	addrRow  = row([]byte{2, 24, 0x80, 0}, u32(7), attr(1, 192, 0, 2, 7), attr(2, 192, 0, 2, 7), attr(6, row(u32(10), u32(3600))...))
	routeRow = row([]byte{2, 24, 0, 0, 254, 16, 0, 1}, u32(0), attr(1, 198, 51, 100, 0), attr(4, u32(7)...), attr(5, 192, 0, 2, 1),
		attr(6, u32(100)...), attr(7, 192, 0, 2, 7), attr(15, u32(254)...))
	multiRow = row([]byte{10, 0, 0, 0, 254, 9, 0, 1}, u32(0), attr(9, row(
		[]byte{28, 0, 0, 0}, u32(3), attr(5, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
		[]byte{8, 0, 0, 0}, u32(4))...))
	ruleRow = row([]byte{2, 24, 32, 8, 252, 0, 0, 1}, u32(2), attr(1, 198, 51, 100, 0), attr(2, 192, 0, 2, 7), attr(3, []byte("eth0\x00")...), attr(17, []byte("tun0\x00")...),
		attr(6, u32(100)...), attr(10, u32(0x66)...), attr(16, u32(0xff)...), attr(14, u32(0)...), attr(15, u32(4711)...), attr(20, row(u32(1000), u32(1001))...),
		attr(21, 4), attr(22, 6), attr(24, 80, 0, 90, 0))
	neighRow = row([]byte{2, 0, 0, 0}, u32(7), []byte{4, 0, 0, 1}, attr(1, 192, 0, 2, 1), attr(2, 2, 0, 0, 0, 0, 1))
)

func TestParseRows(t *testing.T) {
	want := record.NetConfig{
		Type: "interface", IfIndex: 7, Iface: "veth0", Kind: "veth", MAC: "02:00:00:00:00:09", MTU: 1500, Parent: 8, Oper: "up",
		Flags: []string{"up", "broadcast", "running", "multicast"},
	}
	got, err := parseLink(linkRow)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("link: %v\n%s", err, diff)
	}
	want = record.NetConfig{Type: "address", IfIndex: 7, Family: "inet", Address: "192.0.2.7/24", Scope: "global", State: "permanent", ValidSeconds: 3600}
	got, err = parseAddr(addrRow)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("address: %v\n%s", err, diff)
	}
	routes, err := parseRoute(routeRow)
	if diff := cmp.Diff([]record.NetConfig{{
		Type: "route", IfIndex: 7, Family: "inet", Scope: "global", Destination: "198.51.100.0/24", Gateway: "192.0.2.1",
		PrefSource: "192.0.2.7", Table: 254, Metric: 100, RouteType: "unicast", Protocol: "dhcp",
	}}, routes); diff != "" || err != nil {
		t.Errorf("route: %v\n%s", err, diff)
	}
	routes, err = parseRoute(multiRow)
	if len(routes) != 2 || err != nil || routes[0].Gateway != "fe80::1" || routes[0].IfIndex != 3 || routes[1].IfIndex != 4 || routes[1].Destination != "default" || routes[0].Protocol != "ra" {
		t.Errorf("two hops: %v %+v", err, routes)
	}
	got, err = parseNeigh(neighRow)
	if diff := cmp.Diff(record.NetConfig{Type: "neighbour", IfIndex: 7, Family: "inet", Address: "192.0.2.1", MAC: "02:00:00:00:00:01", State: "stale"}, got); diff != "" || err != nil {
		t.Errorf("neighbour: %v\n%s", err, diff)
	}
	got, err = parseRule(ruleRow)
	if diff := cmp.Diff(record.NetConfig{
		Type: "rule", Family: "inet", Destination: "198.51.100.0/24", Source: "192.0.2.7/32", Iface: "eth0", OutIface: "tun0", Priority: 100, Action: "lookup", Table: 4711,
		Mark: 0x66, MarkMask: 0xff, TOS: 8, UIDs: "1000-1001", Protocol: "static", IPProto: 6, DstPorts: "80-90", SuppressPrefix: "0", Inverted: true,
	}, got); diff != "" || err != nil {
		t.Errorf("rule: %v\n%s", err, diff)
	}
	for _, f := range []func([]byte) error{
		func(b []byte) error { _, err := parseLink(b); return err }, func(b []byte) error { _, err := parseAddr(b); return err },
		func(b []byte) error { _, err := parseRoute(b); return err }, func(b []byte) error { _, err := parseNeigh(b); return err },
		func(b []byte) error { _, err := parseRule(b); return err },
	} {
		if f([]byte{2, 0, 0}) == nil {
			t.Error("a short row was taken")
		}
	}
}

func TestParseFiles(t *testing.T) {
	text := "# made by hand\nnameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch example.jp corp.example.jp\noptions edns0 trust-ad\nnameserver\n"
	got := parseResolv("/etc/resolv.conf", []byte(text), false)
	want := record.NetConfig{
		Type: "dns", File: "/etc/resolv.conf", Nameservers: []string{"192.0.2.53", "2001:db8::53"},
		Search: []string{"example.jp", "corp.example.jp"}, Options: []string{"edns0", "trust-ad"}, Text: text,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	hosts := parseHosts("/etc/hosts", []byte("127.0.0.1 localhost # me\n\n#x\n203.0.113.9\tupdate.example.jp update2\nodd\n0.0.0.0 b\xff"), false)
	if len(hosts) != 3 || hosts[1].Address != "203.0.113.9" || !slices.Equal(hosts[1].Names, []string{"update.example.jp", "update2"}) || string(hosts[2].TextRaw) != "0.0.0.0 b\xff" {
		t.Errorf("%+v", hosts)
	}
}

func FuzzParse(f *testing.F) {
	for _, b := range [][]byte{linkRow, addrRow, routeRow, multiRow, neighRow, ruleRow, []byte("nameserver x\n"), []byte("1.2.3.4 a b\n")} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		one, _ := parseLink(b)
		two, _ := parseAddr(b)
		three, _ := parseNeigh(b)
		all, _ := parseRoute(b)
		four, _ := parseRule(b)
		all = append(all, one, two, three, four, parseResolv("/r", b, false))
		all = append(all, parseHosts("/h", b, true)...)
		if len(all) > len(b)+9 {
			t.Fatalf("%d facts out of %d bytes", len(all), len(b))
		}
		for _, n := range all {
			if !json.Valid(n.AppendJSON(nil)) {
				t.Fatalf("%+v", n)
			}
		}
	})
}

// An absolute link of the resolver is followed below the root that was given.
func TestFilesBelowRoot(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"etc", "run/NetworkManager"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "run/NetworkManager/resolv.conf"), []byte("nameserver 192.0.2.99\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/run/NetworkManager/resolv.conf", filepath.Join(root, "etc/resolv.conf")); err != nil {
		t.Fatal(err)
	}
	var l probetest.Lines
	if err := New(root).Acquire(t.Context(), &l); err != nil {
		t.Skip(err) // no such probe on this system
	}
	for _, line := range l.All {
		var n record.NetConfig
		if err := json.Unmarshal(line, &n); err != nil {
			t.Fatal(err)
		}
		if n.Type == record.NetDNS && slices.Equal(n.Nameservers, []string{"192.0.2.99"}) && n.LinkTarget == "/run/NetworkManager/resolv.conf" {
			return
		}
	}
	t.Errorf("not found in %s", l.All)
}
