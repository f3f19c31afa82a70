package netfilter

import (
	"bytes"
	"slices"
	"testing"
	"unicode/utf16"

	"hozen/internal/artifact/record"
)

func inUTF16(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

// As "reg query …\FirewallRules" shows one.
const shares = `v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Private|Profile=Public|LPort=445|RA4=LocalSubnet|App=System|Name=共有 (SMB)|Desc=@FirewallAPI.dll,-28514|EmbedCtxt=@FirewallAPI.dll,-28502|`

func TestRulesOfTheWindowsFirewall(t *testing.T) {
	data := inUTF16(shares)
	f := firewallRule("local", "{1-2}", data)
	if f.Type != record.FilterRule || f.Table != "local" || f.Chain != "in" || f.Policy != "allow" || f.Proto != "tcp" || f.Comment != "共有 (SMB)" || f.Name != "{1-2}" || !bytes.Equal(f.Raw, data) {
		t.Errorf("%+v", f)
	}
	if want := []string{"v2.31", "Active=TRUE", "Profile=Private", "Profile=Public", "LPort=445", "RA4=LocalSubnet", "App=System"}; !slices.Equal(f.Exprs, want) {
		t.Errorf("%q", f.Exprs)
	}
	if f = firewallRule("local", "x", inUTF16("Action=Block|Action=Allow|Protocol=300|nonsense")); f.Policy != "block" || f.Proto != "300" || !slices.Equal(f.Exprs, []string{"Action=Allow", "nonsense"}) {
		t.Errorf("%+v", f)
	}
	p := firewallProfile("local", policyKey+`\PublicProfile`, map[string]uint32{"enablefirewall": 0, "defaultinboundaction": 1, "other": 7})
	if p.Type != record.FilterChain || p.Chain != "PublicProfile" || p.Policy != "off" || !slices.Equal(p.Exprs, []string{"enablefirewall=0", "defaultinboundaction=1"}) {
		t.Errorf("%+v", p)
	}
	if p = firewallProfile("group_policy", `a\DomainProfile`, nil); p.Policy != "" || p.Chain != "DomainProfile" {
		t.Errorf("%+v", p)
	}
}

func TestFiltersOfThePlatform(t *testing.T) {
	f := Filter{ID: 7, Key: "k", Name: "n", Provider: "p", Layer: "connect4", Sublayer: "s", Weight: 9, Action: "block", Flags: []string{"persistent", "boot"}, Conditions: []string{"protocol = 6"}, Unread: "x"}.record()
	if f.Family != familyWFP || f.Table != "s" || f.Chain != "connect4" || f.Handle != 7 || f.Policy != "block" || f.Kind != "persistent,boot" || f.Comment != "n" || f.Name != "k" ||
		!slices.Equal(f.Exprs, []string{"weight=9", "protocol = 6", "provider=p", "unread=x"}) {
		t.Errorf("%+v", f)
	}
}

func FuzzFirewallRule(f *testing.F) {
	f.Add(inUTF16(shares))
	f.Add([]byte{'|', 0, '='})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := firewallRule("local", "x", data)
		if len(r.Exprs) > maxWords || !bytes.Equal(r.Raw, data) {
			t.Errorf("%d words", len(r.Exprs))
		}
		if b := r.AppendJSON(nil); len(b) == 0 {
			t.Error("no record")
		}
	})
}
