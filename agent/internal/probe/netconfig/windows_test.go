package netconfig

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozen/agent/internal/probe/winbytes"
	"hozen/internal/artifact/record"
)

func TestTablesOfWindows(t *testing.T) {
	const forever = 0xffffffff
	got := windowsTables{
		interfaces: []winbytes.Interface{{Index: 7, Alias: "Wi-Fi", Description: "Intel", MAC: "02:00:00:00:00:07", PermanentMAC: "00:01:02:03:04:05", MTU: forever, Kind: "wifi", Oper: "up", Hardware: true}},
		addresses:  []winbytes.Address{{Index: 7, Prefix: netip.MustParsePrefix("192.0.2.7/24"), State: "preferred", Origin: "dhcp", Valid: forever}},
		routes:     []winbytes.Route{{Index: 7, Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("192.0.2.1"), Metric: 25, Protocol: "static", Valid: 60}, {Index: 7, Destination: netip.MustParsePrefix("fe80::/64"), Gateway: netip.IPv6Unspecified(), Valid: forever}},
		neighbours: []winbytes.Neighbour{{Index: 7, Address: netip.MustParseAddr("192.0.2.1"), MAC: "02:00:00:00:00:01", State: "reachable"}, {Index: 8}},
	}.records()
	want := []record.NetConfig{
		{Type: "neighbour", IfIndex: 7, Iface: "Wi-Fi", Family: "inet", Address: "192.0.2.1", MAC: "02:00:00:00:00:01", State: "reachable"},
		{Type: "neighbour", IfIndex: 8},
		{Type: "interface", IfIndex: 7, Iface: "Wi-Fi", Kind: "wifi", MAC: "02:00:00:00:00:07", MTU: 1<<31 - 1, Oper: "up", Alias: "Intel", Flags: []string{"hardware", "mac_changed"}},
		{Type: "address", IfIndex: 7, Iface: "Wi-Fi", Family: "inet", Address: "192.0.2.7/24", State: "preferred", Protocol: "dhcp"},
		{Type: "route", IfIndex: 7, Iface: "Wi-Fi", Family: "inet", Destination: "0.0.0.0/0", Gateway: "192.0.2.1", Metric: 25, Protocol: "static", ValidSeconds: 60},
		{Type: "route", IfIndex: 7, Iface: "Wi-Fi", Family: "inet6", Destination: "fe80::/64"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
