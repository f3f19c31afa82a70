package netconfig

import (
	"encoding/json"
	"net"
	"testing"

	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

// The kernel's answer agrees with what the standard library hears from it.
func TestAgainstStandardLibrary(t *testing.T) {
	var l probetest.Lines
	if err := New("/").Acquire(t.Context(), &l); err != nil {
		t.Fatal(err)
	}
	links, addrs, routes := map[string]record.NetConfig{}, map[string]bool{}, 0
	for _, line := range l.All {
		var n record.NetConfig
		if err := json.Unmarshal(line, &n); err != nil {
			t.Fatal(err)
		}
		switch n.Type {
		case record.NetInterface:
			links[n.Iface] = n
		case record.NetAddress:
			addrs[n.Iface+" "+n.Address] = true
		case record.NetRoute:
			routes++
		}
	}
	list, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		got, ok := links[i.Name]
		if !ok || got.IfIndex != i.Index || got.MTU != i.MTU || got.MAC != i.HardwareAddr.String() && len(i.HardwareAddr) == 6 && got.MAC != "" {
			t.Errorf("%+v is told as %+v", i, got)
		}
		all, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if !addrs[i.Name+" "+a.String()] {
				t.Errorf("address %s of %s is missing", a, i.Name)
			}
		}
	}
	if routes == 0 && len(addrs) > 0 {
		t.Error("no routes")
	}
}
