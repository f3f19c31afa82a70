package winbytes_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hozen/agent/internal/probe/winbytes"
)

// blob is bytes of a size in which some places are filled.
func blob(size int, at map[int]any) []byte {
	b := make([]byte, size)
	for off, v := range at {
		switch v := v.(type) {
		case int:
			binary.LittleEndian.PutUint32(b[off:], uint32(v))
		case uint64:
			binary.LittleEndian.PutUint64(b[off:], v)
		case byte:
			b[off] = v
		case uint16:
			binary.LittleEndian.PutUint16(b[off:], v)
		case string:
			copy(b[off:], u16le(v))
		case []byte:
			copy(b[off:], v)
		}
	}
	return b
}

func sockaddr(s string) []byte {
	a := netip.MustParseAddr(s)
	if a.Is4() {
		return append([]byte{2, 0, 0, 0}, a.AsSlice()...)
	}
	return append([]byte{23, 0, 0, 0, 0, 0, 0, 0}, a.AsSlice()...)
}

const year2020 = uint64(132223104000000000)

func TestNetworkTables(t *testing.T) {
	routes, err := winbytes.Routes(blob(winbytes.RouteSize, map[int]any{8: 7, 12: sockaddr("198.51.100.0"), 40: byte(24), 44: sockaddr("192.0.2.1"), 76: -1, 84: 25, 88: 19}))
	want := []winbytes.Route{{Index: 7, Destination: netip.MustParsePrefix("198.51.100.0/24"), Gateway: netip.MustParseAddr("192.0.2.1"), Metric: 25, Protocol: "dhcp", Valid: 0xffffffff}}
	if diff := cmp.Diff(want, routes, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	neigh, err := winbytes.Neighbours(blob(winbytes.NeighbourSize, map[int]any{0: sockaddr("fe80::9"), 28: 7, 40: []byte{2, 0, 0, 0, 0, 9}, 72: 6, 76: 5}))
	if err != nil || len(neigh) != 1 || neigh[0] != (winbytes.Neighbour{Index: 7, Address: netip.MustParseAddr("fe80::9"), MAC: "02:00:00:00:00:09", State: "reachable"}) {
		t.Errorf("%+v, %v", neigh, err)
	}
	addrs, err := winbytes.Addresses(blob(winbytes.AddressSize, map[int]any{0: sockaddr("192.0.2.7"), 40: 7, 44: 3, 52: 3600, 60: byte(24), 64: 4, 72: year2020}))
	if err != nil || len(addrs) != 1 || addrs[0] != (winbytes.Address{Index: 7, Prefix: netip.MustParsePrefix("192.0.2.7/24"), State: "preferred", Origin: "dhcp", Valid: 3600, Created: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}) {
		t.Errorf("%+v, %v", addrs, err)
	}
	ifs, err := winbytes.Interfaces(blob(winbytes.InterfaceSize, map[int]any{8: 7, 28: "イーサネット", 542: "Realtek", 1056: 6, 1060: []byte{2, 0, 0, 0, 0, 7}, 1092: []byte{0, 1, 2, 3, 4, 5}, 1124: 1500, 1128: 6, 1152: byte(1), 1156: 1}))
	if err != nil || len(ifs) != 1 || ifs[0] != (winbytes.Interface{Index: 7, Alias: "イーサネット", Description: "Realtek", MAC: "02:00:00:00:00:07", PermanentMAC: "00:01:02:03:04:05", MTU: 1500, Kind: "ethernet", Oper: "up", Hardware: true}) {
		t.Errorf("%+v, %v", ifs, err)
	}
	if _, err := winbytes.Routes(make([]byte, winbytes.RouteSize+1)); !errors.Is(err, winbytes.ErrShort) {
		t.Error(err)
	}
}

func TestTerminals(t *testing.T) {
	got, err := winbytes.TerminalSession(blob(216, map[int]any{0: 4, 4: 3, 32: "RDP-Tcp#7", 96: "事務所", 130: "山田", 176: year2020, 200: year2020}))
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	if err != nil || got != (winbytes.Terminal{State: "disconnected", ID: 3, Station: "RDP-Tcp#7", Domain: "事務所", User: "山田", Connected: at, LoggedOn: at}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := winbytes.TerminalSession(nil); !errors.Is(err, winbytes.ErrShort) {
		t.Error(err)
	}
	if a := winbytes.TerminalClient(blob(24, map[int]any{0: 2, 6: []byte{203, 0, 113, 5}})); a.String() != "203.0.113.5" {
		t.Error(a)
	}
	for _, b := range [][]byte{nil, {2, 0, 0, 0, 0, 0}, make([]byte, 24), blob(24, map[int]any{0: 2})} {
		if a := winbytes.TerminalClient(b); a.IsValid() {
			t.Errorf("%x: %v", b, a)
		}
	}
	if winbytes.LogonType(10) != "remote_interactive" || winbytes.LogonType(77) != "77" {
		t.Error("names of logon types")
	}
}

func TestHandles(t *testing.T) {
	b := blob(16+2*40, map[int]any{0: uint64(2), 16: uint64(0xffff800012345678), 16 + 8: uint64(8), 16 + 16: uint64(0x44), 16 + 24: 0x120089, 16 + 30: uint16(37), 56 + 8: uint64(12)})
	list, err := winbytes.Handles(winbytes.Answer{Bytes: b})
	if err != nil || len(list) != 2 || list[0] != (winbytes.Handle{Object: 0xffff800012345678, PID: 8, Value: 0x44, Access: 0x120089, Type: 37}) || list[1].PID != 12 {
		t.Errorf("%+v, %v", list, err)
	}
	b[0] = 200
	if list, err = winbytes.Handles(winbytes.Answer{Bytes: b}); len(list) != 2 || !errors.Is(err, winbytes.ErrShort) {
		t.Errorf("%d, %v", len(list), err)
	}
	if _, err = winbytes.Handles(winbytes.Answer{}); !errors.Is(err, winbytes.ErrShort) {
		t.Error(err)
	}
}

func TestDrivers(t *testing.T) {
	b := blob(8+296, map[int]any{0: 1, 8 + 16: uint64(0xfffff80000000000), 8 + 24: 0x1000, 8 + 38: uint16(12), 8 + 40: []byte(`\SystemRoot\x.sys`)})
	list, err := winbytes.Drivers(winbytes.Answer{Bytes: b})
	if err != nil || len(list) != 1 || string(list[0].Path) != `\SystemRoot\x.sys` || string(list[0].Path[list[0].Name:]) != "x.sys" || list[0].Size != 0x1000 || list[0].Base != 0xfffff80000000000 {
		t.Errorf("%+v, %v", list, err)
	}
	b[8+38] = 255 // the name would begin behind the path
	if list, _ = winbytes.Drivers(winbytes.Answer{Bytes: b}); list[0].Name != len(list[0].Path) {
		t.Errorf("%+v", list)
	}
	if _, err = winbytes.Drivers(winbytes.Answer{Bytes: b[:100]}); !errors.Is(err, winbytes.ErrShort) {
		t.Error(err)
	}
}

func FuzzTables(f *testing.F) {
	f.Add(blob(winbytes.InterfaceSize, nil))
	f.Add(blob(216, map[int]any{0: 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		winbytes.Routes(b)
		winbytes.Neighbours(b)
		winbytes.Addresses(b)
		winbytes.Interfaces(b)
		winbytes.TerminalSession(b)
		winbytes.TerminalClient(b)
		winbytes.Handles(winbytes.Answer{Bytes: b})
		for _, d := range first(winbytes.Drivers(winbytes.Answer{Bytes: b})) {
			_ = d.Path[d.Name:]
		}
	})
}

func first[T any](v T, _ error) T { return v }
