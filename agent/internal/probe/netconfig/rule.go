package netconfig

import (
	"encoding/binary"
	"strconv"

	"hozen/agent/internal/probe/sockdiag"
	"hozen/internal/artifact/record"
)

// parseRule reads struct fib_rule_hdr and its attributes (linux/fib_rules.h).
func parseRule(b []byte) (n record.NetConfig, err error) {
	if len(b) < 12 {
		return n, errShort
	}
	ne := binary.NativeEndian
	n = record.NetConfig{
		Type: record.NetRule, Family: family(b[0]), TOS: uint16(b[3]), Table: uint32(b[4]), Inverted: ne.Uint32(b[8:])&0x2 != 0, // FIB_RULE_INVERT
		Action: name(int(b[7]), "unspec", "lookup", "goto", "nop", "4", "5", "blackhole", "unreachable", "prohibit"),
	}
	if n.Family == "" {
		n.Family = strconv.Itoa(int(b[0])) // multicast routing has rules of its own
	}
	word := func(v []byte) uint32 {
		if len(v) < 4 {
			return 0
		}
		return ne.Uint32(v)
	}
	span := func(v []byte) string { // struct fib_rule_port_range
		if len(v) < 4 {
			return ""
		}
		return strconv.Itoa(int(ne.Uint16(v))) + "-" + strconv.Itoa(int(ne.Uint16(v[2:])))
	}
	err = sockdiag.Attrs(b[12:], func(typ uint16, v []byte) {
		switch typ {
		case 1: // FRA_DST
			n.Destination = address4or6(v) + "/" + strconv.Itoa(int(b[1]))
		case 2: // FRA_SRC
			n.Source = address4or6(v) + "/" + strconv.Itoa(int(b[2]))
		case 3: // FRA_IIFNAME
			n.Iface = text(v)
		case 4: // FRA_GOTO
			n.Goto = word(v)
		case 6: // FRA_PRIORITY
			n.Priority = word(v)
		case 10: // FRA_FWMARK
			n.Mark = word(v)
		case 14: // FRA_SUPPRESS_PREFIXLEN, which is -1 in rules without it
			if l := word(v); len(v) >= 4 && l != 1<<32-1 {
				n.SuppressPrefix = strconv.FormatUint(uint64(l), 10)
			}
		case 15: // FRA_TABLE
			n.Table = word(v)
		case 16: // FRA_FWMASK
			n.MarkMask = word(v)
		case 17: // FRA_OIFNAME
			n.OutIface = text(v)
		case 20: // FRA_UID_RANGE
			if len(v) >= 8 {
				n.UIDs = strconv.FormatUint(uint64(word(v)), 10) + "-" + strconv.FormatUint(uint64(word(v[4:])), 10)
			}
		case 21: // FRA_PROTOCOL
			if len(v) > 0 {
				n.Protocol = routeProtocol(v[0])
			}
		case 22: // FRA_IP_PROTO
			if len(v) > 0 {
				n.IPProto = uint16(v[0])
			}
		case 23: // FRA_SPORT_RANGE
			n.SrcPorts = span(v)
		case 24: // FRA_DPORT_RANGE
			n.DstPorts = span(v)
		}
	})
	return n, err
}
