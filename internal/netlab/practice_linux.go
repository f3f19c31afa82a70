package netlab

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Practice is a PC to practise on: a namespace with one cable to the outside, on
// which programs can be started, isolated and released without touching this machine.
//
// A program inside reaches what listens outside on the Outside addresses, and the
// other way round; nothing else is reachable from inside, because there is no route
// but the cable's own. A packet filter of this machine may stand between them.
type Practice struct {
	PC              *Host
	Inside, Outside Addrs
	cable           *Cable
}

// NewPractice makes a practice PC whose cable ends in outside, or, when outside is
// nil, in the namespace of this process; there it takes a network that overlaps no
// address and no route of this machine. The error wraps fs.ErrPermission without the
// rights.
func NewPractice(outside *Host) (*Practice, error) {
	pc, err := NewHost()
	if err != nil {
		return nil, err
	}
	fd := here
	if outside != nil {
		fd = outside.fd
	}
	cable, err := practiceCable(fd, pc.fd)
	if err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	return &Practice{PC: pc, Inside: cable.B, Outside: cable.A, cable: cable}, nil
}

// practiceCable counts from a random network: two demos that start at the same
// moment do not see each other's routes yet.
func practiceCable(outside, inside int) (*Cable, error) {
	var r [6]byte
	rand.Read(r[:]) // never fails (crypto/rand)
	taken, err := networks(outside)
	if err != nil {
		return nil, err
	}
	s, err := free(int(r[0])<<8|int(r[1]), taken)
	if err != nil {
		return nil, err
	}
	return join(outside, inside, "hozen-"+hex.EncodeToString(r[2:]), "eth0", s)
}

// networks lists what a namespace already uses: its addresses and its routes.
func networks(fd int) ([]netip.Prefix, error) {
	h, err := handle(fd)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	var taken []netip.Prefix
	routes, err := h.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst != nil {
			taken = append(taken, prefix(r.Dst.IP, r.Dst.Mask))
		}
	}
	addrs, err := h.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		taken = append(taken, prefix(a.IP, a.Mask))
	}
	return taken, nil
}

func prefix(ip, mask []byte) netip.Prefix {
	a, _ := netip.AddrFromSlice(ip)
	bits := 0
	for _, m := range mask {
		for ; m&0x80 != 0; m <<= 1 {
			bits++
		}
	}
	// net.IP keeps an IPv4 address in 16 bytes at times, with a mask of 4.
	return netip.PrefixFrom(a.Unmap(), bits)
}

// Close kills what was started inside and removes namespace and cable.
func (p *Practice) Close() error {
	return errors.Join(p.cable.Cut(), p.PC.Close())
}
