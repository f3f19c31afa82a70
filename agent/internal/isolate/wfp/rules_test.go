package wfp

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hozen/agent/internal/isolate"
)

var (
	testAgent = who{app: bytes16(`\device\harddiskvolume3\program files\hozen\hozen-agent.exe`), sid: serviceSID("hozen-agent")}
	otherApp  = bytes16(`\device\harddiskvolume3\windows\system32\svchost.exe`)
	otherSID  = serviceSID("Dnscache")
)

var (
	pool4  = []string{"192.0.2.1", "192.0.2.2", "198.51.100.7", "10.32.9.9", "255.255.255.255", "203.0.113.9", "192.0.2.53"}
	pool6  = []string{"2001:db8::1", "2001:db8::2", "2001:db8:7::9", "fe80::1", "ff02::1", "ff02::2", "ff02::16", "ff02::1:2", "ff02::1:ff00:1", "ff05::1:3", "::"}
	ports0 = []uint16{0, 1, 53, 67, 68, 130, 133, 134, 135, 136, 137, 143, 443, 546, 547, 4789, 5005, 7443, 65535}
	protos = []uint8{1, 2, 4, 6, 17, 41, 47, 50, 58}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func address(r *rand.Rand, six bool) netip.Addr {
	switch {
	case r.IntN(8) > 0 && six:
		return netip.MustParseAddr(pick(r, pool6))
	case r.IntN(8) > 0 && !six:
		return netip.MustParseAddr(pick(r, pool4))
	case six:
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], r.Uint64())
		binary.BigEndian.PutUint64(b[8:], r.Uint64())
		return netip.AddrFrom16(b)
	}
	return address4(r.Uint32())
}

func randomPolicy(r *rand.Rand) isolate.Policy {
	p := isolate.Policy{Mode: pick(r, []isolate.Mode{isolate.Standard, isolate.Selective, isolate.Full})}
	end := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	for range r.IntN(4) {
		p.Collectors = append(p.Collectors, netip.AddrPortFrom(address(r, r.IntN(2) == 0), pick(r, ports0)))
	}
	for range r.IntN(5) {
		a := address(r, r.IntN(2) == 0)
		bits := a.BitLen()
		if r.IntN(2) == 0 {
			bits = bits/4 + r.IntN(bits*3/4+1)
		}
		first := pick(r, ports0)
		p.Permits = append(p.Permits, isolate.Permit{Network: netip.PrefixFrom(a, bits), Protocol: pick(r, []isolate.Protocol{isolate.TCP, isolate.UDP}),
			First: first, Last: first + uint16(r.IntN(3)), ExpiresAt: end})
	}
	for range r.IntN(3) {
		t := isolate.Tunnel{Address: address(r, r.IntN(2) == 0), Protocol: pick(r, protos)}
		if t.Protocol == 6 || t.Protocol == 17 {
			t.Port = pick(r, ports0)
		}
		if t.Protocol == 17 && r.IntN(2) == 0 {
			t.Own = pick(r, ports0)
		}
		p.Tunnels = append(p.Tunnels, t)
	}
	if r.IntN(3) == 0 {
		p.DHCPServers = []netip.Addr{netip.MustParseAddr("192.0.2.67")}
	}
	return p.Clean()
}

func randomFlow(r *rand.Rand, p isolate.Policy) flow {
	l := pick(r, layers[:])
	f := flow{layer: l, protocol: pick(r, protos), remote: address(r, l.six), localPort: pick(r, ports0), remotePort: pick(r, ports0),
		app: otherApp, sids: [][]byte{localSystem()}, boot: r.IntN(6) == 0, loopback: r.IntN(12) == 0}
	if r.IntN(3) == 0 && len(p.Collectors) > 0 { // near the way home
		c := pick(r, p.Collectors)
		f.protocol, f.remote, f.remotePort = 6, c.Addr(), c.Port()
		f.layer = layers[r.IntN(2)*2+map[bool]int{false: 0, true: 1}[c.Addr().Is6()]]
	} else if r.IntN(3) == 0 && len(p.Permits) > 0 {
		m := pick(r, p.Permits)
		f.remote, f.remotePort = m.Network.Addr(), m.First+uint16(r.IntN(2))
		f.layer = layers[r.IntN(2)*2+map[bool]int{false: 0, true: 1}[f.remote.Is6()]]
	} else if r.IntN(4) == 0 && len(p.Tunnels) > 0 {
		t := pick(r, p.Tunnels)
		f.protocol, f.remote, f.remotePort, f.localPort = t.Protocol, t.Address, t.Port, t.Own
		f.layer = layers[r.IntN(2)*2+map[bool]int{false: 0, true: 1}[f.remote.Is6()]]
	} else if r.IntN(4) == 0 { // configuration of addresses
		f.protocol = pick(r, []uint8{17, 58})
		if f.protocol == 58 {
			f.localPort, f.remotePort = uint16(130+r.IntN(15)), uint16(r.IntN(2))
		} else {
			f.localPort, f.remotePort = pick(r, []uint16{68, 546}), pick(r, []uint16{67, 547})
		}
	}
	if r.IntN(2) == 0 {
		f.app = testAgent.app
	}
	f.sids = append(f.sids, pick(r, [][]byte{testAgent.sid, testAgent.sid, otherSID, serviceSID("Dhcp")}))
	return f
}

func (f flow) isAgent() bool {
	return string(f.app) == string(testAgent.app) && slices.ContainsFunc(f.sids, func(s []byte) bool { return string(s) == string(testAgent.sid) })
}

func (f flow) home(p isolate.Policy) bool {
	return !f.boot && f.layer.out && f.protocol == 6 && f.isAgent() && f.remote.Is6() == f.layer.six &&
		slices.Contains(p.Collectors, netip.AddrPortFrom(f.remote, f.remotePort))
}

// allowed is what may pass under a policy, in other words than the rules.
func allowed(p isolate.Policy, f flow) bool {
	if f.layer.forward {
		return false
	}
	dhcp := !f.boot && slices.ContainsFunc(f.sids, func(s []byte) bool { return string(s) == string(serviceSID("Dhcp")) })
	if f.loopback || f.home(p) {
		return true
	}
	to, from6 := netip.AddrPortFrom(f.remote, f.remotePort), f.remote.Is6() && netip.MustParsePrefix("fe80::/10").Contains(f.remote)
	if f.remote.Is6() != f.layer.six {
		return false
	}
	if !f.boot {
		for _, m := range p.Permits {
			if f.layer.out && (f.protocol == 6 && m.Covers(isolate.TCP, to) || f.protocol == 17 && m.Covers(isolate.UDP, to)) {
				return true
			}
		}
		for _, t := range p.Tunnels {
			if t.Protocol != f.protocol || t.Address != f.remote {
				continue
			}
			switch t.Protocol {
			case 6:
				if f.layer.out && f.remotePort == t.Port {
					return true
				}
			case 17:
				if (f.layer.out || t.Own == 0) && f.remotePort == t.Port || !f.layer.out && t.Own != 0 && f.localPort == t.Own {
					return true
				}
			default:
				return true
			}
		}
	}
	open := func() bool { // what is open to everybody anyway, for whom the neighbours must be found
		if f.boot {
			return false
		}
		for _, c := range p.Collectors {
			if c.Addr() == f.remote {
				return true
			}
		}
		for _, m := range p.Permits {
			if m.Network.Contains(f.remote) {
				return true
			}
		}
		for _, t := range p.Tunnels {
			if t.Address == f.remote {
				return true
			}
		}
		return false
	}
	switch {
	case f.protocol == 17 && !f.layer.six && f.localPort == 68 && f.remotePort == 67:
		return f.layer.out && f.remote.String() == "255.255.255.255" || dhcp && (!f.layer.out || slices.Contains(p.DHCPServers, f.remote))
	case f.protocol == 17 && f.layer.six && f.localPort == 546 && f.remotePort == 547:
		return f.layer.out && f.remote.String() == "ff02::1:2" || !f.layer.out && from6 && dhcp
	case f.protocol == 58 && f.layer.six && f.remotePort == 0 && f.layer.out:
		switch f.localPort {
		case 133:
			return f.remote.String() == "ff02::2"
		case 143:
			return f.remote.String() == "ff02::16"
		case 135:
			return from6 || open() || netip.MustParsePrefix("ff02::1:ff00:0/104").Contains(f.remote)
		case 136:
			return from6 || open() || f.remote.String() == "ff02::1"
		}
	case f.protocol == 58 && f.layer.six && f.remotePort == 0:
		return f.localPort == 135 || f.localPort == 136 || from6 && (f.localPort == 134 || f.localPort == 130)
	}
	return false
}

// foreign adds other products: sublayers up to a weight, with filters that permit, permit
// hard, block and ask drivers.
func foreign(r *rand.Rand, have installed, p isolate.Policy, heaviest uint16, drivers bool) installed {
	have.filters, have.sublayers = slices.Clone(have.filters), slices.Clone(have.sublayers)
	for n := range 1 + r.IntN(3) {
		s := sublayer{key: filterKey("foreign layer " + string(rune('a'+n))), name: "other", weight: uint16(r.UintN(uint(heaviest) + 1))}
		if r.IntN(2) == 0 {
			s.weight = heaviest
		}
		have.sublayers = append(have.sublayers, s)
		for range r.IntN(6) {
			f := filter{key: filterKey(string(rune(r.Uint32()%1e6)) + "foreign"), name: "foreign", flags: pick(r, []uint32{0, filterPersistent, filterBootTime}),
				layer: pick(r, layers[:]).key, sublayer: s.key, weight: pick(r, []value{{}, u8(15), u8(3), {kind: typeUint64, number: r.Uint64()}}),
				action: pick(r, []uint32{actionBlock, actionPermit})}
			if drivers && r.IntN(3) == 0 {
				f.action = pick(r, []uint32{0x5003, 0x6004, 0x4005})
			}
			if r.IntN(2) == 0 {
				f.flags |= filterHard
			}
			if r.IntN(4) == 0 {
				f.flags |= filterDisabled
			}
			switch r.IntN(4) {
			case 0:
				f.conditions = []condition{{fieldApp, matchEqual, value{kind: typeBlob, bytes: pick(r, [][]byte{testAgent.app, otherApp})}}}
			case 1:
				f.conditions = []condition{protocol(pick(r, protos)), remotePort(pick(r, ports0))}
			case 2:
				if len(p.Collectors) > 0 {
					f.conditions = []condition{remote(single(pick(r, p.Collectors).Addr()))}
				}
			}
			have.filters = append(have.filters, f)
		}
	}
	return have
}

const flowsEach = 500

// However other products' filters below ours are: nothing but what is permitted passes, and
// the way home is open to the agent.
func TestNothingButThePermittedPasses(t *testing.T) {
	var flows, passed, homes int
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		p := randomPolicy(r)
		have := foreign(r, plan(p, testAgent), p, sublayerWeight-1, false)
		for range flowsEach {
			f := randomFlow(r, p)
			got, may := arbitrate(have, f, r), allowed(p, f)
			if got && !may {
				t.Fatalf("passes: %+v\nunder %+v", f, p)
			}
			if f.home(p) && !got {
				t.Fatalf("the way home is closed: %+v\nunder %+v", f, p)
			}
			flows++
			if got {
				passed++
			}
			if f.home(p) {
				homes++
			}
		}
	})
	t.Logf("%d flows, %d passed, %d of the agent to its collector", flows, passed, homes)
	if flows < 10_000 || passed == 0 || homes == 0 {
		t.Error("too few flows of a kind to show anything")
	}
}

// Without other products exactly what is permitted passes.
func TestWhatIsPermittedPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		p := randomPolicy(r)
		have := plan(p, testAgent)
		for range flowsEach {
			if f := randomFlow(r, p); arbitrate(have, f, r) != allowed(p, f) {
				t.Fatalf("arbitrated otherwise than ordered: %+v allowed %t\nunder %+v", f, allowed(p, f), p)
			}
		}
	})
}

// Where other products may do more than that, it is told.
func TestWhatOthersMayOpenOrCloseIsTold(t *testing.T) {
	var quiet, loud int
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		p := randomPolicy(r)
		have := foreign(r, plan(p, testAgent), p, sublayerWeight, true)
		if len(concerns(have, testAgent)) > 0 {
			loud++
			return
		}
		quiet++
		for range flowsEach {
			f := randomFlow(r, p)
			got := arbitrate(have, f, r)
			if got && !allowed(p, f) || f.home(p) && !got {
				t.Fatalf("nothing was told of it, but passes %t: %+v\nunder %+v with %+v", got, f, p, have.filters[len(plan(p, testAgent).filters):])
			}
		}
	})
	if quiet == 0 || loud == 0 {
		t.Errorf("%d quiet and %d told: one side is not tried", quiet, loud)
	}
}

// Keys are fixed and differ, or a filter would hide another.
func TestKeysAreFixed(t *testing.T) {
	if got := filterKey("block all connect4").String(); got != "429a572c-27a3-5cc6-8703-119bf64ac877" {
		t.Errorf("key %s: what an older version put in force is not found any more", got)
	}
	seen := map[GUID]string{}
	r := rand.New(rand.NewPCG(7, 7))
	for range 200 {
		for _, f := range plan(randomPolicy(r), testAgent).filters {
			if name, ok := seen[f.key]; ok && name != f.name {
				t.Fatalf("%q and %q have one key", name, f.name)
			}
			seen[f.key] = f.name
		}
	}
}

// Filters of the start that no plan has any more are still found and removed, where no list
// has them.
func TestRetiredFiltersAreRemoved(t *testing.T) {
	e := newEngine()
	f := newFirewall(Config{}, e)
	if err := f.Apply(t.Context(), isolate.Policy{Mode: isolate.Full}); err != nil {
		t.Fatal(err)
	}
	e.as(func(i *installed) {
		for _, name := range []string{"DHCPv4 answer accept4 at boot", "DHCPv6 answer accept6 at boot"} {
			i.filters = append(i.filters, filter{key: filterKey(name), flags: filterBootTime, provider: ProviderKey, layer: layerAccept4, sublayer: SublayerKey, action: actionPermit})
		}
	})
	e.shy = true
	if err := f.Apply(t.Context(), isolate.Policy{Mode: isolate.Full}); err != nil {
		t.Fatal(err)
	}
	for _, h := range e.have.filters {
		if h.flags&filterBootTime != 0 && h.layer == layerAccept4 && h.action == actionPermit && strings.Contains(h.String(), filterKey("DHCPv4 answer accept4 at boot").String()) {
			t.Errorf("%s is left", h.title())
		}
	}
	if err := f.Restore(t.Context()); err != nil || len(e.have.filters) > 0 {
		t.Errorf("%d filters left, %v", len(e.have.filters), err)
	}
}

// Every filter but those of the agent and of what is permitted stands twice, and no flag
// is set on one that excludes another.
func TestBlocksStandForTheStartToo(t *testing.T) {
	p := isolate.Policy{Collectors: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:7443")}}.Clean()
	if s := plan(p, testAgent).ownSublayer(); s.weight != 0xffff || s.flags != 1 {
		t.Errorf("%s is not the heaviest, or goes with BFE", s)
	}
	lives := map[GUID][2]int{}
	for _, f := range plan(p, testAgent).filters {
		n := lives[f.layer]
		switch f.flags & (filterPersistent | filterBootTime) {
		case filterPersistent | filterBootTime, 0:
			t.Errorf("%s has flags %#x", f.title(), f.flags)
		case filterPersistent:
			if f.action == actionBlock {
				n[0]++
			}
		case filterBootTime:
			if f.action == actionBlock {
				n[1]++
			}
			if f.flags&filterHard != 0 {
				t.Errorf("%s is hard before the agent runs", f.title())
			}
		}
		lives[f.layer] = n
		if f.action == actionBlock && (len(f.conditions) != 0 || f.weight.number != 0) {
			t.Errorf("%s does not block everything that is left", f.title())
		}
	}
	for _, l := range layers {
		if lives[l.key] != [2]int{1, 1} {
			t.Errorf("layer %s blocks %v times", l.name, lives[l.key])
		}
	}
}

func TestServiceSIDIsThatOfWindows(t *testing.T) {
	// Known from every installation of Windows.
	if got, want := sidString(serviceSID("TrustedInstaller")), "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	es, err := entries(descriptor(serviceSID("hozen-agent")))
	if err != nil || len(es) != 1 || sidString(es[0].sid) != sidString(serviceSID("hozen-agent")) || es[0].mask != 1 {
		t.Errorf("descriptor grants %+v, %v", es, err)
	}
}
