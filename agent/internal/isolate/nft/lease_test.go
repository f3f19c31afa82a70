//go:build linux

package nft

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	link "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// dhcpServer gives one lease to everybody and tells what it was asked.
type dhcpServer struct {
	conn  *net.UDPConn
	self  netip.Addr
	lease netip.Addr
	again uint32 // seconds until the client asks its server again (T1)
	all   uint32 // and until it asks everybody (T2)
	asked chan dhcpRequest
}

// dhcpRequest is a DHCPREQUEST of a client that has an address already (RFC 2131,
// 4.3.6): sent to its server it renews, sent to everybody it rebinds.
type dhcpRequest struct {
	to, has netip.Addr
	at      time.Time
}

func newDHCPServer(t *testing.T, l *lab, again, all uint32) *dhcpServer {
	t.Helper()
	d := &dhcpServer{self: l.B.V4, lease: l.Host(20).V4, again: again, all: all, asked: make(chan dhcpRequest, 64)}
	check(t, l.Peer.Do(func() error {
		lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
			cerr := c.Control(func(fd uintptr) {
				if err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, l.NameB); err == nil {
					err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
				}
			})
			if cerr != nil {
				return cerr
			}
			return err
		}}
		c, err := lc.ListenPacket(context.Background(), "udp4", "0.0.0.0:67")
		if err == nil {
			d.conn = c.(*net.UDPConn)
		}
		return err
	}))
	t.Cleanup(func() { d.conn.Close() })
	go d.serve()
	return d
}

func (d *dhcpServer) serve() {
	b, oob := make([]byte, 2048), make([]byte, 256)
	for {
		n, on, _, _, err := d.conn.ReadMsgUDPAddrPort(b, oob)
		if err != nil {
			return
		}
		typ := dhcpType(b[:n])
		if typ != 1 && typ != 3 { // DISCOVER, REQUEST
			continue
		}
		has := netip.AddrFrom4([4]byte(b[12:]))
		if typ == 3 && !has.IsUnspecified() {
			d.asked <- dhcpRequest{to: destinationOf(oob[:on]), has: has, at: time.Now()}
		}
		to := netip.AddrPortFrom(broadcast4, 68)
		if !has.IsUnspecified() {
			to = netip.AddrPortFrom(has, 68)
		}
		_, _ = d.conn.WriteToUDPAddrPort(d.answer(b[:n], typ, has.IsValid() && !has.IsUnspecified()), to)
	}
}

// The magic cookie and the options follow after 236 bytes (RFC 2131, RFC 2132).
const dhcpOptions = 240

func dhcpType(b []byte) byte {
	if len(b) < dhcpOptions || b[0] != 1 {
		return 0
	}
	for o := b[dhcpOptions:]; len(o) > 2 && o[0] != 255; o = o[min(len(o), 2+int(o[1])):] {
		if o[0] == 53 {
			return o[2]
		}
	}
	return 0
}

func destinationOf(oob []byte) netip.Addr {
	ms, _ := unix.ParseSocketControlMessage(oob)
	for _, m := range ms {
		if m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= 12 {
			return netip.AddrFrom4([4]byte(m.Data[8:])) // ipi_addr of ip(7)
		}
	}
	return netip.Addr{}
}

// The lease of who comes anew, and of who has it already, in seconds.
const firstLease, laterLease = 600, 1200

func (d *dhcpServer) answer(q []byte, typ byte, known bool) []byte {
	b := make([]byte, dhcpOptions)
	copy(b, q[:dhcpOptions])
	b[0] = 2
	copy(b[16:], d.lease.AsSlice())
	copy(b[20:], d.self.AsSlice())
	kind := byte(2) // OFFER
	if typ == 3 {
		kind = 5 // ACK
	}
	b = append(b, 53, 1, kind, 1, 4, 255, 255, 255, 0)
	b = append(append(b, 54, 4), d.self.AsSlice()...)
	lease := uint32(firstLease)
	if known {
		lease = laterLease
	}
	for _, o := range []struct {
		code    byte
		seconds uint32
	}{{51, lease}, {58, d.again}, {59, d.all}} {
		b = binary.BigEndian.AppendUint32(append(b, o.code, 4), o.seconds)
	}
	return append(b, 255)
}

// networkd runs systemd-networkd in the PC, with a view of the file system of its own.
func networkd(t *testing.T, l *lab) {
	t.Helper()
	const program = "/lib/systemd/systemd-networkd"
	if _, err := os.Stat(program); err != nil {
		t.Skip("needs systemd-networkd: ", err)
	}
	// A /sys that cannot be written tells it that there is no udev to wait for. It changes
	// its user, after which the kernel would not end it with us; timeout(1) does.
	cmd := exec.Command("/bin/sh", "-ec", `
mount --make-rprivate /
mount -t sysfs -o ro sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network:systemd-network /run/systemd/netif
printf '[Match]\nName=%s\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n[DHCPv4]\nUseDNS=no\nUseNTP=no\n' "$0" >/run/systemd/network/10-lab.network
exec timeout 120 `+program, l.NameA)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	cmd.Stderr = t.Output()
	check(t, l.PC.Start(cmd))
	t.Cleanup(func() {
		check(t, cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait()
	})
}

// validFor is how long the PC may still use an address, in seconds; 0 if it has it not.
func (l *lab) validFor(t *testing.T, a netip.Addr) int {
	t.Helper()
	h, err := link.NewHandleAt(netns.NsHandle(l.PC.FD()), unix.NETLINK_ROUTE)
	check(t, err)
	defer h.Close()
	as, err := h.AddrList(mustLink(t, h, l.NameA), unix.AF_INET)
	check(t, err)
	for _, o := range as {
		if ip, _ := netip.AddrFromSlice(o.IP); ip.Unmap() == a {
			return o.ValidLft
		}
	}
	return 0
}

func (l *lab) awaitLease(t *testing.T, a netip.Addr, longer int) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(40 * time.Second); l.validFor(t, a) <= longer; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("after 40 s %v may be used for %d s, not for more than %d s", a, l.validFor(t, a), longer)
		}
	}
}

// A real DHCP client keeps its lease while isolated: from its server if that is known,
// else from everybody (RFC 2131, 4.4.5). The client adds up to a second to its times or
// takes it off, so they are no shorter.
func TestRealClientKeepsItsLease(t *testing.T) {
	for _, tt := range []struct {
		name       string
		known      bool
		again, all uint32
	}{
		{"renewed at the known server", true, 3, 500},
		{"rebound at anybody", false, 3, 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			d := newDHCPServer(t, l, tt.again, tt.all)
			networkd(t, l)
			l.awaitLease(t, d.lease, 0)
			want := broadcast4
			if tt.known {
				l.policy.DHCPServers, want = []netip.Addr{l.B.V4}, l.B.V4
			}
			check(t, l.fw.Apply(t.Context(), l.policy))
			cut := time.Now()
			l.isolated(t)
			for r := (dhcpRequest{}); r.at.Before(cut); {
				select {
				case r = <-d.asked:
				case <-time.After(40 * time.Second):
					t.Fatal("the client does not ask")
				}
				if r.at.After(cut) && (r.to != want || r.has != d.lease) {
					t.Errorf("asks %v for %v, want %v for %v", r.to, r.has, want, d.lease)
				}
			}
			l.awaitLease(t, d.lease, firstLease) // the answer arrived
		})
	}
}
