package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

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
	getLink, getQdisc = 18, 38
	getFilter         = 46
	linkSize, tcSize  = 16, 20
	tcKind            = 1 // TCA_KIND
)

// The numbers of the classes at which clsact and ingress hang their filters
// (linux/pkt_sched.h).
const (
	ingressClass = 0xfffffff2
	egressClass  = 0xfffffff3
)

// spot is a place where programs hang: an interface, and where of it filters do.
type spot struct {
	index, parent uint32
	hook, name    string
}

// pick returns the first attribute of a kind. What is odd has none.
func pick(b []byte, kind uint16) (found []byte) {
	_ = sockdiag.Attrs(b, func(typ uint16, v []byte) {
		if typ == kind && found == nil {
			found = v
		}
	})
	return found
}

func pickText(b []byte, kind uint16) []byte { return bytes.TrimRight(pick(b, kind), "\x00") }

// at makes the record of a program that hangs at an interface.
func (s *spot) at(kind, hook string, program uint32) *record.BPF {
	return &record.BPF{Type: record.BPFAttached, Kind: kind, Program: program, Hook: hook, Device: s.index, Interface: s.name, UID: record.Unknown}
}

// parseXDP reads which programs an interface runs before anything else sees a packet
// (IFLA_XDP of linux/if_link.h). Those of a link are told with it as well.
func parseXDP(b []byte) (dev spot, list []*record.BPF) {
	if len(b) < linkSize {
		return dev, nil
	}
	const ifName, ifXDP, first = 3, 43, 5 // IFLA_IFNAME, IFLA_XDP, IFLA_XDP_DRV_PROG_ID
	dev.index = uint32(field(b, 4, 4))
	dev.name, _ = record.Text(pickText(b[linkSize:], ifName))
	xdp := pick(b[linkSize:], ifXDP)
	for i, hook := range [...]string{"driver", "generic", "offloaded"} {
		if id := uint32(field(pick(xdp, first+uint16(i)), 0, 4)); id != 0 {
			list = append(list, dev.at("xdp", hook, id))
		}
	}
	return dev, list
}

// parseSpots reads where a queueing discipline lets filters hang.
func parseSpots(b []byte) (list []spot) {
	if len(b) < tcSize {
		return nil
	}
	index, handle := uint32(field(b, 4, 4)), uint32(field(b, 8, 4))
	switch string(pickText(b[tcSize:], tcKind)) {
	case "clsact":
		list = append(list, spot{index: index, parent: egressClass, hook: hookOut})
		fallthrough
	case "ingress":
		list = append(list, spot{index: index, parent: ingressClass, hook: hookIn})
	default:
		if handle != 0 { // as tc(8) writes it
			list = append(list, spot{index: index, parent: handle, hook: strconv.FormatUint(uint64(handle>>16), 16) + ":"})
		}
	}
	return list
}

// parseFilter reads a filter of tc(8); nil when it is no program.
func parseFilter(b []byte, at *spot) *record.BPF {
	if len(b) < tcSize || string(pickText(b[tcSize:], tcKind)) != "bpf" {
		return nil
	}
	const options, bpfName, bpfID = 2, 7, 11 // TCA_OPTIONS, TCA_BPF_NAME, TCA_BPF_ID
	o := pick(b[tcSize:], options)
	id := uint32(field(pick(o, bpfID), 0, 4))
	if id == 0 {
		return nil
	}
	p := at.at("tc", at.hook, id)
	p.Name, p.NameRaw = record.Text(pickText(o, bpfName))
	p.Handle, p.Priority = uint32(field(b, 8, 4)), uint32(field(b, 16, 4))>>16
	return p
}

// hanging lists the programs that interfaces run without a link: at most so many, which hang at
// at most as many places. ask passes on the answers of the kernel to a question; miss is told
// what was left out.
func hanging(most int, ask func(typ uint16, question []byte, row func([]byte)) error, miss func(error)) (list []*record.BPF, err error) {
	names := map[uint32]string{}
	var spots []spot
	var places, programs int // that are left out
	add := func(p *record.BPF) {
		if len(list) < most {
			list = append(list, p)
		} else {
			programs++
		}
	}
	err = ask(getLink, make([]byte, linkSize), func(body []byte) {
		dev, xdp := parseXDP(body)
		if names[dev.index] = dev.name; len(names) > most {
			delete(names, dev.index)
		}
		for _, p := range xdp {
			add(p)
		}
	})
	if err == nil {
		err = ask(getQdisc, make([]byte, tcSize), func(body []byte) {
			for _, s := range parseSpots(body) {
				if len(spots) < most {
					spots = append(spots, s)
				} else {
					places++
				}
			}
		})
	}
	for _, at := range spots {
		if err != nil {
			break
		}
		at.name = names[at.index]
		question := make([]byte, tcSize)
		binary.NativeEndian.PutUint32(question[4:], at.index)
		binary.NativeEndian.PutUint32(question[12:], at.parent)
		err = ask(getFilter, question, func(body []byte) {
			if p := parseFilter(body, &at); p != nil {
				add(p)
			}
		})
	}
	if places > 0 {
		miss(fmt.Errorf("%d places of filters beyond the first %d were not asked", places, most))
	}
	if programs > 0 {
		miss(fmt.Errorf("%d programs at interfaces beyond the first %d are not told", programs, most))
	}
	return list, err
}
