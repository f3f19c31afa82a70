package record

import "time"

// SchemaDNSCache is what the PC's own resolver remembers.
const SchemaDNSCache = "hozen.dnscache/1"

// DNSCache is one name that the resolver was asked for, and what it remembers of the
// answer.
type DNSCache struct {
	Resolver string `json:"resolver"`           // systemd-resolved
	Protocol string `json:"protocol,omitempty"` // dns, mdns, llmnr
	Iface    string `json:"iface,omitempty"`
	IfIndex  int    `json:"ifindex,omitempty"`
	Name     string `json:"name"`
	NameRaw  []byte `json:"name_b64,omitempty"`
	Class    int    `json:"class"`           // 1 for the Internet
	Kind     string `json:"kind"`            // A, AAAA, CNAME, … or a number (RFC 1035, 3.2.2)
	State    string `json:"state,omitempty"` // of what does not exist: nxdomain, nodata, servfail, …
	// Answers are addresses and names; of other kinds they are absent, and Raw has them.
	Answers []string `json:"answers,omitempty"`
	// Raw are the answers as they came (RFC 1035, 3.2.1), one after the other.
	Raw [][]byte `json:"raw_b64,omitempty"`
	// Until is when it is forgotten, from the resolver's time since boot and the clock as it
	// stands now.
	Until   time.Time `json:"until_derived,omitzero"`
	UntilNS uint64    `json:"until_boot_ns,omitempty"`
}

// AppendJSON appends d as one JSON object.
func (d *DNSCache) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "resolver", d.Resolver)
	b = str(b, "protocol", d.Protocol)
	b = str(b, "iface", d.Iface)
	b = num(b, "ifindex", d.IfIndex)
	b = strAlways(b, "name", d.Name)
	b = b64(b, "name_b64", d.NameRaw)
	b = numAlways(b, "class", d.Class)
	b = strAlways(b, "kind", d.Kind)
	b = str(b, "state", d.State)
	b = strs(b, "answers", d.Answers)
	b = b64s(b, "raw_b64", d.Raw)
	b = when(b, "until_derived", d.Until)
	return append(unum(b, "until_boot_ns", d.UntilNS), '}')
}
