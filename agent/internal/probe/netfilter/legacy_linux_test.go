package netfilter

import (
	"encoding/binary"
	"encoding/json"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
	"hozen/internal/netlab"
)

// TestLegacyScene gives the kernel a table of iptables and of ip6tables in a namespace of
// its own, as their programs do, and reads it back.
func TestLegacyScene(t *testing.T) {
	if err := netlab.Available(); err != nil {
		t.Skip("needs root: ", err)
	}
	h, err := netlab.NewHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	for family, src := range map[string]string{"ip": "192.0.2.66", "ip6": "2001:db8::66"} {
		if err := h.Do(func() error { return replace(family, src) }); err != nil {
			t.Skip("this kernel has no iptables of the old kind: ", err)
		}
	}
	for _, to := range []string{"127.0.0.1:9", "[::1]:9"} {
		c, err := h.Dial(t.Context(), "udp", to)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	var l probetest.Lines
	if err := h.Do(func() error { return New("/", nil).Acquire(t.Context(), &l) }); err != nil {
		t.Error(err)
	}
	got := map[string][]record.FilterObject{}
	for _, b := range l.All {
		var f record.FilterObject
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		if f.Type == record.FilterLegacyChain || f.Type == record.FilterLegacyRule {
			got[f.Family] = append(got[f.Family], f)
		}
	}
	for family, bytes := range map[string]uint64{"ip": 128, "ip6": 148} { // with the heads of IP and UDP
		i := slices.IndexFunc(got[family], func(f record.FilterObject) bool { return slices.Contains(f.Exprs, "drop") })
		if i < 0 || got[family][i].Packets != 1 || got[family][i].Bytes != bytes {
			t.Errorf("%s: %d lines, and the rule that dropped a datagram, %d of them, did not count it", family, len(got[family]), i)
		}
	}
	isEvil(t, got["ip"], "192.0.2.66/32")
	isEvil(t, got["ip6"], "2001:db8::66/128")
}

// replace is IPT_SO_SET_REPLACE of evilTable.
func replace(family, src string) error {
	const setReplace, policies = 64, 4 // entries of a table that is new
	domain, level := unix.AF_INET, unix.IPPROTO_IP
	if family == "ip6" {
		domain, level = unix.AF_INET6, unix.IPPROTO_IPV6
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	b := make([]byte, infoSize) // asking for a table that is not there makes it
	copy(b, "filter")
	if err := getsockopt(fd, level, getInfo, b); err != nil {
		return err
	}
	info, entries := evilTable(family, src)
	counters := make([]byte, 16*policies)
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&counters[0])
	ne := binary.NativeEndian
	r := make([]byte, 96) // struct ipt_replace
	copy(r, "filter")
	ne.PutUint32(r[32:], info.hooks)
	ne.PutUint32(r[36:], 10)
	ne.PutUint32(r[40:], uint32(len(entries)))
	for h := range legacyHook {
		ne.PutUint32(r[44+4*h:], info.entry[h])
		ne.PutUint32(r[64+4*h:], info.underflow[h])
	}
	ne.PutUint32(r[84:], policies)
	ne.PutUint64(r[88:], uint64(uintptr(unsafe.Pointer(&counters[0]))))
	return unix.SetsockoptString(fd, level, setReplace, string(append(r, entries...)))
}
