package netconfig

import (
	"math"

	"hozen/agent/internal/probe/winbytes"
	"hozen/internal/artifact/record"
)

// windowsTables are what Windows told of its network.
type windowsTables struct {
	interfaces []winbytes.Interface
	addresses  []winbytes.Address
	routes     []winbytes.Route
	neighbours []winbytes.Neighbour
}

// records makes records of the tables: neighbours first, as they fade.
func (w windowsTables) records() (list []record.NetConfig) {
	names := make(map[uint32]string, len(w.interfaces))
	for _, i := range w.interfaces {
		names[i.Index] = i.Alias
	}
	at := func(typ string, index uint32) record.NetConfig {
		return record.NetConfig{Type: typ, IfIndex: int(index), Iface: names[index]}
	}
	for _, n := range w.neighbours {
		r := at(record.NetNeighbour, n.Index)
		r.MAC, r.State = n.MAC, n.State
		if n.Address.IsValid() {
			r.Address, r.Family = n.Address.String(), familyOf(n.Address.Is6())
		}
		list = append(list, r)
	}
	for _, i := range w.interfaces {
		r := at(record.NetInterface, i.Index)
		r.Kind, r.MAC, r.MTU, r.Oper, r.Alias = i.Kind, i.MAC, int(min(i.MTU, math.MaxInt32)), i.Oper, i.Description
		if i.Hardware {
			r.Flags = append(r.Flags, "hardware")
		}
		if i.PermanentMAC != i.MAC {
			r.Flags = append(r.Flags, "mac_changed") // the one that it was built with is another
		}
		list = append(list, r)
	}
	for _, a := range w.addresses {
		r := at(record.NetAddress, a.Index)
		r.State, r.Protocol, r.ValidSeconds = a.State, a.Origin, finite(a.Valid)
		if a.Prefix.IsValid() {
			r.Address, r.Family = a.Prefix.String(), familyOf(a.Prefix.Addr().Is6())
		}
		list = append(list, r)
	}
	for _, t := range w.routes {
		r := at(record.NetRoute, t.Index)
		r.Metric, r.Protocol, r.ValidSeconds = t.Metric, t.Protocol, finite(t.Valid)
		if t.Destination.IsValid() {
			r.Destination, r.Family = t.Destination.String(), familyOf(t.Destination.Addr().Is6())
		}
		if t.Gateway.IsValid() && !t.Gateway.IsUnspecified() {
			r.Gateway = t.Gateway.String()
		}
		list = append(list, r)
	}
	return list
}

// finite is a number of seconds; without an end it is 0.
func finite(seconds uint32) uint32 {
	if seconds == math.MaxUint32 {
		return 0
	}
	return seconds
}

func familyOf(six bool) string {
	if six {
		return record.FamilyInet6
	}
	return record.FamilyInet
}
