package sever

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"hozen/agent/internal/isolate"
)

func table(t interface{ Fatal(...any) }, rows ...string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(rows, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	rows4 = "03000000" +
		"05000000 c0000205 c0010000 cb007107 01bb0000 d2040000" + // ESTABLISHED
		"02000000 00000000 00870000 00000000 00000000 04000000" + // LISTEN
		"0b000000 c0000205 c0020000 cb007107 01bb0000 00000000" // TIME_WAIT
	rows6 = "01000000" +
		"20010db8000000000000000000000005 00000000 c0010000 20010db8000000000000000000000007 00000000 1d130000 08000000 d2040000"
)

func TestTableOfWindows(t *testing.T) {
	four, err := parseTable(table(t, rows4), false)
	if err != nil || len(four) != 1 {
		t.Fatalf("%+v, %v", four, err)
	}
	want := isolate.Connection{Protocol: "tcp", State: "ESTABLISHED", PID: 1234,
		Local: netip.MustParseAddrPort("192.0.2.5:49153"), Remote: netip.MustParseAddrPort("203.0.113.7:443")}
	if four[0].Connection != want || four[0].key != [4]uint32{0x050200c0, 0x1c0, 0x077100cb, 0xbb01} {
		t.Errorf("%+v", four[0])
	}
	six, err := parseTable(table(t, rows6), true)
	if err != nil || len(six) != 1 || six[0].Remote != netip.MustParseAddrPort("[2001:db8::7]:7443") || six[0].State != "CLOSE_WAIT" || six[0].PID != 1234 {
		t.Errorf("%+v, %v", six, err)
	}
	for _, cut := range []int{0, 3, 27, 75} {
		if _, err := parseTable(table(t, rows4)[:cut], false); err == nil {
			t.Errorf("%d bytes are taken for a table", cut)
		}
	}
}

// The way home is the agent's alone: others' connections with the collector are ended.
func TestOthersHaveNoWayHome(t *testing.T) {
	p := isolate.Policy{Collectors: []netip.AddrPort{netip.MustParseAddrPort("203.0.113.7:443")}}.Clean()
	es, err := parseTable(table(t, rows4), false)
	if err != nil {
		t.Fatal(err)
	}
	if !es[0].allowed(p, nil) {
		t.Error("the agent's own connection is ended")
	}
	es[0].foreign = true
	if es[0].allowed(p, nil) {
		t.Error("another program's connection with the collector goes on")
	}
}

func FuzzTable(f *testing.F) {
	f.Add(table(f, rows4), false)
	f.Add(table(f, rows6), true)
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		es, err := parseTable(b, six)
		for _, e := range es {
			_ = e.allowed(isolate.Policy{}, nil)
		}
		if err == nil && len(b) == 0 {
			t.Error("nothing is a table")
		}
	})
}
