package netfilter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"

	"hozen/agent/internal/probe/sockdiag"
	"hozen/internal/artifact/record"
)

// What is used of linux/netfilter/nfnetlink.h, nf_tables.h and nfnetlink_conntrack.h.
// The numbers are the kernel's for ever.
const (
	subsysConntrack, subsysTables = 1, 10

	msgGetTable, msgGetChain, msgGetRule = 1, 4, 7
	msgGetSet, msgGetSetElem             = 10, 13
	msgGetObj, msgGetFlowtable           = 19, 23
	msgGetFlow                           = 1
)

var errShort = errors.New("row of the packet filter is cut short")

// maxRaw is what is kept of one row; the kernel's are smaller than a page or two.
const maxRaw = 64 << 10

// parseObject reads struct nfgenmsg and the attributes of one thing.
func parseObject(kind string, b []byte) (f record.FilterObject, err error) {
	if len(b) < 4 {
		return f, errShort
	}
	f = record.FilterObject{Type: kind, Family: familyName(b[0])}
	b = b[4:]
	f.Raw = append(f.Raw, b[:min(len(b), maxRaw)]...)
	err = sockdiag.Attrs(b, func(typ uint16, v []byte) {
		switch kind {
		case record.FilterTable:
			tableAttr(&f, typ, v)
		case record.FilterChain:
			chainAttr(&f, typ, v)
		case record.FilterRule:
			ruleAttr(&f, typ, v)
		default: // sets, their elements, objects, flow tables: table and name come first
			switch typ {
			case 1:
				f.Table = text(v)
			case 2:
				f.Name = text(v)
			}
		}
	})
	return f, err
}

func tableAttr(f *record.FilterObject, typ uint16, v []byte) {
	switch typ {
	case 1: // NFTA_TABLE_NAME
		f.Table = text(v)
	case 4: // NFTA_TABLE_HANDLE
		f.Handle = be64(v)
	case 6: // NFTA_TABLE_USERDATA
		f.Comment = comment(v)
	}
}

func chainAttr(f *record.FilterObject, typ uint16, v []byte) {
	switch typ {
	case 1: // NFTA_CHAIN_TABLE
		f.Table = text(v)
	case 2: // NFTA_CHAIN_HANDLE
		f.Handle = be64(v)
	case 3: // NFTA_CHAIN_NAME
		f.Chain = text(v)
	case 4: // NFTA_CHAIN_HOOK
		f.Hook = "0"
		_ = sockdiag.Attrs(v, func(typ uint16, v []byte) { // what is odd is in Raw
			switch typ {
			case 1:
				f.Hook = hookName(f.Family, be32(v))
			case 2:
				f.Priority = int(int32(be32(v)))
			case 3:
				f.Device = text(v)
			}
		})
	case 5: // NFTA_CHAIN_POLICY
		f.Policy = verdict(be32(v))
	case 7: // NFTA_CHAIN_TYPE
		f.Kind = text(v)
	case 8: // NFTA_CHAIN_COUNTERS
		counter(f, v)
	case 12: // NFTA_CHAIN_USERDATA
		f.Comment = comment(v)
	}
}

func ruleAttr(f *record.FilterObject, typ uint16, v []byte) {
	switch typ {
	case 1: // NFTA_RULE_TABLE
		f.Table = text(v)
	case 2: // NFTA_RULE_CHAIN
		f.Chain = text(v)
	case 3: // NFTA_RULE_HANDLE
		f.Handle = be64(v)
	case 4: // NFTA_RULE_EXPRESSIONS
		_ = sockdiag.Attrs(v, func(_ uint16, v []byte) { expression(f, v) })
	case 7: // NFTA_RULE_USERDATA
		f.Comment = comment(v)
	}
}

// expression tells one step of a rule.
func expression(f *record.FilterObject, b []byte) {
	var name string
	var data []byte
	_ = sockdiag.Attrs(b, func(typ uint16, v []byte) {
		switch typ {
		case 1: // NFTA_EXPR_NAME
			name = text(v)
		case 2: // NFTA_EXPR_DATA
			data = v
		}
	})
	switch name {
	case "counter":
		counter(f, data)
	case "match", "target": // of iptables, within nf_tables
		_ = sockdiag.Attrs(data, func(typ uint16, v []byte) {
			if typ == 1 {
				name += " " + text(v)
			}
		})
	case "immediate":
		_ = sockdiag.Attrs(data, func(typ uint16, v []byte) {
			if typ == 2 { // NFTA_IMMEDIATE_DATA
				name = immediate(v)
			}
		})
	}
	f.Exprs = append(f.Exprs, name)
}

// immediate names the verdict in NFTA_IMMEDIATE_DATA, if it is one.
func immediate(b []byte) string {
	name := "immediate"
	_ = sockdiag.Attrs(b, func(typ uint16, v []byte) {
		if typ != 2 { // NFTA_DATA_VERDICT
			return
		}
		chain := ""
		_ = sockdiag.Attrs(v, func(typ uint16, v []byte) {
			switch typ {
			case 1:
				name = verdict(be32(v))
			case 2:
				chain = " " + text(v)
			}
		})
		name += chain
	})
	return name
}

func counter(f *record.FilterObject, b []byte) {
	_ = sockdiag.Attrs(b, func(typ uint16, v []byte) {
		switch typ {
		case 1:
			f.Bytes = be64(v)
		case 2:
			f.Packets = be64(v)
		}
	})
}

// comment finds the comment in what nft(8) notes beside its things: type, length, text.
func comment(b []byte) string {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		v := b[2 : 2+int(b[1])]
		if b[0] == 0 {
			return text(v)
		}
		b = b[2+len(v):]
	}
	return ""
}

func verdict(v uint32) string {
	switch int32(v) {
	case 0:
		return "drop"
	case 1:
		return "accept"
	case 2:
		return "stolen"
	case 3:
		return "queue"
	case -1:
		return "continue"
	case -2:
		return "break"
	case -3:
		return "jump"
	case -4:
		return "goto"
	case -5:
		return "return"
	}
	return strconv.Itoa(int(int32(v)))
}

func familyName(f byte) string {
	switch f {
	case 1:
		return "inet"
	case 2:
		return "ip"
	case 3:
		return "arp"
	case 5:
		return "netdev"
	case 7:
		return "bridge"
	case 10:
		return "ip6"
	}
	return strconv.Itoa(int(f))
}

func familyNumber(name string) byte {
	for f := range byte(16) {
		if familyName(f) == name {
			return f
		}
	}
	return 0
}

func hookName(family string, hook uint32) string {
	names := []string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	switch family {
	case "netdev":
		names = []string{"ingress", "egress"}
	case "arp":
		names = []string{"input", "output", "forward"}
	}
	if hook < uint32(len(names)) {
		return names[hook]
	}
	return strconv.FormatUint(uint64(hook), 10)
}

func text(b []byte) string {
	s, _ := record.Text(bytes.TrimRight(b, "\x00"))
	return s
}

func be32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func be64(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// appendText appends an attribute that is a string.
func appendText(b []byte, typ uint16, s string) []byte {
	ne := binary.NativeEndian
	b = ne.AppendUint16(b, uint16(4+len(s)+1))
	b = ne.AppendUint16(b, typ)
	b = append(append(b, s...), 0)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
