package netfilter

import (
	"strconv"
	"strings"

	"hozen/agent/internal/probe/winbytes"
	"hozen/internal/artifact/record"
)

// The families of what Windows has.
const (
	familyFirewall = "windows_firewall"
	familyWFP      = "wfp"
)

// policyKey is under what the registry keeps the settings of the firewall.
const policyKey = `SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy`

// maxWords bounds what is told of one rule apart from its bytes.
const maxWords = 256

// firewallRule reads a rule, "v2.30|Action=Allow|Active=TRUE|Dir=In|…|", which stands in the
// registry as UTF-16. Whatever is not understood is told as it stands; data is told whole.
func firewallRule(table, name string, data []byte) *record.FilterObject {
	f := &record.FilterObject{Type: record.FilterRule, Family: familyFirewall, Table: table, Raw: data}
	f.Name, _ = record.TextOf(name)
	words, _ := winbytes.Text(data)
	for i, w := range strings.Split(strings.TrimRight(words, "\x00"), "|") {
		key, v, ok := strings.Cut(w, "=")
		switch {
		case w == "" || i >= maxWords:
		case !ok:
			f.Exprs = append(f.Exprs, w)
		case key == "Action" && f.Policy == "":
			f.Policy = strings.ToLower(v)
		case key == "Dir" && f.Chain == "":
			f.Chain = strings.ToLower(v)
		case key == "Protocol" && f.Proto == "":
			f.Proto = protocolOf(v)
		case key == "Name" && f.Comment == "":
			f.Comment = v
		case key == "Desc" || key == "EmbedCtxt":
		default:
			f.Exprs = append(f.Exprs, w)
		}
	}
	return f
}

func protocolOf(number string) string {
	n, err := strconv.ParseUint(number, 10, 8)
	if err != nil {
		return number
	}
	return protocol(byte(n))
}

// firewallProfile tells what counts on a kind of network where no rule does; values are the
// numbers of its key by their names in small letters.
func firewallProfile(table, key string, values map[string]uint32) *record.FilterObject {
	f := &record.FilterObject{Type: record.FilterChain, Family: familyFirewall, Table: table, Chain: key[strings.LastIndexByte(key, '\\')+1:]}
	for _, name := range []string{"enablefirewall", "defaultinboundaction", "defaultoutboundaction", "donotallowexceptions", "disablenotifications"} {
		if n, ok := values[name]; ok {
			f.Exprs = append(f.Exprs, name+"="+strconv.FormatUint(uint64(n), 10))
		}
	}
	if n, ok := values["enablefirewall"]; ok && n == 0 {
		f.Policy = "off"
	} else if ok {
		f.Policy = "on"
	}
	return f
}

// Filter is a filter of the platform below the firewall.
type Filter struct {
	ID                                   uint64
	Key, Name, Provider, Layer, Sublayer string
	Weight                               uint64
	Action                               string
	Flags, Conditions                    []string
	Unread                               string
}

// record makes a record of it: the table is the sublayer, the chain the layer.
func (x Filter) record() *record.FilterObject {
	f := &record.FilterObject{Type: record.FilterRule, Family: familyWFP, Table: x.Sublayer, Chain: x.Layer, Name: x.Key, Handle: x.ID, Policy: x.Action, Kind: strings.Join(x.Flags, ",")}
	f.Comment, _ = record.TextOf(x.Name)
	f.Exprs = append([]string{"weight=" + strconv.FormatUint(x.Weight, 10)}, x.Conditions...)
	if x.Provider != "" {
		f.Exprs = append(f.Exprs, "provider="+x.Provider)
	}
	if x.Unread != "" {
		f.Exprs = append(f.Exprs, "unread="+x.Unread)
	}
	return f
}
