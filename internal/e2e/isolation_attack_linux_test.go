package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
)

// reassertLimit is how soon rules that somebody changed are in force again, on a machine
// that has a processor to spare.
const reassertLimit = time.Second

// TestIsolationAttacked does to an isolated PC what somebody with root may do, while
// packets of every kind are sent all the time, and prints what happened, what passed and
// what the collector was told. internal/docs/design/isolation-attacks.md has its table.
func TestIsolationAttacked(t *testing.T) {
	a := newAttacked(t, within(t, 3*patience), nil)
	a.isolate()
	a.atTheRules()
	a.besideTheRules()
	a.whileFrozen()
	a.whileDead()
	a.release()
	for _, f := range a.floods {
		f.flows(t, a.ctx) // each way was one
	}
	a.print()
	a.clean(t, a.ctx)
}

// attacked is a system whose PC is attacked by somebody with root.
type attacked struct {
	*system
	t      *testing.T
	ctx    context.Context
	lab    *rig.Nursery
	pc     *rig.PracticePC
	floods []*flood // every way out that was tried
	held   bool     // the kernel lets nobody but the agent change the rules
	rows   []string
	rules  func() string // the table inet hozen as nft(8) shows it
}

// newAttacked makes a collector and a PC, and floods. with says how they differ from the
// usual ones; it may be nil.
func newAttacked(t *testing.T, ctx context.Context, with func(*rig.PracticePC) options) *attacked {
	t.Helper()
	if err := netlab.Available(); err != nil {
		t.Skip(err)
	}
	for _, program := range []string{"nft", "ip", "sleep"} {
		need(t, program)
	}
	a := &attacked{t: t, ctx: ctx, lab: rig.NewNursery()}
	a.rules = a.rulesHere
	t.Cleanup(func() { a.lab.Close() })
	var err error
	a.pc, err = a.lab.NewPracticePC(ctx, shortDir(t))
	must(t, err)
	t.Cleanup(func() { a.pc.Close() })
	if !a.pc.HasIPv6() {
		t.Skip("this kernel has no IPv6")
	}
	var o options
	if with != nil {
		o = with(a.pc)
	}
	o.collector.Agents, o.agent.Host = cmp.Or(o.collector.Agents, a.pc.Outside.At(4, 7443)), a.pc.PC
	a.system = newSystem(t, ctx, o)
	a.floods = []*flood{startFlood(t, way{from: a.pc.PC, device: "eth0", local: a.pc.Inside, to: a.pc.Outside})}
	a.floods[0].flows(t, ctx)
	return a
}

// isolate gives a new order, and looks whether all is cut. What happens to an order is
// told at once the first time.
func (a *attacked) isolate() {
	a.t.Helper()
	if cmd := a.order(a.t, a.ctx, "isolate", map[string]any{"isolate_first": true}); cmd.Status != "done" {
		a.t.Fatalf("isolate ended as %s: %s", cmd.Status, cmd.Detail)
	}
	a.held = strings.Contains(a.rules(), "owner")
	dry(a.t, "isolated", a.floods...)
}

// rulesHere looks at a PC that is a network namespace of this machine.
func (a *attacked) rulesHere() string {
	a.t.Helper()
	out, _ := a.run(a.pc.PC, "", "nft", "list", "table", "inet", "hozen")
	return out
}

func (a *attacked) release() {
	a.t.Helper()
	if cmd := a.order(a.t, a.ctx, "release", nil); cmd.Status != "done" {
		a.t.Fatalf("release ended as %s: %s", cmd.Status, cmd.Detail)
	}
}

// run runs a program as root at a host to its end and returns what it said.
func (a *attacked) run(at *netlab.Host, stdin string, cmd ...string) (said string, ok bool) {
	a.t.Helper()
	r, err := a.lab.Run(a.ctx, rig.Spec{Path: a.find(cmd[0]), Args: cmd[1:], Host: at, Env: []string{"LC_ALL=C"}}, stdin)
	must(a.t, err)
	return strings.TrimSpace(r.Stdout + r.Stderr), r.Code == 0
}

func (a *attacked) find(program string) string {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if _, err := os.Stat(filepath.Join(dir, program)); err == nil {
			return filepath.Join(dir, program)
		}
	}
	a.t.Fatalf("%s is not installed", program)
	return ""
}

// nft runs each command by itself and says how many were refused.
func (a *attacked) nft(cmds ...string) string {
	a.t.Helper()
	refused, why := 0, ""
	for _, c := range cmds {
		if said, ok := a.run(a.pc.PC, c+"\n", "nft", "-f", "-"); !ok {
			refused++
			why = strings.TrimPrefix(strings.SplitN(said, "\n", 2)[0], "/dev/stdin:1:")
			if i := strings.LastIndex(why, "Error: "); i >= 0 {
				why = why[i+len("Error: "):]
			}
		}
	}
	switch refused {
	case 0:
		return "carried out"
	case len(cmds):
		return "refused: " + why
	}
	return fmt.Sprintf("%d of %d refused: %s", refused, len(cmds), why)
}

func (a *attacked) ip(at *netlab.Host, args ...string) {
	a.t.Helper()
	if said, ok := a.run(at, "", append([]string{"ip"}, args...)...); !ok {
		a.t.Fatalf("ip %s: %s", strings.Join(args, " "), said)
	}
}

// host is a namespace of its own, as "unshare -n" makes one, and a process in it.
func (a *attacked) host() (h *netlab.Host, pid string) {
	a.t.Helper()
	h, err := netlab.NewHost()
	must(a.t, err)
	a.t.Cleanup(func() { h.Close() })
	p, err := a.lab.Start(rig.Spec{Path: a.find("sleep"), Args: []string{"600"}, Host: h})
	must(a.t, err)
	return h, strconv.Itoa(p.PID())
}

// isolationEvent is what the collector was told.
type isolationEvent struct {
	ID          string   `json:"id"`
	Kind        string   `json:"kind"`
	Detail      string   `json:"detail"`
	Differences []string `json:"differences"`
	Seen        []string `json:"seen"`
	Count       int      `json:"count"`
}

func (e isolationEvent) in(list []isolationEvent) bool {
	return slices.ContainsFunc(list, func(k isolationEvent) bool { return k.ID == e.ID })
}

// String is what the event is about, shortened.
func (e isolationEvent) String() string {
	return e.Kind + ": " + strings.Join(slices.Concat(e.Differences[:min(2, len(e.Differences))], e.Seen[:min(2, len(e.Seen))]), "; ") + e.Detail
}

func (a *attacked) events() []isolationEvent {
	a.t.Helper()
	var list []isolationEvent
	must(a.t, a.collector.Glass().Call(a.ctx, "endpoint.isolation_events", map[string]string{"ref": a.id}, &list))
	return list
}

// attempt is one attack.
type attempt struct {
	name string
	do   func() string // says what came of it
	// tampers: it changes our rules where the kernel lets anybody do that.
	tampers bool
	// records is the kind of event that the collector must be told of, if there is one.
	records string
	// limit is what may pass: the time from the first to the last packet. Default: nothing.
	limit time.Duration
}

// try makes an attack and notes what came of it.
func (a *attacked) try(x attempt) {
	a.t.Helper()
	want := x.records
	if x.tampers && !a.held {
		want, x.limit = "drift", reassertLimit
	}
	if want != "" {
		a.isolate()
	}
	known := a.events()
	mark := time.Now()
	what := x.do()
	slack := time.Now()
	a.rules() // how slow is this machine at present?
	slow := 20 * time.Since(slack)
	recorded := "nothing"
	if want != "" {
		recorded = a.told(known, want).String()
	}
	a.awaitState("isolated")
	if want == "" {
		for _, e := range a.events() {
			if !e.in(known) {
				recorded = e.String()
			}
		}
	}
	<-time.After(20 * floodBeat)
	passed, gap := a.passed(mark)
	if gap > 0 && (x.limit == 0 || gap > x.limit+slow) {
		a.t.Errorf("%s: %s in %s", x.name, passed, gap)
	}
	dry(a.t, "after "+x.name, a.floods...)
	a.row(x.name, what, passed, gap, recorded)
}

func (a *attacked) row(name, what, passed string, gap time.Duration, recorded string) {
	if gap > 0 {
		passed += fmt.Sprintf(" in %s", gap.Round(time.Millisecond))
	}
	a.rows = append(a.rows, fmt.Sprintf("| %s | %s | %s | %s |", name, what, passed, recorded))
	a.t.Logf("%s", a.rows[len(a.rows)-1])
}

// passed is what arrived since a moment, and in what time.
func (a *attacked) passed(mark time.Time) (string, time.Duration) {
	var n [allKinds]int
	var first, last time.Time
	for _, f := range a.floods {
		m, begin, end := f.since(mark)
		for kind := range n {
			n[kind] += m[kind]
		}
		if !begin.IsZero() && (first.IsZero() || begin.Before(first)) {
			first = begin
		}
		if end.After(last) {
			last = end
		}
	}
	if first.IsZero() {
		return said(n), 0
	}
	return said(n), last.Sub(first) + floodBeat
}

// told waits until the collector knows of an event of a kind that it did not know.
func (a *attacked) told(known []isolationEvent, kind string) (e isolationEvent) {
	a.t.Helper()
	soon, cancel := context.WithTimeout(a.ctx, time.Minute)
	defer cancel()
	a.await(a.t, soon, "an event "+kind, func() (bool, error) {
		list := a.events()
		i := slices.IndexFunc(list, func(e isolationEvent) bool {
			return e.Kind == kind && !e.in(known)
		})
		if i >= 0 {
			e = list[i]
		}
		return i >= 0, fmt.Errorf("events %+v", list)
	})
	return e
}

func (a *attacked) awaitState(want string) {
	a.t.Helper()
	if a.agent == nil { // it runs in a guest: the collector's word for it
		a.await(a.t, a.ctx, "the collector to say "+want, func() (bool, error) {
			e := a.endpoint(a.t, a.ctx)
			return e.Online && e.Isolation.Observed == want, fmt.Errorf("%+v", e.Isolation)
		})
		return
	}
	a.await(a.t, a.ctx, "the agent to be "+want, func() (bool, error) {
		s, err := a.agent.Status(a.ctx)
		return err == nil && s.Isolation.Observed == want, errors.Join(err, fmt.Errorf("%+v", s.Isolation))
	})
}

func (a *attacked) print() {
	a.t.Logf("held by the kernel: %v\n| attack | what happened | what passed | recorded |\n|---|---|---|---|\n%s", a.held, strings.Join(a.rows, "\n"))
}

// atTheRules attacks nf_tables.
func (a *attacked) atTheRules() {
	a.t.Helper()
	a.try(attempt{name: "`nft flush ruleset`", tampers: true, do: func() string {
		what := a.nft("flush ruleset")
		if a.held && what == "carried out" {
			return "passes our tables by"
		}
		return what
	}})
	a.try(attempt{name: "`nft delete table` inet, netdev", tampers: true, do: func() string { return a.nft("delete table inet hozen", "delete table netdev hozen") }})
	a.try(attempt{name: "accept inserted before our rules, rules flushed, policy accept, dormant", tampers: true, do: func() string {
		return a.nft("insert rule inet hozen out accept", "insert rule inet hozen in accept", "insert rule netdev hozen permit_out accept",
			"flush table inet hozen", "flush table netdev hozen", "add chain inet hozen out { policy accept; }", "add table inet hozen { flags dormant; }")
	}})
	a.try(attempt{name: "tables of others that accept everything, at ten priorities from the first to the last, of inet, ip, ip6 and netdev", do: func() string {
		var all []string
		for i, p := range []int64{-1 << 31, -1000, -501, -451, -450, -300, 0, 100, 451, 1<<31 - 1} {
			for _, family := range []string{"inet", "ip", "ip6"} {
				var chains string
				for _, h := range []string{"input", "output", "forward"} {
					chains += fmt.Sprintf("chain %s { type filter hook %s priority %d; policy accept; accept; }; ", h, h, p)
				}
				all = append(all, fmt.Sprintf("table %s others%d { %s }", family, i, chains))
			}
			all = append(all, fmt.Sprintf("table netdev others%d { chain i { type filter hook ingress device eth0 priority %d; policy accept; accept; }; chain o { type filter hook egress device eth0 priority %d; policy accept; accept; }; }", i, p, p))
		}
		return a.nft(all...)
	}})
	a.try(attempt{name: "restart of nftables.service: `nft flush ruleset`, then `nft -f /etc/nftables.conf`", tampers: true, do: func() string {
		what := a.nft("flush ruleset", "flush ruleset\ntable inet filter {\n chain input { type filter hook input priority filter; }\n chain forward { type filter hook forward priority filter; }\n chain output { type filter hook output priority filter; }\n}")
		if a.held && what == "carried out" {
			return "passes our tables by"
		}
		return what
	}})
	if _, err := os.Stat("/usr/sbin/iptables-legacy"); err == nil {
		a.try(attempt{name: "`iptables-legacy -F`, policies and rules ACCEPT", do: func() string {
			for _, args := range []string{"-F", "-P OUTPUT ACCEPT", "-I OUTPUT -j ACCEPT", "-I INPUT -j ACCEPT"} {
				a.run(a.pc.PC, "", append([]string{"iptables-legacy"}, strings.Fields(args)...)...)
			}
			return "no effect on nf_tables"
		}})
	}
}

// near is another address on the PC's cable.
func (a *attacked) near(n byte) netlab.Addrs {
	four, six := a.pc.Inside.V4.As4(), a.pc.Inside.V6.As16()
	four[3], six[15] = n, n
	return netlab.Addrs{V4: netip.AddrFrom4(four), V6: netip.AddrFrom16(six)}
}

// address gives a device addresses and brings it up.
func (a *attacked) address(h *netlab.Host, device string, at netlab.Addrs, bits4, bits6 int) {
	a.t.Helper()
	a.ip(h, "addr", "add", fmt.Sprintf("%s/%d", at.V4, bits4), "dev", device)
	a.ip(h, "addr", "add", fmt.Sprintf("%s/%d", at.V6, bits6), "dev", device, "nodad")
	a.ip(h, "link", "set", device, "up")
}

// besideTheRules goes around them: by other devices, namespaces, routes and marks.
func (a *attacked) besideTheRules() {
	a.t.Helper()
	pc := a.pc.PC
	a.try(attempt{name: "`ip link add type macvlan` on the NIC, moved into `unshare -n`", do: func() string {
		child, pid := a.host()
		a.ip(pc, "link", "add", "mac0", "link", "eth0", "type", "macvlan", "mode", "bridge")
		a.ip(pc, "link", "set", "mac0", "netns", pid)
		a.address(child, "mac0", a.near(77), 24, 64)
		a.floods = append(a.floods, startFlood(a.t, way{from: child, device: "mac0", local: a.near(77), to: a.pc.Outside}))
		return "its frames leave by the NIC's chain"
	}})
	a.try(attempt{name: "a new link, as of a USB tether", records: "drift", limit: reassertLimit, do: func() string {
		tether, pid := a.host()
		here, there := netlab.Addrs{V4: netip.MustParseAddr("192.0.2.1"), V6: netip.MustParseAddr("2001:db8::1")}, netlab.Addrs{V4: netip.MustParseAddr("192.0.2.2"), V6: netip.MustParseAddr("2001:db8::2")}
		// Up at the first moment: the other end waits for it.
		a.ip(pc, "link", "add", "peer0", "type", "veth", "peer", "name", "usb0")
		a.ip(pc, "link", "set", "peer0", "netns", pid)
		a.address(tether, "peer0", there, 24, 64)
		a.address(pc, "usb0", here, 24, 64)
		a.floods = append(a.floods, startFlood(a.t, way{from: pc, device: "usb0", local: here, outside: tether, to: there}))
		return "covered as it appears"
	}})
	a.try(attempt{name: "`unshare -n` with a veth, forwarding on", records: "drift", do: func() string {
		child, pid := a.host()
		a.ip(pc, "link", "add", "veth0", "type", "veth", "peer", "name", "up0")
		a.ip(pc, "link", "set", "up0", "netns", pid)
		a.address(child, "up0", a.near(78), 32, 128)
		a.ip(pc, "link", "set", "veth0", "up")
		must(a.t, errors.Join(pc.Sysctl("net.ipv4.ip_forward", "1"), pc.Sysctl("net.ipv6.conf.all.forwarding", "1")))
		for family, at := range map[string]string{"-4": a.near(78).V4.String(), "-6": a.near(78).V6.String()} {
			a.ip(pc, family, "route", "add", at, "dev", "veth0")
		}
		a.ip(child, "-4", "route", "add", "default", "dev", "up0")
		a.ip(child, "-6", "route", "add", "default", "dev", "up0")
		must(a.t, errors.Join(pc.Sysctl("net.ipv4.conf.veth0.proxy_arp", "1"), pc.Sysctl("net.ipv6.conf.veth0.proxy_ndp", "1")))
		a.ip(pc, "-6", "neigh", "add", "proxy", a.pc.Outside.V6.String(), "dev", "veth0")
		var hop net.HardwareAddr
		must(a.t, pc.Do(func() error {
			d, err := net.InterfaceByName("veth0")
			if err == nil {
				hop = d.HardwareAddr
			}
			return err
		}))
		a.floods = append(a.floods, startFlood(a.t, way{from: child, device: "up0", local: a.near(78), to: a.pc.Outside, hop: hop}))
		return "forwarding is cut"
	}})
	a.try(attempt{name: "`ip rule`, `ip route`: another table, default by the NIC", do: func() string {
		for _, family := range []string{"-4", "-6"} {
			a.ip(pc, family, "route", "add", "default", "dev", "eth0", "table", "99")
			a.ip(pc, family, "rule", "add", "pref", "1", "from", "all", "lookup", "99")
		}
		defer func() {
			for _, family := range []string{"-4", "-6"} {
				a.ip(pc, family, "rule", "del", "pref", "1")
			}
		}()
		<-time.After(20 * floodBeat)
		return "no effect: the rules know no routes"
	}})
	a.try(attempt{name: "the NIC gets another name", records: "drift", limit: reassertLimit, do: func() string {
		a.ip(pc, "link", "set", "eth0", "name", "wan0")
		return "covered under its new name"
	}})
	a.ip(pc, "link", "set", "wan0", "name", "eth0")
	a.link()
	a.try(attempt{name: "another process dials the collector's port", do: func() string {
		if err := dial(a.ctx, pc, a.collector.Agents, 0); err == nil {
			a.t.Error("a process without the mark reached the collector")
		}
		return "refused: its packets lack the agent's mark"
	}})
	a.try(attempt{name: "the same with the agent's mark (SO_MARK needs CAP_NET_ADMIN)", do: func() string {
		if err := dial(a.ctx, pc, a.collector.Agents, 0x687a6e); err != nil {
			a.t.Errorf("dial with the mark: %v", err)
		}
		return "reaches the collector, which asks for a certificate, and nobody else"
	}})
}

// dial connects from a host by TCP, with a mark on the socket if it is not 0.
func dial(ctx context.Context, from *netlab.Host, address string, mark int) error {
	d := net.Dialer{Timeout: 500 * time.Millisecond, Control: func(_, _ string, c syscall.RawConn) (err error) {
		if mark == 0 {
			return nil
		}
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) })
		return errors.Join(cerr, err)
	}}
	return from.Do(func() error {
		c, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// whileFrozen attacks while the agent does not run on.
func (a *attacked) whileFrozen() {
	a.t.Helper()
	x := attempt{name: "agent frozen (SIGSTOP), then `flush ruleset` and `delete table`", tampers: true}
	x.do = func() string {
		pid := a.agent.Proc.PID()
		must(a.t, unix.Kill(pid, unix.SIGSTOP))
		defer func() { must(a.t, unix.Kill(pid, unix.SIGCONT)) }()
		a.nft("flush ruleset")
		what := a.nft("delete table inet hozen", "delete table netdev hozen")
		<-time.After(40 * floodBeat)
		return what
	}
	a.try(x)
}

// folder is where the agent keeps the order.
func (a *attacked) folder() string { return filepath.Join(a.agent.Dir, "isolation") }

// back starts the agent, as its service does, and waits until it looks after things.
func (a *attacked) back() {
	a.t.Helper()
	must(a.t, a.agent.Run(a.ctx))
	a.awaitConnected(a.t, a.ctx)
}

// whileDead attacks while there is no agent.
func (a *attacked) whileDead() {
	a.t.Helper()
	a.try(attempt{name: "agent killed (SIGKILL)", do: func() string {
		a.agent.Proc.Kill()
		<-time.After(40 * floodBeat)
		a.back()
		return "rules stay; the next agent takes them over"
	}})
	a.dead("agent killed, then `flush ruleset`", "drift", "open until the agent is back", func() { a.nft("flush ruleset") })
	a.try(attempt{name: "agent killed, its record and marker deleted", records: "record_lost", do: func() string {
		a.agent.Proc.Kill()
		must(a.t, os.RemoveAll(a.folder()))
		a.back()
		return "closed: our tables say that isolation was ordered"
	}})
	a.dead("agent killed, record deleted but not the marker, rules flushed", "record_lost", "closed again by the marker", func() {
		must(a.t, os.Remove(filepath.Join(a.folder(), "isolation.record")))
		a.nft("flush ruleset")
	})
}

// dead kills the agent, lets somebody do something and starts the agent again: from then
// on nothing passes.
func (a *attacked) dead(name, event, what string, do func()) {
	a.t.Helper()
	a.isolate()
	known := a.events()
	mark := time.Now()
	a.agent.Proc.Kill()
	do()
	<-time.After(40 * floodBeat)
	alone, _ := a.passed(mark)
	start := time.Now()
	must(a.t, a.agent.Run(a.ctx))
	running := time.Now()
	a.awaitConnected(a.t, a.ctx)
	e := a.told(known, event)
	a.awaitState("isolated")
	if n, gap := a.passed(running); gap > 0 {
		a.t.Errorf("%s: the agent answered, and then passed: %s", name, n)
	}
	passed, _ := a.passed(start)
	var last time.Time
	for _, f := range a.floods {
		if _, _, end := f.since(start); end.After(last) {
			last = end
		}
	}
	gap := time.Duration(0)
	if !last.IsZero() {
		gap = last.Sub(start)
	}
	dry(a.t, "after "+name, a.floods...)
	a.row(name, what, fmt.Sprintf("before the restart %s; after it %s", alone, passed), gap, e.Kind+": "+strings.Join(e.Differences[:min(2, len(e.Differences))], "; ")+e.Detail)
}
