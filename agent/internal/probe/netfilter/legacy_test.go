package netfilter

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hozen/internal/artifact/record"
)

// rule is an entry as a test plants it.
type rule struct {
	src, in string // an address and an interface
	not     byte   // what is inverted
	proto   byte
	matches []ext
	target  ext
	goTo    bool
}

// ext is a match or a target.
type ext struct {
	name string
	data []byte
}

func (e ext) bytes() []byte {
	size := (extHead + len(e.data) + 7) &^ 7
	b := make([]byte, size)
	binary.NativeEndian.PutUint16(b, uint16(size))
	copy(b[2:], e.name)
	copy(b[extHead:], e.data)
	return b
}

func verdictTo(v int32) ext { return ext{data: binary.NativeEndian.AppendUint32(nil, uint32(v))} }

func errorOf(name string) ext {
	b := make([]byte, 30)
	copy(b, name)
	return ext{"ERROR", b}
}

func (r rule) bytes(family string) []byte {
	s := shapeOf(family)
	b := make([]byte, s.head)
	if r.src != "" {
		a := mustAddr(r.src)
		copy(b, a)
		for i := range a {
			b[2*s.addr+i] = 0xff
		}
	}
	if copy(b[s.names:], r.in) > 0 {
		for i := range len(r.in) + 1 {
			b[s.names+2*ifaceName+i] = 0xff
		}
	}
	binary.NativeEndian.PutUint16(b[s.proto:], uint16(r.proto))
	binary.NativeEndian.PutUint64(b[s.counters:], 5) // the kernel begins with none
	binary.NativeEndian.PutUint64(b[s.counters+8:], 500)
	b[s.inv] = r.not
	if r.proto != 0 && family == "ip6" {
		b[s.flags] |= 0x01 // IP6T_F_PROTO
	}
	if r.goTo {
		b[s.flags] |= s.goTo
	}
	for _, m := range r.matches {
		b = append(b, m.bytes()...)
	}
	binary.NativeEndian.PutUint16(b[s.target:], uint16(len(b)))
	b = append(b, r.target.bytes()...)
	binary.NativeEndian.PutUint16(b[s.next:], uint16(len(b)))
	return b
}

// evilTable is a table "filter" in which somebody lets himself in. Offsets of chains are
// known only when all of it is written, so it is written twice.
func evilTable(family, src string) (info *legacyInfo, b []byte) {
	comment := make([]byte, 256)
	copy(comment, "backup job")
	tcp := ext{"tcp", []byte{0, 0, 255, 255, 22, 0, 22, 0, 0, 0, 0, 0}}
	chain := int32(0)
	for range 2 {
		b = nil
		info = &legacyInfo{hooks: 1<<1 | 1<<2 | 1<<3}
		put := func(r rule) (at uint32) {
			at = uint32(len(b))
			b = append(b, r.bytes(family)...)
			return at
		}
		info.entry[1] = put(rule{src: src, in: "eth+", proto: 6, matches: []ext{tcp, {"comment", comment}}, target: verdictTo(chain)})
		put(rule{src: src, not: 0x08, target: verdictTo(-1)})
		put(rule{proto: 17, target: verdictTo(chain), goTo: true})
		info.underflow[1] = put(rule{target: verdictTo(-1)})
		for _, h := range []int{2, 3} {
			info.entry[h] = put(rule{target: verdictTo(-2)})
			info.underflow[h] = info.entry[h]
		}
		put(rule{target: errorOf("evil")})
		chain = int32(len(b))
		put(rule{target: verdictTo(-2)})
		put(rule{target: verdictTo(-5)})
		put(rule{target: errorOf("ERROR")})
		info.size = uint32(len(b))
	}
	return info, b
}

// isEvil fails the test unless the lines tell of evilTable.
func isEvil(t *testing.T, list []record.FilterObject, src string) {
	t.Helper()
	var got []string
	for _, f := range list {
		if f.Table != "filter" {
			t.Errorf("%+v", f)
		}
		got = append(got, strings.TrimSpace(strings.Join([]string{f.Type, f.Chain, f.Policy, f.Src, f.In, f.Proto, strings.Join(f.Exprs, ","), f.Comment}, " ")))
		if (len(f.Raw) > 0) != (f.Type == record.FilterLegacyRule) {
			t.Errorf("%d raw bytes of %s", len(f.Raw), f.Type)
		}
	}
	want := []string{
		"legacy_chain INPUT drop", "legacy_rule INPUT  " + src + " eth+ tcp match tcp dport 22,match comment,jump evil backup job",
		"legacy_rule INPUT  !" + src + "   drop", "legacy_rule INPUT    udp goto evil",
		"legacy_chain FORWARD accept", "legacy_chain OUTPUT accept", "legacy_chain evil", "legacy_rule evil     accept", "legacy_rule evil     return",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

func entriesOf(family string, info *legacyInfo, b []byte) (list []record.FilterObject, err error) {
	err = parseEntries(family, "filter", info, b, func(f *record.FilterObject) error {
		list = append(list, *f)
		return nil
	})
	return list, err
}

func TestParseEntries(t *testing.T) {
	for family, src := range map[string]string{"ip": "192.0.2.66", "ip6": "2001:db8::66"} {
		info, b := evilTable(family, src)
		list, err := entriesOf(family, info, b)
		if err != nil {
			t.Error(err)
		}
		if f := list[1]; f.Packets != 5 || f.Bytes != 500 {
			t.Errorf("%+v", f)
		}
		isEvil(t, list, src+map[string]string{"ip": "/32", "ip6": "/128"}[family])
		if list, err := entriesOf(family, info, b[:len(b)-100]); err == nil || len(list) < 7 {
			t.Errorf("cut short: %d lines, %v", len(list), err)
		}
	}
	if _, err := parseInfo(make([]byte, infoSize-1)); err == nil {
		t.Error("a short answer was taken")
	}
	if got := masked([]byte{10, 0, 0, 1}, []byte{255, 0, 255, 0}); got != "10.0.0.1/255.0.255.0" {
		t.Error(got)
	}
	if got := masked([]byte{10, 0, 0, 0}, []byte{255, 128, 0, 0}); got != "10.0.0.0/9" {
		t.Error(got)
	}
}

func FuzzEntries(f *testing.F) {
	for family, src := range map[string]string{"ip": "192.0.2.66", "ip6": "2001:db8::66"} {
		_, b := evilTable(family, src)
		f.Add(family == "ip6", uint32(0), uint32(500), b)
	}
	f.Fuzz(func(t *testing.T, six bool, entry, underflow uint32, b []byte) {
		info := &legacyInfo{hooks: 31, entry: [legacyHook]uint32{entry}, underflow: [legacyHook]uint32{underflow}}
		family := "ip"
		if six {
			family = "ip6"
		}
		list, _ := entriesOf(family, info, b)
		if len(list) > 2*len(b)/extHead+legacyHook {
			t.Fatalf("%d lines out of %d bytes", len(list), len(b))
		}
		for i := range list {
			if !json.Valid(list[i].AppendJSON(nil)) {
				t.Fatal("no JSON")
			}
		}
	})
}

func mustAddr(s string) []byte { return netip.MustParseAddr(s).AsSlice() }
