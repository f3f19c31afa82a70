package act

import (
	"context"
	"encoding/json"
	"io"
	"slices"

	"hozen/internal/artifact/record"
)

// hintLink is what the hints need of a [record.NetConfig] that is an interface.
type hintLink struct {
	Type    string   `json:"type"`
	NetNS   uint64   `json:"ns_net"`
	IfIndex int      `json:"ifindex"`
	Kind    string   `json:"kind"`
	Master  int      `json:"master"`
	Oper    string   `json:"oper"`
	Flags   []string `json:"flags"`
}

// up reports whether the device carries something: devices without a wire say "unknown".
func (l hintLink) up() bool {
	return l.Oper == "up" || l.Oper != "down" && slices.Contains(l.Flags, "up")
}

// bridge reports whether the device is a switch.
func (l hintLink) bridge() bool { return l.Kind == "bridge" || l.Kind == "openvswitch" }

// guest reports whether the device is one end of what a virtual machine or a container has,
// as the port of a bridge.
func (l hintLink) guest() bool { return l.Kind == "tun" || l.Kind == "veth" }

// alone reports whether the device is a virtual machine's own, on a device of the host.
func (l hintLink) alone() bool { return l.Kind == "macvtap" || l.Kind == "ipvtap" }

// tunnel reports whether the device leads to another network; tun only where it is no port
// of a bridge.
func (l hintLink) tunnel() bool {
	switch l.Kind {
	case "wireguard", "ppp", "ipip", "sit", "ip6tnl", "gre", "gretap", "ip6gre", "ip6gretap", "vti", "vti6", "xfrm":
		return l.up()
	case "tun":
		return l.up() && l.Master == 0
	}
	return false
}

// device is an interface of a network namespace.
type device struct {
	ns    uint64
	index int
}

// maxHintLinks bounds the devices that are remembered: whose PC it is may write more.
const maxHintLinks = 10_000

// readLinkHints reads lines of the network's configuration, see [hintLines].
func readLinkHints(ctx context.Context, r io.Reader) ([]ServiceHint, error) {
	bridges, ports, guests, tunnel := map[device]bool{}, map[device]device{}, map[device]bool{}, false
	err := hintLines(ctx, r, func(line []byte) {
		var l hintLink
		if json.Unmarshal(line, &l) != nil || l.Type != record.NetInterface || len(bridges)+len(ports)+len(guests) >= maxHintLinks {
			return
		}
		at := device{l.NetNS, l.IfIndex}
		switch {
		case l.bridge():
			bridges[at] = true
		case l.guest() && l.Master != 0:
			ports[at] = device{l.NetNS, l.Master}
		case l.alone():
			guests[at] = true
		}
		tunnel = tunnel || l.tunnel()
	})
	if err != nil {
		return nil, err
	}
	for at, bridge := range ports {
		if bridges[bridge] {
			guests[at] = true
		}
	}
	var hints []ServiceHint
	if n := min(len(guests), maxHintClients); n > 0 {
		hints = append(hints, ServiceHint{ServiceGuests, n})
	}
	if tunnel {
		hints = append(hints, ServiceHint{ServiceVPNLink, 0})
	}
	return sortHints(hints), nil
}
