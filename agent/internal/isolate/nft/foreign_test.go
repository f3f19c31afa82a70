//go:build linux

package nft

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	link "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// What somebody does in a namespace of his own neither makes an isolation look broken nor
// holds up a release, unless he was given a device of ours.
func TestNamespacesOfUsers(t *testing.T) {
	if !inMachine(t) {
		return
	}
	f, p := machineFirewall(), machinePolicy()
	defer func() { check(t, f.Close()) }()
	pid := elsewhereProcess(t, "--user", "--map-root-user", "--net")
	fd := namespaceOf(t, pid)
	there, err := link.NewHandleAt(netns.NsHandle(fd), unix.NETLINK_ROUTE)
	check(t, err)
	defer there.Close()
	if err := there.LinkAdd(&link.Ifb{LinkAttrs: link.LinkAttrs{Name: "odd0"}}); err != nil {
		t.Skip("needs a kernel with ifb: ", err)
	}
	other := New(Config{NetNS: fd, Table: "hozen" + awaySuffix})
	defer func() { check(t, other.Close()) }()
	check(t, other.Apply(t.Context(), p)) // he holds what has the name of ours
	whole := func() isolate.Observation {
		t.Helper()
		o, err := f.Observe(t.Context(), &p)
		check(t, err)
		return o
	}
	released := func() {
		t.Helper()
		check(t, f.Restore(t.Context()))
		if o, err := f.Observe(t.Context(), nil); err != nil || o.Present || len(f.others.covered) != 0 {
			t.Fatalf("%v: %+v", err, o)
		}
	}
	check(t, f.Apply(t.Context(), p))
	if o := whole(); !o.Complete || len(f.others.covered) != 0 {
		t.Fatalf("his namespace counts: %+v", o)
	}
	full := search{own: f.owner(), users: foreignMax}
	full.shallow(t.Context())
	if full.unseen == 0 || len(full.found) == 0 {
		t.Errorf("at the bound %d are left out and %d found", full.unseen, len(full.found))
	}
	full.close()
	f.most = 1 // he has two
	if o := whole(); !o.Complete || !strings.Contains(strings.Join(o.Limits, ""), "1 network namespaces, most of them of users, were not looked at") {
		t.Fatalf("too many devices of his: %+v", o)
	}
	f.most = devicesMax
	released()

	give := func() {
		t.Helper()
		h, err := link.NewHandle(unix.NETLINK_ROUTE)
		check(t, err)
		defer h.Close()
		check(t, h.LinkAdd(&link.Ifb{LinkAttrs: link.LinkAttrs{Name: "nic0"}}))
		check(t, h.LinkSetNsPid(mustLink(t, h, "nic0"), pid))
		file, inode, err := openSpace(fmt.Sprintf("/proc/self/fd/%d", fd))
		check(t, err)
		defer file.Close()
		n := f.number(t.Context(), space{file: file, inode: inode})
		f.others.moved = map[int32]map[int32]bool{n: {int32(mustLink(t, there, "nic0").Attrs().Index): true}}
	}
	give()
	check(t, f.Apply(t.Context(), p))
	if o := whole(); o.Complete {
		t.Fatalf("a device of ours is his, and open: %+v", o)
	}
	released()
	check(t, there.LinkDel(mustLink(t, there, "nic0")))
	check(t, other.Restore(t.Context()))

	give()
	check(t, f.Apply(t.Context(), p))
	if o := whole(); !o.Complete || len(f.others.covered) != 1 {
		t.Fatalf("a device of ours is his, and not cut: %+v", o)
	}
	check(t, there.LinkDel(mustLink(t, there, "nic0")))
	if o := whole(); !o.Complete || len(f.others.covered) != 0 {
		t.Fatalf("it is gone, and his namespace counts: %+v", o)
	}
	if o, err := other.Observe(t.Context(), nil); err != nil || o.Present {
		t.Fatalf("left behind: %v, %+v", err, o)
	}
	released()
}

// An agent that begins anew gives back what the one before it cut where no process is any more.
func TestGivenBackWithoutProcess(t *testing.T) {
	if !inMachine(t) {
		return
	}
	for name, keep := range map[string]func(t *testing.T, ns *os.File){
		"mounted": func(t *testing.T, ns *os.File) {
			path := filepath.Join(t.TempDir(), "a net")
			check(t, os.WriteFile(path, nil, 0o600))
			check(t, unix.Mount(fmt.Sprintf("/proc/self/fd/%d", ns.Fd()), path, "", unix.MS_BIND, ""))
			t.Cleanup(func() { check(t, unix.Unmount(path, unix.MNT_DETACH)) })
		},
		"descriptor": func(t *testing.T, ns *os.File) {
			cmd := exec.Command("sleep", "600")
			cmd.ExtraFiles = []*os.File{ns}
			check(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			pid := elsewhereProcess(t, "--net")
			ns, _, err := openSpace(fmt.Sprintf("/proc/%d/ns/net", pid))
			check(t, err)
			defer ns.Close()
			there, err := link.NewHandleAt(netns.NsHandle(int(ns.Fd())), unix.NETLINK_ROUTE)
			check(t, err)
			defer there.Close()
			if err := there.LinkAdd(&link.Ifb{LinkAttrs: link.LinkAttrs{Name: "nic0"}}); err != nil {
				t.Skip("needs a kernel with ifb: ", err)
			}
			f := machineFirewall()
			check(t, f.Apply(t.Context(), machinePolicy()))
			if len(f.others.covered) != 1 {
				t.Fatalf("%d covered", len(f.others.covered))
			}
			check(t, f.Close())
			keep(t, ns)
			proc, err := os.FindProcess(pid)
			check(t, err)
			check(t, proc.Kill())
			_, _ = proc.Wait()
			check(t, machineFirewall().Restore(t.Context()))
			if o, err := New(Config{NetNS: int(ns.Fd()), Table: "hozen" + awaySuffix}).Observe(t.Context(), nil); err != nil || o.Present {
				t.Errorf("left behind: %v, %+v", err, o)
			}
		})
	}
}

// A look that failed forgets no device, and says that it failed.
func TestFailedLookForgetsNothing(t *testing.T) {
	l, m, put, to := moving(t)
	live(t, to)
	moveTo(t, l.PC, to, l.NameA)
	awaitStatus(t, put, func(st isolate.Status) bool { return len(st.Drift) > 0 })
	look := func(ctx context.Context, most int) (gaps []string, covered int) {
		e := &l.fw.others
		e.mu.Lock()
		defer e.mu.Unlock()
		was := l.fw.most
		l.fw.most = most
		gaps, _ = e.cover(ctx, l.fw)
		l.fw.most = was
		return gaps, len(e.covered)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for range 2 {
		if gaps, _ := look(t.Context(), 1); len(gaps) == 0 {
			t.Error("too many devices: no gap")
		}
		if gaps, _ := look(ended, devicesMax); len(gaps) == 0 {
			t.Error("without time: no gap")
		}
	}
	// The manager looks by itself, too.
	locked := func(do func(e *elsewhere)) {
		l.fw.others.mu.Lock()
		defer l.fw.others.mu.Unlock()
		do(&l.fw.others)
	}
	st, err := m.Reconcile(t.Context())
	moved := map[int32]map[int32]bool{}
	locked(func(e *elsewhere) { moved = maps.Clone(e.moved) })
	if err != nil || st.Observed != isolate.Isolated || len(moved) != 1 {
		t.Fatalf("%v: %s, %s; %v", err, st.Observed, st.Detail, moved)
	}
	// A look that began before a release ends after it.
	if st, err := m.Release(t.Context(), isolate.Request{CommandID: "cmd_2"}); err != nil {
		t.Fatalf("%v: %+v", err, st)
	}
	locked(func(e *elsewhere) { e.moved = moved })
	if _, n := look(t.Context(), devicesMax); n != 1 {
		t.Fatalf("%d covered", n)
	}
	l.observe(t, nil)
	locked(func(e *elsewhere) {
		if n := len(e.covered); n != 0 {
			t.Errorf("%d covered after release", n)
		}
	})
}

func TestMounts(t *testing.T) {
	got := parseMounts("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n" +
		`412 25 0:4 net:[4026532178] /srv/a\040b\134c rw shared:9 - nsfs nsfs rw` + "\n411 25 0:4 mnt:[4026532170] /srv/m rw - nsfs nsfs rw\n\n1 2")
	if len(got) != 1 || got[0] != (mount{"net:[4026532178]", `/srv/a b\c`}) {
		t.Errorf("%+v", got)
	}
}

// FuzzMounts takes what the kernel may say of mounts.
func FuzzMounts(f *testing.F) {
	f.Add(`412 25 0:4 net:[4026532178] /srv/a\040b rw shared:9 - nsfs nsfs rw`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, m := range parseMounts(s) {
			if m.path == "" || !strings.HasPrefix(m.link, "net:[") {
				t.Errorf("%+v", m)
			}
		}
	})
}
