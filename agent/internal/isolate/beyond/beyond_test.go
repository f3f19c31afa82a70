package beyond

import (
	"encoding/binary"
	"strings"
	"testing"

	"hozen/internal/winapi/adapters"
)

func TestLimits(t *testing.T) {
	f := Facts{
		Running: []string{"vmcompute"}, Distributions: []string{"Ubuntu\x1b[31m"}, Proxies: []string{"proxy.example:3128"}, Unread: []string{"services"},
		Adapters: []adapters.Adapter{
			{Name: "Ethernet", Description: "Intel I219", Type: 6, Up: true},
			{Name: "vEthernet (WSL)", Description: "Hyper-V Virtual Ethernet Adapter", Type: 6, Up: true},
			{Name: "office", Description: "WireGuard Tunnel", Type: 53, Up: true},
			{Name: "dial", Description: "WAN Miniport", Type: 23, Up: true},
			{Name: "old", Description: "TAP-Windows Adapter V9", Type: 6},
			{Name: "Teredo", Description: "Microsoft Teredo Tunneling Adapter", Type: 131, Up: true},
		},
	}
	got := f.Limits()
	all := strings.Join(got, "\n")
	for _, want := range []string{"vmcompute", "Ubuntu [31m", "Hyper-V Virtual Ethernet", "WireGuard Tunnel", "WAN Miniport", "proxy.example:3128", "not found out: services"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not told: %s", want, all)
		}
	}
	for _, no := range []string{"Intel", "TAP-Windows", "Teredo", "\x1b"} {
		if strings.Contains(all, no) {
			t.Errorf("%q is told: %s", no, all)
		}
	}
	if len(got) != 6 {
		t.Errorf("%d limits: %s", len(got), all)
	}
	if l := (Facts{Adapters: f.Adapters[:1]}).Limits(); len(l) > 0 {
		t.Errorf("a plain PC has limits: %q", l)
	}
}

// Connection sharing is told of, whether a service or a setting does it.
func TestForwardingIsTold(t *testing.T) {
	l := (Facts{Forwarding: []string{"SharedAccess", "IPEnableRouter"}}).Limits()
	if len(l) != 1 || !strings.Contains(l[0], "IPEnableRouter, SharedAccess (Internet Connection Sharing)") {
		t.Errorf("%q", l)
	}
}

func TestManyAreCounted(t *testing.T) {
	var f Facts
	for i := range 20 {
		f.Distributions = append(f.Distributions, string(rune('a'+i)))
	}
	if l := f.Limits(); len(l) != 1 || !strings.HasSuffix(l[0], "and 12 more") {
		t.Errorf("%q", l)
	}
}

func settingsOf(flags uint32, proxy string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0x28)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(proxy)))
	return append(b, proxy+"\x00\x00\x00\x00"...)
}

func TestWinHTTP(t *testing.T) {
	if got := winHTTP(settingsOf(3, "proxy.example:8080")); got != "proxy.example:8080" {
		t.Errorf("%q", got)
	}
	if got := winHTTP(settingsOf(1, "unused")); got != "" {
		t.Errorf("%q without a proxy", got)
	}
}

func FuzzWinHTTP(f *testing.F) {
	f.Add(settingsOf(3, "proxy.example:8080"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := winHTTP(b); len(got) > len(b) {
			t.Error("more than there is")
		}
	})
}
