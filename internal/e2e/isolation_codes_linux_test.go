package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
	"hozen/internal/releasecode"
)

// TestIsolationCodesAttacked gives an isolated PC wrong codes, too many of them, and codes
// that were right once.
func TestIsolationCodesAttacked(t *testing.T) {
	a := newAttacked(t, within(t, 3*patience), nil)
	a.isolate()
	mark := time.Now()
	first := a.code()
	refused := func(what, code, says string) {
		t.Helper()
		r := a.give(code)
		if r.Code == 0 || !strings.Contains(r.Stderr, says) {
			t.Errorf("%s: exit code %d: %s%s", what, r.Code, r.Stdout, r.Stderr)
		}
		a.row("release code: "+what, "refused: "+strings.TrimPrefix(strings.SplitN(strings.TrimSpace(r.Stderr), ". ", 2)[0], "hozen-agent release: "), "nothing", 0, "code_refused")
	}
	const wrong, wait = "not the code of this PC", "oo many"
	known := a.events()
	for range 5 {
		refused("forged, with the right number", releasecode.New(releasecode.NewKey(), first.Number).String(), wrong)
	}
	a.told(known, "code_refused")
	refused("the sixth", releasecode.New(releasecode.NewKey(), first.Number).String(), wait)
	refused("the right one after five wrong ones", first.Code, wait)
	a.agent.Proc.Kill()
	a.back()
	refused("the same after the agent was killed", first.Code, wait)
	a.isolate()
	refused("of an earlier order", first.Code, wrong)
	if n, gap := a.passed(mark); gap > 0 {
		t.Errorf("passed meanwhile: %s in %s", n, gap)
	}
	known = a.events()
	second := a.code()
	r := a.give(second.Code)
	if r.Code != 0 {
		t.Fatalf("the right code: exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	a.floods[0].flows(t, a.ctx)
	a.told(known, "released_by_code")
	a.isolate()
	mark = time.Now()
	refused("replayed after the next order", second.Code, wrong)
	if n, gap := a.passed(mark); gap > 0 {
		t.Errorf("passed after a replayed code: %s in %s", n, gap)
	}
	a.release()
	a.print()
}

// give types a code at the PC, again and again where that was too fast.
func (a *attacked) give(code string) (r rig.Result) {
	a.t.Helper()
	must(a.t, rig.Until(a.ctx, "an answer to a code", func() (bool, error) {
		var err error
		r, err = a.agent.CLI(a.ctx, code+"\n", "release", "--lang", "en")
		return err == nil && !strings.Contains(r.Stderr, "Too fast"), err
	}))
	return r
}

// paper is what somebody at the collector reads out.
type paper struct {
	Number string `json:"number"`
	Code   string `json:"code"`
}

// code is that of the number which the PC shows.
func (a *attacked) code() (p paper) {
	a.t.Helper()
	r, err := a.agent.CLI(a.ctx, "", "isolation", "status", "--json")
	must(a.t, err)
	var shown struct {
		Number string `json:"code_number"`
	}
	must(a.t, json.Unmarshal([]byte(r.Stdout), &shown))
	must(a.t, a.collector.Glass().Call(a.ctx, "endpoint.release_code", map[string]any{"ref": a.id, "number": shown.Number, "reason": "a test of codes"}, &p))
	return p
}

// link tries what stays open for the link alone as a way out: how much goes to whom.
func (a *attacked) link() {
	a.t.Helper()
	const each = 300 * time.Millisecond
	data := make([]byte, 1400)
	link := netlab.Addrs{V4: netip.MustParseAddr("255.255.255.255"), V6: netip.MustParseAddr("ff02::1")}
	dhcp := func(to netip.Addr) []byte {
		return udp4(netip.AddrPortFrom(a.pc.Inside.V4, 68), netip.AddrPortFrom(to, 67), data)
	}
	for _, x := range []struct {
		name  string
		typ   uint16
		frame []byte
		open  bool
	}{
		{"DHCPv4 to broadcast, 1400 bytes each", unix.ETH_P_IP, dhcp(link.V4), true},
		{"DHCPv4 to another host", unix.ETH_P_IP, dhcp(a.pc.Outside.V4), false},
		{"DHCPv6 to the link's servers, 1400 bytes each", unix.ETH_P_IPV6, ip6(a.pc.Inside.V6, netip.MustParseAddr("ff02::1:2"), 64, unix.IPPROTO_UDP, udp6(546, 547, data)), true},
		{"DHCPv6 to another host", unix.ETH_P_IPV6, ip6(a.pc.Inside.V6, a.pc.Outside.V6, 64, unix.IPPROTO_UDP, udp6(546, 547, data)), false},
		{"neighbour solicitation to the link with 1400 bytes of options", unix.ETH_P_IPV6, ip6(a.pc.Inside.V6, link.V6, 255, unix.IPPROTO_ICMPV6, append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, data...)), true},
		{"neighbour solicitation to a global address", unix.ETH_P_IPV6, ip6(a.pc.Inside.V6, a.pc.Outside.V6, 255, unix.IPPROTO_ICMPV6, append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, data...)), false},
		{"neighbour solicitation that passed a router", unix.ETH_P_IPV6, ip6(a.pc.Inside.V6, link.V6, 64, unix.IPPROTO_ICMPV6, append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, data...)), false},
		{"ARP with 1400 bytes behind it", unix.ETH_P_ARP, append(make([]byte, 28), data...), true},
		{"EAPOL, 1400 bytes each", unix.ETH_P_PAE, data, true},
		{"another EtherType (LLDP)", 0x88cc, data, false},
	} {
		bytes := a.squeeze(x.typ, x.frame, each)
		if (bytes > 0) != x.open {
			a.t.Errorf("%s: %d bytes arrived", x.name, bytes)
		}
		what, passed := "cut", "nothing"
		if x.open {
			what = "as far as the link"
			passed = fmt.Sprintf("%.1f MB/s", float64(bytes)/each.Seconds()/1e6)
		}
		a.row("as a way out: "+x.name, what, passed, 0, "nothing")
	}
}

// squeeze writes a frame to the NIC as often as it can for a while, and returns how many
// bytes of such frames reach the other end.
func (a *attacked) squeeze(typ uint16, payload []byte, each time.Duration) (bytes int) {
	a.t.Helper()
	peer, err := hardwareOf(a.pc.Outside.V4)
	must(a.t, err)
	far, err := deviceOf(a.pc.Outside.V4)
	must(a.t, err)
	in, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(a.t, err)
	defer unix.Close(in)
	network := typ<<8 | typ>>8
	must(a.t, unix.Bind(in, &unix.SockaddrLinklayer{Ifindex: far, Protocol: network}))
	must(a.t, unix.SetsockoptTimeval(in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100000}))
	sent := make(chan error, 1)
	go func() {
		sent <- a.pc.PC.Do(func() error {
			dev, err := net.InterfaceByName("eth0")
			if err != nil {
				return err
			}
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			frame := ethernet(peer, dev.HardwareAddr, typ, payload)
			for end := time.Now().Add(each); time.Now().Before(end); {
				_ = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: dev.Index}) // the rules say no to some
			}
			return nil
		})
	}()
	b := make([]byte, 2048)
	for ended := false; ; {
		n, from, err := unix.Recvfrom(in, b, 0)
		if ll, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && ll.Pkttype != unix.PACKET_OUTGOING && string(b[min(14, n):n]) == string(payload) { // and not of the agent's own
			bytes += n
		}
		if ended && err != nil {
			return bytes
		}
		select {
		case err := <-sent:
			must(a.t, err)
			ended = true
		default:
		}
	}
}
