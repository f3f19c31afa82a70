package record

// The values of NetConfig.Type; they say which other fields a line has.
const (
	NetInterface = "interface" // an interface
	NetAddress   = "address"   // an address of an interface
	NetRoute     = "route"     // a route of any table
	NetRule      = "rule"      // of routing policy: which table is asked for what
	NetNeighbour = "neighbour" // who answers for an address on the wire (ARP, ND)
	NetDNS       = "dns"       // one configuration file of the name resolver
	NetHosts     = "hosts"     // one line of /etc/hosts
)

// NetConfig is one fact of the network configuration, in one network namespace.
type NetConfig struct {
	Type    string `json:"type"`
	NetNS   uint64 `json:"ns_net,omitempty"`  // inode of the network namespace; 0 for files
	IfIndex int    `json:"ifindex,omitempty"` // interface, address, route, neighbour
	Iface   string `json:"iface,omitempty"`   // its name

	// Type "interface".
	Kind   string   `json:"kind,omitempty"` // such as veth, bridge, wireguard; absent for hardware
	MAC    string   `json:"mac,omitempty"`  // also of a neighbour
	MTU    int      `json:"mtu,omitempty"`
	Master int      `json:"master,omitempty"` // ifindex of the bridge or bond that it belongs to
	Parent int      `json:"parent,omitempty"` // ifindex that it stands on (VLAN, macvlan) or its veth peer
	Oper   string   `json:"oper,omitempty"`   // up, down, … as RFC 2863 names them
	Flags  []string `json:"flags,omitempty"`  // up, broadcast, loopback, pointtopoint, running, noarp, promisc, multicast
	Alias  string   `json:"alias,omitempty"`

	// Types "address", "route" and "neighbour". Addresses are without zone.
	Family      string `json:"family,omitempty"`  // inet, inet6
	Address     string `json:"address,omitempty"` // with the prefix length for type "address"
	Peer        string `json:"peer,omitempty"`    // far end of a point-to-point address
	Scope       string `json:"scope,omitempty"`   // global, site, link, host, nowhere
	Destination string `json:"destination,omitempty"`
	Gateway     string `json:"gateway,omitempty"`
	PrefSource  string `json:"pref_source,omitempty"`
	Table       uint32 `json:"table,omitempty"`  // 254 main, 255 local
	Metric      uint32 `json:"metric,omitempty"` // lower wins
	RouteType   string `json:"route_type,omitempty"`
	Protocol    string `json:"protocol,omitempty"` // who set it: kernel, boot, static, dhcp, ra, …
	State       string `json:"state,omitempty"`    // of a neighbour: reachable, stale, permanent, …; of an address: tentative, deprecated, permanent, …
	// ValidSeconds is how long an address stays valid; 0 when it has no end.
	ValidSeconds uint32 `json:"valid_s,omitempty"`

	// Type "rule" (ip-rule(8)), which has Family, Destination, Table, Protocol and, as the
	// device that a packet came in by, Iface. What is absent is not asked for.
	Priority uint32 `json:"priority,omitempty"` // lower comes first
	Action   string `json:"action,omitempty"`   // lookup, goto, nop, blackhole, unreachable, prohibit
	Source   string `json:"source,omitempty"`   // with the prefix length
	OutIface string `json:"out_iface,omitempty"`
	Goto     uint32 `json:"goto,omitempty"` // the priority at which to go on
	Mark     uint32 `json:"mark,omitempty"`
	MarkMask uint32 `json:"mark_mask,omitempty"`
	TOS      uint16 `json:"tos,omitempty"`
	UIDs     string `json:"uids,omitempty"`     // such as "1000-1000"
	IPProto  uint16 `json:"ip_proto,omitempty"` // such as 6 for TCP
	SrcPorts string `json:"src_ports,omitempty"`
	DstPorts string `json:"dst_ports,omitempty"`
	// SuppressPrefix leaves out what the table has with a prefix of at most that length.
	// It is written for a rule that has it, 0 too: 0 leaves out the default route.
	SuppressPrefix string `json:"suppress_prefix,omitempty"`
	Inverted       bool   `json:"inverted,omitempty"` // it is for what does not fit

	// Types "dns" and "hosts".
	File        string   `json:"file,omitempty"` // where it was read
	LinkTarget  string   `json:"link_target,omitempty"`
	Nameservers []string `json:"nameservers,omitempty"`
	Search      []string `json:"search,omitempty"`
	Options     []string `json:"options,omitempty"`
	Names       []string `json:"names,omitempty"` // of a hosts line; Address is what they stand for
	// Text is the whole file (type "dns"), so that nothing that was not understood is
	// lost. TextRaw are its exact bytes, or those of the line (type "hosts"), where they
	// are not UTF-8.
	Text    string `json:"text,omitempty"`
	TextRaw []byte `json:"text_b64,omitempty"`
	Cut     bool   `json:"cut,omitempty"` // the file was longer than what was read
}

// AppendJSON appends n as one JSON object.
func (n *NetConfig) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", n.Type)
	b = unum(b, "ns_net", n.NetNS)
	b = num(b, "ifindex", n.IfIndex)
	b = str(b, "iface", n.Iface)
	b = str(b, "kind", n.Kind)
	b = str(b, "mac", n.MAC)
	b = num(b, "mtu", n.MTU)
	b = num(b, "master", n.Master)
	b = num(b, "parent", n.Parent)
	b = str(b, "oper", n.Oper)
	b = strs(b, "flags", n.Flags)
	b = str(b, "alias", n.Alias)
	b = str(b, "family", n.Family)
	b = str(b, "address", n.Address)
	b = str(b, "peer", n.Peer)
	b = str(b, "scope", n.Scope)
	b = str(b, "destination", n.Destination)
	b = str(b, "gateway", n.Gateway)
	b = str(b, "pref_source", n.PrefSource)
	b = unum(b, "table", n.Table)
	b = unum(b, "metric", n.Metric)
	b = str(b, "route_type", n.RouteType)
	b = str(b, "protocol", n.Protocol)
	b = str(b, "state", n.State)
	b = unum(b, "valid_s", n.ValidSeconds)
	b = unum(b, "priority", n.Priority)
	b = str(b, "action", n.Action)
	b = str(b, "source", n.Source)
	b = str(b, "out_iface", n.OutIface)
	b = unum(b, "goto", n.Goto)
	b = unum(b, "mark", n.Mark)
	b = unum(b, "mark_mask", n.MarkMask)
	b = unum(b, "tos", n.TOS)
	b = str(b, "uids", n.UIDs)
	b = unum(b, "ip_proto", n.IPProto)
	b = str(b, "src_ports", n.SrcPorts)
	b = str(b, "dst_ports", n.DstPorts)
	b = str(b, "suppress_prefix", n.SuppressPrefix)
	b = flag(b, "inverted", n.Inverted)
	b = str(b, "file", n.File)
	b = str(b, "link_target", n.LinkTarget)
	b = strs(b, "nameservers", n.Nameservers)
	b = strs(b, "search", n.Search)
	b = strs(b, "options", n.Options)
	b = strs(b, "names", n.Names)
	b = str(b, "text", n.Text)
	b = b64(b, "text_b64", n.TextRaw)
	b = flag(b, "cut", n.Cut)
	return append(b, '}')
}
