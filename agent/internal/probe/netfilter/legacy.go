package netfilter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"

	"hozen/internal/artifact/record"
)

// entryShape is where the fields of struct ipt_entry or ip6t_entry lie on a 64-bit system
// (linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h).
type entryShape struct {
	addr                     int // bytes of an address; source, destination and their masks come first
	names, proto, flags, inv int // interface names, protocol, flags and inverted ones
	target, next, counters   int // offsets of the target and of the next entry, counters
	head                     int // bytes of it all; matches follow
	goTo                     byte
}

func shapeOf(family string) *entryShape {
	if family == "ip6" {
		return &entryShape{addr: 16, names: 64, proto: 128, flags: 131, inv: 132, target: 140, next: 142, counters: 152, head: 168, goTo: 0x04}
	}
	return &entryShape{addr: 4, names: 16, proto: 80, flags: 82, inv: 83, target: 88, next: 90, counters: 96, head: 112, goTo: 0x02}
}

const (
	tableName  = 32 // XT_TABLE_MAXNAMELEN
	ifaceName  = 16
	extHead    = 32 // struct xt_entry_match and xt_entry_target before their data
	infoSize   = 84 // struct ipt_getinfo
	legacyHook = 5
)

func legacyHooks() [legacyHook]string {
	return [...]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
}

// legacyInfo is struct ipt_getinfo without the name.
type legacyInfo struct {
	hooks            uint32
	entry, underflow [legacyHook]uint32
	size             uint32
}

func parseInfo(b []byte) (*legacyInfo, error) {
	var i legacyInfo
	if len(b) < infoSize {
		return nil, errShort
	}
	ne := binary.NativeEndian
	i.hooks = ne.Uint32(b[tableName:])
	for h := range legacyHook {
		i.entry[h] = ne.Uint32(b[tableName+4+4*h:])
		i.underflow[h] = ne.Uint32(b[tableName+24+4*h:])
	}
	i.size = ne.Uint32(b[tableName+48:])
	return &i, nil
}

// at returns the number of the hook that begins or ends at an offset, or -1.
func (i *legacyInfo) at(list *[legacyHook]uint32, offset int) int {
	for h := range legacyHook {
		if i.hooks&(1<<h) != 0 && list[h] == uint32(offset) {
			return h
		}
	}
	return -1
}

var errTable = errors.New("entries of a table of iptables not understood")

// parseEntries reads the entries of a table and hands on its chains with their policies,
// and its rules. With an error what was understood was handed on.
func parseEntries(family, table string, info *legacyInfo, b []byte, emit func(*record.FilterObject) error) error {
	s := shapeOf(family)
	hooks := legacyHooks()
	chains := make(map[int]string) // by the offset of their first rule
	for h, name := range hooks {
		if info.hooks&(1<<h) != 0 {
			chains[int(info.entry[h])] = name
		}
	}
	var e entry
	end := 0
	for end < len(b) && s.entry(&e, b, end) {
		if end = e.end; e.target == "ERROR" && end < len(b) {
			chains[end] = text(cString(e.data))
		}
	}
	chain := ""
	for at := 0; at < end; at = e.end {
		s.entry(&e, b, at)
		if h := info.at(&info.entry, at); h >= 0 {
			chain = hooks[h]
			line := &record.FilterObject{Type: record.FilterLegacyChain, Family: family, Table: table, Chain: chain, Hook: chain}
			var p entry
			if s.entry(&p, b, int(info.underflow[h])) { // the last one is the policy
				line.Policy, line.Packets, line.Bytes = p.verdict(s, chains), p.packets, p.bytes
			}
			if err := emit(line); err != nil {
				return err
			}
		}
		line := &record.FilterObject{Type: record.FilterLegacyRule, Family: family, Table: table}
		if e.target == "ERROR" {
			name, ok := chains[e.end]
			if !ok { // the end of the table
				continue
			}
			chain = name
			line.Type, line.Chain = record.FilterLegacyChain, chain
		} else if info.at(&info.underflow, at) >= 0 {
			continue
		} else {
			line.Chain, line.Packets, line.Bytes, line.Raw = chain, e.packets, e.bytes, e.raw
			s.rule(line, &e, chains)
		}
		if err := emit(line); err != nil {
			return err
		}
	}
	if end < len(b) {
		return errTable
	}
	return nil
}

// entry is one entry of a table. It aliases what it was read from.
type entry struct {
	end            int
	raw            []byte
	matches        []byte
	target         string
	data           []byte // of the target
	packets, bytes uint64
}

func (s *entryShape) entry(e *entry, b []byte, at int) bool {
	if at < 0 || at > len(b)-s.head-extHead {
		return false
	}
	b = b[at:]
	ne := binary.NativeEndian
	target, next := int(ne.Uint16(b[s.target:])), int(ne.Uint16(b[s.next:]))
	if target < s.head || next < target+extHead || next > len(b) {
		return false
	}
	*e = entry{
		end: at + next, raw: b[:next], matches: b[s.head:target],
		target: text(cString(b[target+2 : target+extHead-1])), data: b[target+extHead : next],
		packets: ne.Uint64(b[s.counters:]), bytes: ne.Uint64(b[s.counters+8:]),
	}
	return true
}

// verdict says what an entry does with what fits it.
func (e *entry) verdict(s *entryShape, chains map[int]string) string {
	if e.target != "" {
		return "target " + e.target
	}
	if len(e.data) < 4 {
		return ""
	}
	v := int32(binary.NativeEndian.Uint32(e.data))
	switch v {
	case -1:
		return "drop"
	case -2:
		return "accept"
	case -4:
		return "queue"
	case -5:
		return "return"
	}
	if v < 0 {
		return strconv.Itoa(int(v))
	}
	if int(v) == e.end {
		return "" // none: the next rule is looked at
	}
	name, ok := chains[int(v)]
	if !ok {
		name = "@" + strconv.Itoa(int(v))
	}
	if e.raw[s.flags]&s.goTo != 0 {
		return "goto " + name
	}
	return "jump " + name
}

// rule tells what an entry is for, and what it does.
func (s *entryShape) rule(f *record.FilterObject, e *entry, chains map[int]string) {
	b := e.raw
	inverted := func(bit byte, v string) string {
		if v != "" && b[s.inv]&bit != 0 {
			return "!" + v
		}
		return v
	}
	n := s.addr
	f.Src = inverted(0x08, masked(b[:n], b[2*n:3*n]))
	f.Dst = inverted(0x10, masked(b[n:2*n], b[3*n:4*n]))
	f.In = inverted(0x01, text(cString(b[s.names:s.names+ifaceName])))
	f.Out = inverted(0x02, text(cString(b[s.names+ifaceName:s.names+2*ifaceName])))
	if p := binary.NativeEndian.Uint16(b[s.proto:]); p != 0 && p < 256 {
		f.Proto = inverted(0x40, protocol(byte(p)))
	}
	for m := e.matches; len(m) >= extHead; {
		size := int(binary.NativeEndian.Uint16(m))
		if size < extHead || size > len(m) {
			break
		}
		name, data := text(cString(m[2:extHead-1])), m[extHead:size]
		switch name {
		case "comment":
			f.Comment = text(cString(data))
		case "tcp", "udp": // struct xt_tcp and xt_udp begin with the ports
			name += ports(" sport ", data) + ports(" dport ", data[min(4, len(data)):])
		}
		f.Exprs = append(f.Exprs, "match "+name)
		m = m[size:]
	}
	if v := e.verdict(s, chains); v != "" {
		f.Exprs = append(f.Exprs, v)
	}
}

// ports writes a range of ports unless it is all of them.
func ports(what string, b []byte) string {
	if len(b) < 4 {
		return ""
	}
	from, to := binary.NativeEndian.Uint16(b), binary.NativeEndian.Uint16(b[2:])
	switch {
	case from == 0 && to == 65535:
		return ""
	case from == to:
		return what + strconv.Itoa(int(from))
	}
	return what + strconv.Itoa(int(from)) + "-" + strconv.Itoa(int(to))
}

// masked writes an address with its mask; empty for any address.
func masked(addr, mask []byte) string {
	a, _ := netip.AddrFromSlice(addr)
	bits, whole := 0, true
	for _, m := range mask {
		for i := 7; i >= 0; i-- {
			switch {
			case m&(1<<i) == 0:
				whole = false
			case whole:
				bits++
			default: // a hole: the mask is told as it is
				odd, _ := netip.AddrFromSlice(mask)
				return a.String() + "/" + odd.String()
			}
		}
	}
	if bits == 0 {
		return ""
	}
	return a.String() + "/" + strconv.Itoa(bits)
}

// cString cuts a text at its NUL.
func cString(b []byte) []byte {
	b, _, _ = bytes.Cut(b, []byte{0})
	return b
}
