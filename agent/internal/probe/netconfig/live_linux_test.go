package netconfig

import (
	"encoding/json"
	"fmt"
	"net"
	"testing"

	"github.com/vishvananda/netlink"

	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
	"hozen/internal/netlab"
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

// TestPolicyRules: the rules that every namespace has, and one that an intruder could set
// to lead one user's traffic another way.
func TestPolicyRules(t *testing.T) {
	if err := netlab.Available(); err != nil {
		t.Skip("needs root: ", err)
	}
	h, err := netlab.NewHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	var l probetest.Lines
	err = h.Do(func() error {
		c, err := netlink.NewHandle()
		if err != nil {
			return err
		}
		defer c.Close()
		r := netlink.NewRule()
		r.Family, r.Priority, r.Table, r.UIDRange = netlink.FAMILY_V4, 77, 4711, netlink.NewRuleUIDRange(1000, 1001)
		if err := c.RuleAdd(r); err != nil {
			return err
		}
		return New("/").Acquire(t.Context(), &l)
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]record.NetConfig{}
	for _, line := range l.All {
		var n record.NetConfig
		if err := json.Unmarshal(line, &n); err != nil {
			t.Fatal(err)
		}
		if n.Type == record.NetRule {
			got[fmt.Sprint(n.Family, n.Priority)] = n
		}
	}
	if n := got["inet77"]; n.Action != "lookup" || n.Table != 4711 || n.UIDs != "1000-1001" || n.SuppressPrefix != "" || n.NetNS == 0 {
		t.Errorf("%+v", n)
	}
	if n, main := got["inet0"], got["inet32766"]; n.Table != 255 || main.Table != 254 {
		t.Errorf("%+v, %+v", n, main)
	}
}
