//go:build linux

package nft

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"hozen/agent/internal/isolate"
)

// othersFirewalls are tables as ufw and Docker make them, in every kind that there is.
const othersFirewalls = `table inet ufw {
	counter seen { }
	set friends { type ipv4_addr; flags interval; elements = { 192.0.2.7, 198.51.100.0/24 } }
	set met { type ipv4_addr; flags dynamic,timeout; timeout 1m; }
	chain input { type filter hook input priority 0; policy accept; counter; ip saddr @friends counter name "seen" accept; tcp dport { 22, 80 } accept; }
	chain output { type filter hook output priority 0; policy accept; add @met { ip daddr }; quota 100 mbytes; counter jump more; }
	chain more { limit rate 5/second accept; }
}
table ip docker {
	map ports { type inet_service : ipv4_addr; elements = { 80 : 172.17.0.2 } }
	chain prerouting { type nat hook prerouting priority -100; dnat to tcp dport map @ports; }
	chain postrouting { type nat hook postrouting priority 100; ip saddr 172.17.0.0/16 masquerade; }
	chain forward { type filter hook forward priority 0; policy drop; }
}
`

// A release says whether the rules of others are as they were before the cut, with traffic
// meanwhile, and leaves alone what somebody changed.
func TestReleaseTellsOfOthersRules(t *testing.T) {
	l := newLab(t)
	nft := func(commands string) {
		t.Helper()
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(commands)
		var said bytes.Buffer
		cmd.Stderr = &said
		check(t, l.PC.Start(cmd))
		if err := cmd.Wait(); err != nil {
			t.Skipf("needs nft with ip, inet, nat, quota and limit: %v: %s", err, said.String())
		}
	}
	nft(othersFirewalls)
	store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: t.TempDir(), Key: bytes.Repeat([]byte{'k'}, 32)})
	check(t, err)
	m, err := isolate.NewManager(isolate.Config{Firewall: l.fw, Store: store})
	check(t, err)
	turn := func(meanwhile string) *isolate.Others {
		t.Helper()
		check(t, tcp(l.PC, l.Peer, l.B.At(4, 9000))) // counted by them
		st, err := m.Isolate(t.Context(), isolate.Request{CommandID: "cmd_1", Policy: l.policy})
		check(t, err)
		if st.Others != nil {
			t.Errorf("while isolated: %+v", st.Others)
		}
		if meanwhile != "" {
			nft(meanwhile)
		}
		st, err = m.Release(t.Context(), isolate.Request{CommandID: "cmd_2"})
		check(t, err)
		if st.Others == nil || st.Others.Before.At.IsZero() || st.Others.After.At.IsZero() {
			t.Fatalf("released: %+v", st.Others)
		}
		return st.Others
	}
	if o := turn(""); o.Verdict != isolate.OthersSame || len(o.Differences) != 0 || len(o.Before.Tables) != 2 {
		t.Errorf("nobody changed anything: %+v", o)
	}
	for _, tt := range []struct{ what, commands, table string }{
		{"a rule is added", "add rule inet ufw input accept", "inet ufw"},
		{"an element is added", "add element inet ufw friends { 203.0.113.9 }", "inet ufw"},
		{"an element of a map is replaced", "delete element ip docker ports { 80 }; add element ip docker ports { 80 : 172.17.0.3 }", "ip docker"},
		{"a policy is changed", "chain ip docker forward { policy accept; }", "ip docker"},
		{"a table is new", "table bridge theirs { }", "bridge theirs"},
		{"a table is gone", "delete table ip docker", "ip docker"},
	} {
		o := turn(tt.commands)
		if o.Verdict != isolate.OthersDiffer || len(o.Differences) == 0 || slices.ContainsFunc(o.Differences, func(d string) bool { return !strings.Contains(d, ": "+tt.table+" ") }) {
			t.Errorf("%s: %+v", tt.what, o)
		}
	}
	if o := turn(""); o.Verdict != isolate.OthersSame { // they were left as they are
		t.Errorf("after the changes: %+v", o)
	}
}
