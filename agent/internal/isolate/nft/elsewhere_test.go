//go:build linux

package nft

import (
	"bufio"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	link "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/internal/netlab"
)

// moving is a lab whose rules follow devices, kept by an agent's loop.
func moving(t *testing.T) (l *lab, m *isolate.Manager, put <-chan isolate.Status, to *netlab.Host) {
	l = newLab(t)
	l.fw.cfg.Elsewhere = true
	to, err := l.AddHost()
	check(t, err)
	m, put = l.managed(t)
	return l, m, put, to
}

// live puts a process into a namespace, as "unshare -n" does.
func live(t *testing.T, h *netlab.Host) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	check(t, h.Start(cmd))
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

func moveTo(t *testing.T, from, to *netlab.Host, name string) {
	t.Helper()
	n, err := link.NewHandleAt(netns.NsHandle(from.FD()), unix.NETLINK_ROUTE)
	check(t, err)
	defer n.Close()
	check(t, n.LinkSetNsFd(mustLink(t, n, name), to.FD()))
}

// up gives the NIC that was moved to h the addresses that it had.
func (l *lab) up(t *testing.T, h *netlab.Host) {
	t.Helper()
	n, err := link.NewHandleAt(netns.NsHandle(h.FD()), unix.NETLINK_ROUTE)
	check(t, err)
	defer n.Close()
	check(t, h.AddAddr(l.NameA, netip.PrefixFrom(l.A.V4, 24)))
	check(t, n.LinkSetUp(mustLink(t, n, l.NameA)))
}

// A NIC that is moved into another namespace is cut there, is given back there, and comes
// home cut.
func TestNICMovedAway(t *testing.T) {
	l, m, put, to := moving(t)
	live(t, to)
	moveTo(t, l.PC, to, l.NameA)
	moved := time.Now()
	st := awaitStatus(t, put, func(st isolate.Status) bool { return len(st.Drift) > 0 })
	t.Logf("cut there %s after it was moved", time.Since(moved).Round(time.Millisecond))
	all := strings.Join(append(st.Drift, st.Seen...), "; ")
	if st.Observed != isolate.Isolated || !strings.Contains(all, `network device "`+l.NameA+`" is in the network namespace of process`) || !strings.Contains(all, `("sleep")`) {
		t.Fatalf("%s, %s: %s", st.Observed, st.Detail, all)
	}
	if !slices.ContainsFunc(st.Observation.Links, func(k isolate.Link) bool {
		return strings.HasPrefix(k.Name, l.NameA+"@net:[") && k.Ingress && k.Egress
	}) {
		t.Errorf("not covered there: %+v", st.Observation.Links)
	}
	if st.Observation.Held == isolate.HeldHere {
		other := New(Config{NetNS: to.FD(), Table: "hozen" + awaySuffix})
		if err := other.Restore(t.Context()); !errors.Is(err, isolate.ErrHeld) {
			t.Errorf("somebody else takes the rules away: %v", err)
		}
		check(t, other.Close())
	}
	l.up(t, to)
	out := netip.AddrPortFrom(l.B.V4, 4711).String()
	if err := tcp(to, l.Peer, out); err == nil {
		t.Error("a connection from there comes about")
	}
	pair := *l.Pair
	pair.PC = to
	for _, bypass := range []bool{false, true} {
		if err := raw(&lab{Pair: &pair}, 4, 4712, bypass); err == nil {
			t.Errorf("a frame written to the device arrives, past the queue %t", bypass)
		}
	}
	if st, err := m.Release(t.Context(), isolate.Request{CommandID: "cmd_2"}); err != nil || st.Observation.Present {
		t.Fatalf("%v: %+v", err, st)
	}
	if err := tcp(to, l.Peer, out); err != nil {
		t.Error("after release: ", err)
	}
}

// What nobody can enter is told, and never called isolated, until it can be cut.
func TestNICHidden(t *testing.T) {
	l, m, put, to := moving(t)
	moveTo(t, l.PC, to, l.NameA) // nothing but this test holds where it goes
	st := awaitStatus(t, put, func(st isolate.Status) bool { return st.Observed != isolate.Isolated })
	if st.Observed != isolate.Failed || !strings.Contains(st.Detail, `"`+l.NameA+`" is in another network namespace`) {
		t.Fatalf("%s: %s", st.Observed, st.Detail)
	}
	live(t, to)
	if st, err := m.Reconcile(t.Context()); err != nil || st.Observed != isolate.Isolated {
		t.Fatalf("%v: %s, %s", err, st.Observed, st.Detail)
	}
	moveTo(t, to, l.PC, l.NameA)
	awaitStatus(t, put, func(st isolate.Status) bool { // and cut here
		return st.Observed == isolate.Isolated && slices.ContainsFunc(st.Observation.Links, func(k isolate.Link) bool { return k.Name == l.NameA && k.Egress })
	})
}

// Where the agent watches a veth pair be laid for a container, nothing is cut there: what
// leaves passes the rules at our end.
func TestContainersCableIsNoWayOut(t *testing.T) {
	l, m, put, to := moving(t)
	live(t, to)
	n, err := link.NewHandleAt(netns.NsHandle(l.PC.FD()), unix.NETLINK_ROUTE)
	check(t, err)
	defer n.Close()
	check(t, n.LinkAdd(&link.Veth{LinkAttrs: link.LinkAttrs{Name: "here0"}, PeerName: "there0"}))
	moveTo(t, l.PC, to, "there0")
	awaitStatus(t, put, func(st isolate.Status) bool {
		return st.Observed == isolate.Isolated && slices.ContainsFunc(st.Observation.Links, func(k isolate.Link) bool { return k.Name == "here0" })
	})
	if st, err := m.Reconcile(t.Context()); err != nil || len(l.fw.others.covered) != 0 {
		t.Fatalf("%v: %+v", err, st.Observation.Links)
	}
}

// The way home may lead through another namespace that has the NIC.
func TestWayHomeThroughAnotherNamespace(t *testing.T) {
	l, _, put, to := moving(t)
	live(t, to)
	moveTo(t, l.PC, to, l.NameA)
	awaitStatus(t, put, func(st isolate.Status) bool { return len(st.Drift) > 0 })
	l.up(t, to)
	inner, err := l.Join(l.PC, to)
	check(t, err)
	check(t, to.Sysctl("net.ipv4.ip_forward", "1"))
	check(t, l.PC.AddRoute(netip.PrefixFrom(l.collector.V4, 32), inner.B.V4))
	check(t, l.PC.AddRoute(netip.PrefixFrom(l.B.V4, 32), inner.B.V4))
	check(t, l.Peer.AddRoute(inner.V4, l.A.V4))
	awaitStatus(t, put, func(st isolate.Status) bool {
		return st.Observed == isolate.Isolated && slices.ContainsFunc(st.Observation.Links, func(k isolate.Link) bool { return k.Name == inner.NameA }) &&
			slices.ContainsFunc(st.Observation.Links, func(k isolate.Link) bool { return strings.HasPrefix(k.Name, inner.NameB+"@") })
	})
	if err := tcp(l.PC, l.Peer, l.collector.At(4, collectorPort)); err != nil {
		t.Error("collector: ", err)
	}
	if err := tcp(l.PC, l.Peer, l.collector.At(4, collectorPort+1)); err == nil {
		t.Error("another port of the collector is open")
	}
	if err := tcp(to, l.Peer, l.B.At(4, collectorPort)); err == nil {
		t.Error("somebody else is open")
	}
}

// machineEnv makes this test's own program the first process of a machine of its own.
const machineEnv = "HOZEN_TEST_MACHINE"

// inMachine reports whether this process is the first one of a machine, and has the test
// run in such a process if it is not.
func inMachine(t *testing.T) bool {
	t.Helper()
	if os.Getenv(machineEnv) != "" {
		return true
	}
	if err := netlab.Available(); err != nil {
		t.Skip("needs root: ", err)
	}
	cmd := exec.Command("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), machineEnv+"=1")
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "--- SKIP: "+t.Name()) {
		t.Skipf("%s", out)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// machineFirewall takes the machine of a test for a real one.
func machineFirewall() *Firewall {
	f := New(Config{Elsewhere: true})
	f.inner = strings.ReplaceAll(f.inner, " ifb", "") // what stands for hardware here
	f.pids = inodeOf("/proc/1/ns/pid")                // and for the machine
	return f
}

func machinePolicy() isolate.Policy {
	return isolate.Policy{Mode: isolate.Standard, Collectors: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8443")}}
}

// elsewhereProcess starts one in namespaces of its own (unshare(1)), which says when it is there.
func elsewhereProcess(t *testing.T, flags ...string) (pid int) {
	t.Helper()
	cmd := exec.Command("unshare", append(flags, "sh", "-c", "echo there; exec sleep 600")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Skip("needs namespaces of users: ", err)
	}
	return cmd.Process.Pid
}

// In the first namespace of a machine every namespace is looked at: a NIC that was moved
// before the cut, while no agent ran, is cut too; and given back by an agent that knows
// nothing of it.
func TestNICMovedBeforeTheCut(t *testing.T) {
	if !inMachine(t) {
		return
	}
	f := machineFirewall()
	defer func() { check(t, f.Close()) }()
	if !f.first() {
		t.Fatal("not the first namespace of its machine")
	}
	pid := elsewhereProcess(t, "--net")
	h, err := link.NewHandle(unix.NETLINK_ROUTE)
	check(t, err)
	defer h.Close()
	if err := h.LinkAdd(&link.Ifb{LinkAttrs: link.LinkAttrs{Name: "nic0"}}); err != nil {
		t.Skip("needs a kernel with ifb: ", err)
	}
	check(t, h.LinkSetNsPid(mustLink(t, h, "nic0"), pid))
	p := machinePolicy()
	o, err := f.Observe(t.Context(), &p)
	check(t, err)
	if o.Complete {
		t.Fatalf("nothing is in force, and nothing is missing: %+v", o)
	}
	check(t, f.Apply(t.Context(), p))
	o, err = f.Observe(t.Context(), &p)
	check(t, err)
	there := func(o isolate.Observation) bool {
		return slices.ContainsFunc(o.Links, func(k isolate.Link) bool { return strings.HasPrefix(k.Name, "nic0@") && k.Ingress && k.Egress })
	}
	if !o.Complete || !there(o) {
		t.Fatalf("not cut there: %+v", o)
	}
	check(t, f.Close()) // the agent dies
	g := machineFirewall()
	o, err = g.Observe(t.Context(), &p)
	check(t, err)
	if !o.Complete || !there(o) || o.Held == isolate.HeldHere {
		t.Fatalf("the next agent: %+v", o)
	}
	check(t, g.Restore(t.Context()))
	o, err = New(Config{NetNS: namespaceOf(t, pid), Table: "hozen" + awaySuffix}).Observe(t.Context(), nil)
	check(t, err)
	if o.Present {
		t.Fatalf("left behind: %+v", o)
	}
}

func namespaceOf(t *testing.T, pid int) int {
	t.Helper()
	file, _, err := openSpace("/proc/" + strconv.Itoa(pid) + "/ns/net")
	check(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return int(file.Fd())
}

// Process 1 of a container is not the machine's first one: the namespace in which the
// other end of its cable is, is not below the container.
func TestContainersFirstProcess(t *testing.T) {
	if os.Getenv("HOZEN_IN_A_CONTAINER") != "" {
		f := New(Config{})
		if own, one := f.inode(), inodeOf("/proc/1/ns/net"); f.first() || own == 0 || own != one {
			t.Errorf("first: %v; namespaces %d and %d", f.first(), own, one)
		}
		return
	}
	if err := netlab.Available(); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", os.Args[0], "-test.v", "-test.run", "^TestContainersFirstProcess$")
	cmd.Env = append(os.Environ(), "HOZEN_IN_A_CONTAINER=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWhatLeadsOut(t *testing.T) {
	f := New(Config{})
	for kind, want := range map[string]bool{"": true, "wwan": true, "ppp": true, "of the future": true, "veth": false, "macvlan": false, "ip6tnl": false, "ip": true, "tun": false, "bareudp": false, "xfrm": false} {
		if got := f.leadsOut(device{name: "x", kind: kind}); got != want {
			t.Errorf("kind %q: %t", kind, got)
		}
	}
	if f.leadsOut(device{name: "lo", loopback: true}) {
		t.Error("loopback leads out")
	}
	if f.left(device{name: "eth0", gone: true}) {
		t.Error("noted by one that looks nowhere else")
	}
}

// A firewall on a thread that is in a namespace of its own is that namespace's.
func TestOwnNamespaceOfAThread(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	f := New(Config{})
	before := f.inode()
	apart(func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error("make a network namespace: ", err)
			return
		}
		want := inodeOf("/proc/self/task/" + strconv.Itoa(unix.Gettid()) + "/ns/net")
		if got := f.inode(); got != want || got == before {
			t.Errorf("namespace %d, want %d; that of the process is %d", got, want, before)
		}
	})
}

// apart runs fn on a thread of its own that is not the process's first, and ends with it.
func apart(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			apart(fn)
			runtime.UnlockOSThread()
			return
		}
		fn()
	}()
	<-done
}
