package bpf

import (
	"errors"
	"strconv"
	"strings"

	"hozen/agent/internal/probe/sockdiag"
	"hozen/internal/artifact/record"
)

// The directions of a hook.
const (
	hookIn  = "ingress"
	hookOut = "egress"
)

// The messages of rtnetlink(7) that are asked for, and the sizes of their fixed parts: struct
// ifinfomsg and struct tcmsg.
const (
	getLink, newLink     = 18, 16
	getQdisc, newQdisc   = 38, 36
	getFilter, newFilter = 46, 44
	linkSize, tcSize     = 16, 20
)

// The numbers of the classes at which clsact and ingress hang their filters
// (linux/pkt_sched.h).
const (
	ingressClass = 0xfffffff2
	egressClass  = 0xfffffff3
)

var errBrief = errors.New("shorter than its fixed part")

// parseXDP reads which programs an interface runs before anything else sees a packet
// (IFLA_XDP of linux/if_link.h). Those of a link are told with it as well.
func parseXDP(b []byte) (index uint32, name string, list []record.BPF, err error) {
	if len(b) < linkSize {
		return 0, "", nil, errBrief
	}
	index = uint32(field(b, 4, 4))
	err = sockdiag.Attrs(b[linkSize:], func(typ uint16, v []byte) {
		switch typ {
		case 3: // IFLA_IFNAME
			name, _ = record.TextOf(strings.TrimRight(string(v), "\x00"))
		case 43: // IFLA_XDP
			_ = sockdiag.Attrs(v, func(typ uint16, v []byte) { // what is odd has no number
				if hook := map[uint16]string{5: "driver", 6: "generic", 7: "offloaded"}[typ]; hook != "" {
					if id := uint32(field(v, 0, 4)); id != 0 {
						list = append(list, record.BPF{Type: record.BPFAttached, Kind: "xdp", Program: id, Hook: hook, Device: index, UID: record.Unknown})
					}
				}
			})
		}
	})
	for i := range list {
		list[i].Interface = name
	}
	return index, name, list, err
}

// spot is a place at an interface where filters hang.
type spot struct {
	index, parent uint32
	hook          string
}

// parseSpots reads where a queueing discipline lets filters hang.
func parseSpots(b []byte) (list []spot, err error) {
	if len(b) < tcSize {
		return nil, errBrief
	}
	var kind string
	index, handle := uint32(field(b, 4, 4)), uint32(field(b, 8, 4))
	err = sockdiag.Attrs(b[tcSize:], func(typ uint16, v []byte) {
		if typ == 1 { // TCA_KIND
			kind = strings.TrimRight(string(v), "\x00")
		}
	})
	switch {
	case kind == "clsact":
		list = append(list, spot{index, egressClass, hookOut})
		fallthrough
	case kind == "ingress":
		list = append(list, spot{index, ingressClass, hookIn})
	case handle != 0: // as tc(8) writes it
		list = append(list, spot{index, handle, strconv.FormatUint(uint64(handle>>16), 16) + ":"})
	}
	return list, err
}

// parseFilter reads a filter of tc(8); ok says that it is a program (TCA_BPF_ID of
// linux/pkt_cls.h).
func parseFilter(b []byte, at spot) (p record.BPF, ok bool, err error) {
	if len(b) < tcSize {
		return p, false, errBrief
	}
	p = record.BPF{Type: record.BPFAttached, Kind: "tc", Hook: at.hook, Device: at.index, UID: record.Unknown,
		Handle: uint32(field(b, 8, 4)), Priority: uint32(field(b, 16, 4)) >> 16}
	var kind string
	err = sockdiag.Attrs(b[tcSize:], func(typ uint16, v []byte) {
		switch typ {
		case 1: // TCA_KIND
			kind = strings.TrimRight(string(v), "\x00")
		case 2: // TCA_OPTIONS
			if kind != "bpf" {
				return
			}
			_ = sockdiag.Attrs(v, func(typ uint16, v []byte) { // what is odd has no number
				switch typ {
				case 7: // TCA_BPF_NAME
					p.Name, p.NameRaw = record.TextOf(strings.TrimRight(string(v), "\x00"))
				case 11: // TCA_BPF_ID
					p.Program = uint32(field(v, 0, 4))
				}
			})
		}
	})
	return p, kind == "bpf" && p.Program != 0, err
}
