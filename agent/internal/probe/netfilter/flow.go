package netfilter

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"time"

	"hozen/agent/internal/probe/sockdiag"
	"hozen/internal/artifact/record"
)

// end is one direction of a connection.
type end struct {
	src, dst         string
	srcPort, dstPort uint16
	proto            byte
}

// parseFlow reads struct nfgenmsg and the attributes of one connection (ctattr_type).
func parseFlow(b []byte) (f record.Flow, err error) {
	if len(b) < 4 {
		return f, errShort
	}
	switch b[0] {
	case 2:
		f.Family = record.FamilyInet
	case 10:
		f.Family = record.FamilyInet6
	default:
		f.Family = strconv.Itoa(int(b[0]))
	}
	err = sockdiag.Attrs(b[4:], func(typ uint16, v []byte) {
		switch typ {
		case 1: // CTA_TUPLE_ORIG
			e := tuple(v)
			f.Src, f.SrcPort, f.Dst, f.DstPort, f.Proto = e.src, e.srcPort, e.dst, e.dstPort, protocol(e.proto)
		case 2: // CTA_TUPLE_REPLY
			e := tuple(v)
			f.ReplySrc, f.ReplySrcPort, f.ReplyDst, f.ReplyDstPort = e.src, e.srcPort, e.dst, e.dstPort
		case 3: // CTA_STATUS
			f.Status = status(be32(v))
		case 4: // CTA_PROTOINFO
			_ = sockdiag.Attrs(v, func(typ uint16, v []byte) {
				if typ == 1 { // CTA_PROTOINFO_TCP
					_ = sockdiag.Attrs(v, func(typ uint16, v []byte) {
						if typ == 1 && len(v) > 0 {
							f.State = tcpState(v[0])
						}
					})
				}
			})
		case 5: // CTA_HELP
			_ = sockdiag.Attrs(v, func(typ uint16, v []byte) {
				if typ == 1 {
					f.Helper = text(v)
				}
			})
		case 7: // CTA_TIMEOUT
			f.Timeout = be32(v)
		case 8: // CTA_MARK
			f.Mark = be32(v)
		case 9: // CTA_COUNTERS_ORIG
			f.Packets, f.Bytes = counted(v)
		case 10: // CTA_COUNTERS_REPLY
			f.ReplyPackets, f.ReplyBytes = counted(v)
		case 12: // CTA_ID
			f.ID = be32(v)
		case 18: // CTA_ZONE
			if len(v) >= 2 {
				f.Zone = binary.BigEndian.Uint16(v)
			}
		case 20: // CTA_TIMESTAMP
			_ = sockdiag.Attrs(v, func(typ uint16, v []byte) {
				if ns := be64(v); typ == 1 && ns > 0 && ns < 1<<63 {
					f.Since = time.Unix(0, int64(ns)).UTC()
				}
			})
		}
	})
	return f, err
}

func tuple(b []byte) (e end) {
	port := func(v []byte) uint16 {
		if len(v) < 2 {
			return 0
		}
		return binary.BigEndian.Uint16(v)
	}
	_ = sockdiag.Attrs(b, func(typ uint16, v []byte) {
		switch typ {
		case 1: // CTA_TUPLE_IP
			_ = sockdiag.Attrs(v, func(typ uint16, v []byte) {
				a, _ := netip.AddrFromSlice(v)
				switch typ {
				case 1, 3: // CTA_IP_V4_SRC, CTA_IP_V6_SRC
					e.src = address(a)
				case 2, 4:
					e.dst = address(a)
				}
			})
		case 2: // CTA_TUPLE_PROTO
			_ = sockdiag.Attrs(v, func(typ uint16, v []byte) {
				switch {
				case typ == 1 && len(v) > 0: // CTA_PROTO_NUM
					e.proto = v[0]
				case typ == 2:
					e.srcPort = port(v)
				case typ == 3:
					e.dstPort = port(v)
				}
			})
		}
	})
	return e
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func counted(b []byte) (packets, bytes uint64) {
	_ = sockdiag.Attrs(b, func(typ uint16, v []byte) {
		switch typ {
		case 1:
			packets = be64(v)
		case 2:
			bytes = be64(v)
		}
	})
	return packets, bytes
}

// status names the bits of enum ip_conntrack_status.
func status(bits uint32) (names []string) {
	for i, s := range [...]string{"expected", "seen_reply", "assured", "confirmed", "src_nat", "dst_nat", "seq_adjust",
		"src_nat_done", "dst_nat_done", "dying", "fixed_timeout", "template", "untracked", "helper", "offload", "hw_offload"} {
		if bits&(1<<i) != 0 {
			names = append(names, s)
		}
	}
	return names
}

// tcpState names a value of enum tcp_conntrack.
func tcpState(s byte) string {
	names := [...]string{"none", "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close", "syn_sent2"}
	if int(s) < len(names) {
		return names[s]
	}
	return strconv.Itoa(int(s))
}

func protocol(p byte) string {
	switch p {
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 33:
		return "dccp"
	case 47:
		return "gre"
	case 58:
		return "icmpv6"
	case 132:
		return "sctp"
	case 136:
		return "udplite"
	}
	return strconv.Itoa(int(p))
}
