package bpf

import (
	"encoding/binary"
	"reflect"
	"slices"
	"testing"

	"hozen/internal/artifact/record"
)

func attr(typ uint16, v ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), v...)
	return append(b, make([]byte, -len(b)&3)...)
}

func u32(n ...uint32) (b []byte) {
	for _, v := range n {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return b
}

func TestParseAttached(t *testing.T) {
	link := slices.Concat(u32(0, 7, 0, 0), attr(3, []byte("eth0\x00")...), attr(43|1<<15, slices.Concat(attr(2, 4), attr(5, u32(31)...), attr(6, u32(32)...), attr(4, u32(31)...))...))
	dev, list := parseXDP(link)
	if dev.index != 7 || dev.name != "eth0" || len(list) != 2 || list[0].Program != 31 || list[0].Hook != "driver" || list[1].Hook != "generic" || list[1].Interface != "eth0" {
		t.Errorf("%+v %+v", dev, list)
	}
	for kind, want := range map[string][]spot{
		"clsact":  {{7, egressClass, hookOut, ""}, {7, ingressClass, hookIn, ""}},
		"ingress": {{7, ingressClass, hookIn, ""}},
		"htb":     {{7, 0x10000, "1:", ""}},
	} {
		if got := parseSpots(slices.Concat(u32(0, 7, 0x10000, 0xffffffff, 0), attr(1, []byte(kind+"\x00")...))); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v", kind, got)
		}
	}
	filter := slices.Concat(u32(0, 7, 9, ingressClass, 5<<16|3), attr(1, []byte("bpf\x00")...), attr(2, slices.Concat(attr(7, []byte("x.o\x00")...), attr(11, u32(33)...))...))
	want := record.BPF{Type: record.BPFAttached, Kind: "tc", Program: 33, Name: "x.o", Hook: hookIn, Device: 7, Interface: "eth0", Priority: 5, Handle: 9, UID: record.Unknown}
	if got := parseFilter(filter, &spot{7, ingressClass, hookIn, "eth0"}); !reflect.DeepEqual(got, &want) {
		t.Errorf("%+v", got)
	}
	other := slices.Concat(u32(0, 7, 9, ingressClass, 5<<16|3), attr(1, []byte("u32\x00")...), attr(2, attr(11, u32(33)...)...))
	if got := parseFilter(other, &spot{}); got != nil {
		t.Errorf("a filter without program: %+v", got)
	}
	if p := parseLink(u32(11, 5, 40, 0, 7, 46)); p.Kind != "tcx" || p.Device != 7 || p.Hook != hookIn || p.Program != 40 {
		t.Errorf("%+v", p)
	}
	for _, b := range [][]byte{nil, make([]byte, 15)} {
		if _, list := parseXDP(b); list != nil || parseSpots(b) != nil || parseFilter(b, &spot{}) != nil {
			t.Errorf("%d bytes tell something", len(b))
		}
	}
}

// What is left out because there is too much of it is said.
func TestTooManyAttached(t *testing.T) {
	link := func(index uint32) []byte {
		return slices.Concat(u32(0, index, 0, 0), attr(3, []byte("eth0\x00")...), attr(43|1<<15, attr(5, u32(31)...)...))
	}
	qdisc := func(index uint32) []byte {
		return slices.Concat(u32(0, index, 0, 0xffffffff, 0), attr(1, []byte("ingress\x00")...))
	}
	filter := slices.Concat(u32(0, 7, 9, ingressClass, 5<<16|3), attr(1, []byte("bpf\x00")...), attr(2, attr(11, u32(33)...)...))
	for n, want := range map[uint32][2]int{ // told and missed
		1: {2, 0}, 2: {3, 1}, 4: {3, 2},
	} {
		var missed []error
		list, err := hanging(3, func(typ uint16, _ []byte, row func([]byte)) error {
			for i := range n {
				switch typ {
				case getLink:
					row(link(i + 1))
				case getQdisc:
					row(qdisc(i + 1))
				case getFilter:
					row(filter)
					return nil
				}
			}
			return nil
		}, func(err error) { missed = append(missed, err) })
		if err != nil || len(list) != want[0] || len(missed) != want[1] {
			t.Errorf("%d interfaces: %d programs, %v, %v", n, len(list), missed, err)
		}
	}
}
