package e2e

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/e2e/machine"
)

// TestCacheOfSystemdResolved looks up a name that is there and one that is not in a guest
// with systemd-resolved 257, and finds both in the evidence.
func TestCacheOfSystemdResolved(t *testing.T) {
	r := machine.Trixie()
	r.Packages = append(slices.Clone(r.Packages), "systemd-resolved")
	p := newPC(t, r, func(d *machine.Disk) error {
		if err := d.Copy("/usr/local/bin/hozen-agent", programs(t).Agent); err != nil {
			return err
		}
		return d.Write("/etc/systemd/resolved.conf.d/test.conf", "[Resolve]\nDNS=127.0.0.1:5353\nFallbackDNS=\nCacheFromLocalhost=yes\nDomains=~.\nDNSSEC=no\nMulticastDNS=no\nLLMNR=no\n", 0o644)
	})
	conn, err := p.host.ListenPacket(p.ctx, "udp4", "127.0.0.1:5353")
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if reply := nameServer(b[:n]); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	must(t, p.host.Do(plugged)) // without a network it asks nobody
	p.do("systemctl", "restart", "systemd-resolved")
	p.do("sh", "-c", "resolvectl query --type=A c2.example; resolvectl query --type=A xkq3v.example; true")
	const folder = "/var/lib/taken"
	p.do("sh", "-c", "hozen-agent acquire --profile volatile --out "+folder+" || [ $? = 3 ]")
	got := records[record.DNSCache](t, p.disk.Path(folder), artifact.KindDNSCache)
	find := func(name, kind string) record.DNSCache {
		i := slices.IndexFunc(got, func(d record.DNSCache) bool { return strings.TrimSuffix(d.Name, ".") == name && d.Kind == kind })
		if i < 0 {
			t.Fatalf("%s is not among %+v", name, got)
		}
		return got[i]
	}
	if d := find("c2.example", "A"); !slices.Equal(d.Answers, []string{"203.0.113.9"}) || len(d.Raw) != 1 || d.Until.IsZero() || d.Protocol != "dns" {
		t.Errorf("%+v", d)
	}
	if d := find("xkq3v.example", "ANY"); d.State != "nxdomain" || len(d.Answers) > 0 {
		t.Errorf("%+v", d)
	}
}

// plugged gives the network namespace a network that leads nowhere.
func plugged() error {
	h, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer h.Close()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near"}, PeerName: "far"}
	if err := h.LinkAdd(pair); err != nil {
		return err
	}
	for _, name := range []string{"near", "far"} {
		link, err := h.LinkByName(name)
		if err != nil {
			return err
		}
		if err := h.LinkSetUp(link); err != nil {
			return err
		}
		if name == "near" {
			if err := h.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 7), Mask: net.CIDRMask(24, 32)}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// nameServer answers for c2.example, and says of all else that it does not exist
// (RFC 1035, 4.1; RFC 2308).
func nameServer(question []byte) []byte {
	const head, typeA, ok, noSuchName = 12, 1, 0x8580, 0x8583
	if len(question) < head {
		return nil
	}
	end := head + bytes.IndexByte(question[head:], 0) + 5 // name, type, class
	if end < head+5 || end > len(question) {
		return nil
	}
	var answers, authorities, flags uint16 = 0, 1, noSuchName
	// The authority of all names: it exists for five minutes, and so do those that do not.
	record := append([]byte{0, 0, 6, 0, 1, 0, 0, 1, 44, 0, 22, 0, 0}, make([]byte, 16)...)
	record = append(record, 0, 0, 1, 44)
	if bytes.HasPrefix(bytes.ToLower(question[head:]), []byte("\x02c2\x07example\x00")) {
		authorities, flags, record = 0, ok, nil
		if question[end-3] == typeA {
			answers, record = 1, []byte{0xc0, head, 0, typeA, 0, 1, 0, 0, 1, 44, 0, 4, 203, 0, 113, 9}
		}
	}
	be := binary.BigEndian
	b := be.AppendUint16(slices.Clone(question[:2]), flags)
	for _, n := range []uint16{1, answers, authorities, 0} {
		b = be.AppendUint16(b, n)
	}
	return append(append(b, question[head:end]...), record...)
}
