package bpf

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

// program loads one of two instructions, which returns verdict.
func program(t *testing.T, kind uint32, name string, verdict uint32) int {
	t.Helper()
	ne := binary.NativeEndian
	code := []byte{0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0} // r0 = verdict; exit
	ne.PutUint32(code[4:], verdict)
	license := []byte("GPL\x00")
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&code[0])
	pin.Pin(&license[0])
	p := make([]byte, 64)
	ne.PutUint32(p, kind)
	ne.PutUint32(p[4:], uint32(len(code)/8))
	ne.PutUint64(p[8:], uint64(uintptr(unsafe.Pointer(&code[0]))))
	ne.PutUint64(p[16:], uint64(uintptr(unsafe.Pointer(&license[0]))))
	copy(p[48:], name)
	return load(t, unix.BPF_PROG_LOAD, p)
}

// TestAttachedScene hangs a program at an interface by XDP and by tc, in each direction, and one
// by a link of TCX, in a network namespace of its own.
func TestAttachedScene(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	runtime.LockOSThread()              // for good: the thread ends with the test, and its namespace
	if unix.Gettid() == unix.Getpid() { // that one would stay, and be where all others look
		defer runtime.UnlockOSThread()
		t.Run("on another thread", TestAttachedScene)
		return
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("no network namespace here: ", err)
	}
	const classifier, xdp = 3, 6
	first, filter := program(t, xdp, "hozen_xdp", 2), program(t, classifier, "hozen_tc", 0xffffffff)
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	must("make interface", netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "hz0"}, PeerName: "hz1"}))
	dev, err := netlink.LinkByName("hz0")
	must("find interface", err)
	index := dev.Attrs().Index
	must("attach by XDP", netlink.LinkSetXdpFdWithFlags(dev, first, 1<<1)) // XDP_FLAGS_SKB_MODE
	must("make clsact", netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Parent: netlink.HANDLE_CLSACT, Handle: netlink.MakeHandle(0xffff, 0)}}))
	for n, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		must("attach by tc", netlink.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: parent, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: uint16(7 + n)},
			Fd:          filter, Name: "planted", DirectAction: true,
		}))
	}
	attach := make([]byte, 64) // link_create: prog_fd, target_ifindex, attach_type, flags
	for i, v := range []uint32{uint32(filter), uint32(index), 47} {
		binary.NativeEndian.PutUint32(attach[4*i:], v)
	}
	_, _, e := unix.Syscall(unix.SYS_BPF, unix.BPF_LINK_CREATE, uintptr(unsafe.Pointer(&attach[0])), uintptr(len(attach)))

	var l probetest.Lines
	if err := New().Acquire(t.Context(), &l); err != nil {
		t.Error(err)
	}
	ids := map[string]uint32{}
	seen := map[string]record.BPF{}
	for _, b := range l.All {
		var r record.BPF
		must("read", json.Unmarshal(b, &r))
		switch {
		case r.Type == record.BPFProgram:
			ids[r.Name] = max(r.ID, ids[r.Name])
		case r.Type == record.BPFAttached, r.Type == record.BPFLink && int(r.Device) == index:
			seen[r.Type+" "+r.Kind+" "+r.Hook] = r
		}
	}
	for what, name := range map[string]string{"attached xdp generic": "hozen_xdp", "attached tc ingress": "hozen_tc", "attached tc egress": "hozen_tc"} {
		r := seen[what]
		if r.Program == 0 || r.Program != ids[name] || int(r.Device) != index || r.Interface != "hz0" {
			t.Errorf("%s of program %d: %+v", what, ids[name], r)
		}
	}
	if in, out := seen["attached tc ingress"], seen["attached tc egress"]; in.Priority != 7 || out.Priority != 8 || in.Handle != 1 || in.Name != "planted" {
		t.Errorf("%+v, %+v", in, out)
	}
	if r := seen["link tcx egress"]; e == 0 && r.Program != ids["hozen_tc"] {
		t.Errorf("by a link: %+v", r)
	} else if e != 0 {
		t.Log("this kernel has no TCX: ", e)
	}
	if want := 3; e == 0 && len(seen) != want+1 || e != 0 && len(seen) != want {
		t.Errorf("%d are attached: %+v", len(seen), seen)
	}
}
