package record

import "time"

// The schemas of the packet filter.
const (
	SchemaNetfilter = "hozen.netfilter/1"
	SchemaConntrack = "hozen.conntrack/1"
)

// The values of FilterObject.Type.
const (
	FilterTable    = "table"
	FilterChain    = "chain"
	FilterRule     = "rule"
	FilterSet      = "set"
	FilterElements = "elements" // some of a set, as many as the kernel put into one message
	FilterObj      = "object"   // a named counter, quota, limit, helper, …
	FilterFlow     = "flowtable"
	FilterLegacy   = "legacy_table" // of iptables without nf_tables
	// A chain and a rule of one of those of IPv4 and IPv6.
	FilterLegacyChain = "legacy_chain"
	FilterLegacyRule  = "legacy_rule"
)

// FilterObject is one thing of the packet filter of the agent's network namespace. The
// fields are those that a reader looks for first; Raw is all of it.
type FilterObject struct {
	Type     string `json:"type"`
	Family   string `json:"family"` // inet, ip, ip6, arp, bridge, netdev
	Table    string `json:"table"`
	Chain    string `json:"chain,omitempty"` // also the chain of a rule
	Name     string `json:"name,omitempty"`  // of a set, object or flow table
	Handle   uint64 `json:"handle,omitempty"`
	Kind     string `json:"kind,omitempty"`     // of a base chain: filter, nat, route
	Hook     string `json:"hook,omitempty"`     // of a base chain: input, output, …
	Priority int    `json:"priority,omitempty"` // of a base chain; lower comes first
	Policy   string `json:"policy,omitempty"`   // of a base chain: accept, drop
	Device   string `json:"device,omitempty"`
	// Exprs are a rule's expressions by their names, in order; of one that iptables made
	// also the name of its match or target, and of a verdict what it is.
	Exprs   []string `json:"exprs,omitempty"`
	Packets uint64   `json:"packets,omitempty"` // of a rule's or chain's counter
	Bytes   uint64   `json:"bytes,omitempty"`
	Comment string   `json:"comment,omitempty"`
	// Of a legacy rule, what it is for; a "!" before a value: for all others.
	Src   string `json:"src,omitempty"` // with the prefix length, or a mask that has holes
	Dst   string `json:"dst,omitempty"`
	In    string `json:"in,omitempty"` // interfaces; a "+" at the end: all that begin so
	Out   string `json:"out,omitempty"`
	Proto string `json:"proto,omitempty"`
	// Raw are the netlink attributes as the kernel sent them (linux/netfilter/nf_tables.h), or
	// the entry of a legacy rule (struct ipt_entry, ip6t_entry), in the endpoint's byte order.
	Raw []byte `json:"raw_b64,omitempty"`
}

// AppendJSON appends f as one JSON object.
func (f *FilterObject) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", f.Type)
	b = strAlways(b, "family", f.Family)
	b = strAlways(b, "table", f.Table)
	b = str(b, "chain", f.Chain)
	b = str(b, "name", f.Name)
	b = unum(b, "handle", f.Handle)
	b = str(b, "kind", f.Kind)
	b = str(b, "hook", f.Hook)
	b = num(b, "priority", f.Priority)
	b = str(b, "policy", f.Policy)
	b = str(b, "device", f.Device)
	b = strs(b, "exprs", f.Exprs)
	b = unum(b, "packets", f.Packets)
	b = unum(b, "bytes", f.Bytes)
	b = str(b, "comment", f.Comment)
	b = str(b, "src", f.Src)
	b = str(b, "dst", f.Dst)
	b = str(b, "in", f.In)
	b = str(b, "out", f.Out)
	b = str(b, "proto", f.Proto)
	return append(b64(b, "raw_b64", f.Raw), '}')
}

// Flow is one connection that the packet filter follows, in the agent's network
// namespace: also those that others make through this PC.
type Flow struct {
	Family  string `json:"family"` // inet, inet6
	Proto   string `json:"proto"`  // tcp, udp, icmp, … or a number
	Src     string `json:"src"`
	SrcPort uint16 `json:"src_port,omitempty"`
	Dst     string `json:"dst"`
	DstPort uint16 `json:"dst_port,omitempty"`
	// Reply… are how answers look; other addresses than above show a translation (NAT).
	ReplySrc     string   `json:"reply_src"`
	ReplySrcPort uint16   `json:"reply_src_port,omitempty"`
	ReplyDst     string   `json:"reply_dst"`
	ReplyDstPort uint16   `json:"reply_dst_port,omitempty"`
	State        string   `json:"state,omitempty"`  // of TCP
	Status       []string `json:"status,omitempty"` // seen_reply, assured, confirmed, src_nat, dst_nat, dying, …
	Timeout      uint32   `json:"timeout_s"`        // until it is forgotten
	Mark         uint32   `json:"mark,omitempty"`
	Zone         uint16   `json:"zone,omitempty"`
	ID           uint32   `json:"id,omitempty"`
	Helper       string   `json:"helper,omitempty"`
	// Packets and Bytes are counted where the system is set to, in both directions.
	Packets      uint64 `json:"packets,omitempty"`
	Bytes        uint64 `json:"bytes,omitempty"`
	ReplyPackets uint64 `json:"reply_packets,omitempty"`
	ReplyBytes   uint64 `json:"reply_bytes,omitempty"`
	// Since is when it began, where the system is set to note it.
	Since time.Time `json:"since,omitzero"`
}

// AppendJSON appends f as one JSON object.
func (f *Flow) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "family", f.Family)
	b = strAlways(b, "proto", f.Proto)
	b = strAlways(b, "src", f.Src)
	b = unum(b, "src_port", f.SrcPort)
	b = strAlways(b, "dst", f.Dst)
	b = unum(b, "dst_port", f.DstPort)
	b = strAlways(b, "reply_src", f.ReplySrc)
	b = unum(b, "reply_src_port", f.ReplySrcPort)
	b = strAlways(b, "reply_dst", f.ReplyDst)
	b = unum(b, "reply_dst_port", f.ReplyDstPort)
	b = str(b, "state", f.State)
	b = strs(b, "status", f.Status)
	b = unumAlways(b, "timeout_s", f.Timeout)
	b = unum(b, "mark", f.Mark)
	b = unum(b, "zone", f.Zone)
	b = unum(b, "id", f.ID)
	b = str(b, "helper", f.Helper)
	b = unum(b, "packets", f.Packets)
	b = unum(b, "bytes", f.Bytes)
	b = unum(b, "reply_packets", f.ReplyPackets)
	b = unum(b, "reply_bytes", f.ReplyBytes)
	return append(when(b, "since", f.Since), '}')
}
