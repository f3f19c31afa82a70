package record

import "time"

// SchemaIsolation is the format of what was measured of a network isolation.
const SchemaIsolation = "hozen.isolation/1"

// Isolation is one measurement of a network isolation, with what had just been done or
// happened: the order, what the kernel was found to enforce, and what was tried through
// it. An artifact has one line of it.
type Isolation struct {
	// Occasion is why it was measured: "isolate" or "release" for an order, "resume" for an
	// agent that found itself isolated at its first start in a boot, else what happened
	// without an order: "drift", "not_in_force", "released_by_code",
	// "released_by_time", "rolled_back", "record_lost", "leak", "permit_ended", "tunnel_changed", "others_rules",
	// "released_by_uninstall".
	Occasion string `json:"occasion"`
	// Of what happened without an order: when, by whom, how often since it was last told.
	EventID     string    `json:"event_id,omitempty"`
	EventAt     time.Time `json:"event_at,omitzero"`
	EventBy     string    `json:"event_by,omitempty"`
	EventDetail string    `json:"event_detail,omitempty"`
	EventCount  int       `json:"event_count,omitempty"`
	// Drift is what was found otherwise than ordered and was put right, Seen what the
	// kernel told of it while it happened.
	Drift []string `json:"drift,omitempty"`
	Seen  []string `json:"seen,omitempty"`

	// What was ordered last. Desired is "released" or "isolated".
	Desired    string    `json:"desired"`
	CommandID  string    `json:"command_id,omitempty"`
	OrderedAt  time.Time `json:"ordered_at,omitzero"`
	Persisted  bool      `json:"persisted,omitempty"`   // the order outlives a restart
	RecordLost bool      `json:"record_lost,omitempty"` // what was ordered is not known; kept closed
	Drill      bool      `json:"drill,omitempty"`
	Before     string    `json:"before,omitempty"` // the capture before the cut: done, failed, timed_out, skipped

	// What stays open. Of a release it is what was open before it.
	Mode        string            `json:"mode,omitempty"` // standard, selective, full
	Collectors  []string          `json:"collectors,omitempty"`
	Permits     []IsolationPermit `json:"permits,omitempty"`
	Tunnels     []IsolationTunnel `json:"tunnels,omitempty"`
	DHCPServers []string          `json:"dhcp_servers,omitempty"`
	Mark        uint32            `json:"mark,omitempty"` // SO_MARK that packets to the collector need

	// How it ends.
	Until       time.Time        `json:"until,omitzero"`
	LeaseUntil  time.Time        `json:"lease_until,omitzero"`
	LeaseLapsed bool             `json:"lease_lapsed,omitempty"`
	CodeNumber  string           `json:"code_number,omitempty"` // of the code that ends it at the PC
	Confirm     IsolationConfirm `json:"confirm,omitzero"`
	Ended       IsolationEnded   `json:"ended,omitzero"`

	// What was measured. Observed is "released", "isolating", "isolated", "releasing",
	// "failed" or "unknown".
	Observed   string           `json:"observed"`
	Reason     string           `json:"reason,omitempty"` // stable code, of failed and unknown
	Detail     string           `json:"detail,omitempty"`
	Capable    bool             `json:"capable,omitempty"` // this process can isolate at all
	MeasuredAt time.Time        `json:"measured_at,omitzero"`
	Present    bool             `json:"present,omitempty"`         // rules of ours exist
	Complete   bool             `json:"complete,omitempty"`        // all that was asked for and that the kernel can do
	Digest     string           `json:"rules_sha256,omitempty"`    // of the normalised rules as read back
	Expected   string           `json:"expected_sha256,omitempty"` // of those asked for
	Held       string           `json:"held,omitempty"`            // who may change them: here, elsewhere, nobody; absent: every administrator
	Tables     []string         `json:"tables,omitempty"`
	Links      []IsolationLink  `json:"links,omitempty"`
	Drops      []IsolationDrop  `json:"drops,omitempty"`
	Gaps       []string         `json:"gaps,omitempty"`   // in force otherwise than asked for
	Limits     []string         `json:"limits,omitempty"` // what this kernel cannot do
	WayHome    IsolationWayHome `json:"way_home,omitzero"`
	// Severed sums up the connections that existed at the cut; hozen.severed/1 lists them.
	Severed IsolationSevered `json:"severed,omitzero"`
	Trials  []IsolationTrial `json:"trials,omitempty"`
	// Others says after a release whether packet filter rules of others are as before the cut:
	// "same", "differs", "unknown". OthersBefore and OthersAfter have a line for each of their
	// tables, its name and SHA-256; OthersDifferences are those that differ, or why nothing is
	// known.
	Others            string   `json:"others,omitempty"`
	OthersBefore      []string `json:"others_before,omitempty"`
	OthersAfter       []string `json:"others_after,omitempty"`
	OthersDifferences []string `json:"others_differences,omitempty"`
}

// IsolationPermit is one way that stays open in selective mode.
type IsolationPermit struct {
	Network   string    `json:"network"`
	Protocol  string    `json:"protocol"` // tcp, udp
	FirstPort uint16    `json:"first_port"`
	LastPort  uint16    `json:"last_port"`
	Reason    string    `json:"reason,omitempty"`
	Host      string    `json:"host,omitempty"` // from which the collector made the network
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// IsolationTunnel is the outer end of a tunnel that leads to the collector.
type IsolationTunnel struct {
	Address  string    `json:"address"`
	Protocol uint16    `json:"protocol"`           // of IP: 4, 6 (TCP), 17 (UDP), 41, 47
	Port     uint16    `json:"port,omitempty"`     // the other end's, with TCP and UDP
	OwnPort  uint16    `json:"own_port,omitempty"` // ours, where the other end sends from any of its own
	Link     string    `json:"link,omitempty"`     // the tunnel's device
	Why      string    `json:"why,omitempty"`      // how it was found
	Since    time.Time `json:"since,omitzero"`
	Proved   bool      `json:"proved,omitempty"` // the collector was reached by it
}

// IsolationConfirm is how far the order was confirmed by a connection through the rules.
type IsolationConfirm struct {
	WithinNS int64     `json:"within_ns,omitempty"`
	By       time.Time `json:"by,omitzero"`
	Else     string    `json:"else,omitempty"` // stay_closed, roll_back
	At       time.Time `json:"at,omitzero"`
	MissedAt time.Time `json:"missed_at,omitzero"`
}

// IsolationEnded is how the last isolation ended without an order.
type IsolationEnded struct {
	CommandID string    `json:"command_id,omitempty"`
	How       string    `json:"how,omitempty"` // as Isolation.Occasion
	At        time.Time `json:"at,omitzero"`
	By        string    `json:"by,omitempty"`
}

// IsolationLink is the cover of one network device; false is a gap or a limit.
type IsolationLink struct {
	Name    string `json:"name"`
	Ingress bool   `json:"ingress,omitempty"`
	Egress  bool   `json:"egress,omitempty"`
}

// IsolationDrop counts what one chain dropped since the policy was put in force.
type IsolationDrop struct {
	Chain   string `json:"chain"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// IsolationWayHome is the last attempt to reach the collector through the rules.
type IsolationWayHome struct {
	OK     bool      `json:"ok,omitempty"`
	At     time.Time `json:"at,omitzero"`
	Detail string    `json:"detail,omitempty"`
}

// IsolationSevered sums up what came of the connections that existed at the cut.
type IsolationSevered struct {
	At          time.Time `json:"at,omitzero"`
	TookNS      int64     `json:"took_ns,omitempty"`
	Destroyed   int       `json:"destroyed,omitempty"`
	Gone        int       `json:"gone,omitempty"`
	Failed      int       `json:"failed,omitempty"`
	Omitted     int       `json:"omitted,omitempty"` // not listed
	Unsupported bool      `json:"unsupported,omitempty"`
	Detail      string    `json:"detail,omitempty"`
}

// IsolationTrial is one thing that was tried through the rules.
type IsolationTrial struct {
	Name    string    `json:"name"`    // tcp4, dns6, raw4, loopback4, collector, …
	Outcome string    `json:"outcome"` // as_ordered, contrary, unknown
	Reason  string    `json:"reason,omitempty"`
	Target  string    `json:"target,omitempty"`
	At      time.Time `json:"at,omitzero"`
	TookNS  int64     `json:"took_ns,omitempty"`
	Chain   string    `json:"chain,omitempty"`   // that should drop it
	Dropped uint64    `json:"dropped,omitempty"` // how many packets that dropped meanwhile
}

// AppendJSON appends o as one JSON object.
func (o *Isolation) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "occasion", o.Occasion)
	b = str(b, "event_id", o.EventID)
	b = when(b, "event_at", o.EventAt)
	b = str(b, "event_by", o.EventBy)
	b = str(b, "event_detail", o.EventDetail)
	b = num(b, "event_count", o.EventCount)
	b = strs(b, "drift", o.Drift)
	b = strs(b, "seen", o.Seen)
	b = strAlways(b, "desired", o.Desired)
	b = str(b, "command_id", o.CommandID)
	b = when(b, "ordered_at", o.OrderedAt)
	b = flag(b, "persisted", o.Persisted)
	b = flag(b, "record_lost", o.RecordLost)
	b = flag(b, "drill", o.Drill)
	b = str(b, "before", o.Before)
	b = str(b, "mode", o.Mode)
	b = strs(b, "collectors", o.Collectors)
	b = list(b, "permits", o.Permits, (*IsolationPermit).append)
	b = list(b, "tunnels", o.Tunnels, (*IsolationTunnel).append)
	b = strs(b, "dhcp_servers", o.DHCPServers)
	b = unum(b, "mark", o.Mark)
	b = when(b, "until", o.Until)
	b = when(b, "lease_until", o.LeaseUntil)
	b = flag(b, "lease_lapsed", o.LeaseLapsed)
	b = str(b, "code_number", o.CodeNumber)
	if o.Confirm != (IsolationConfirm{}) {
		b = o.Confirm.append(key(b, "confirm"))
	}
	if o.Ended != (IsolationEnded{}) {
		b = o.Ended.append(key(b, "ended"))
	}
	b = strAlways(b, "observed", o.Observed)
	b = str(b, "reason", o.Reason)
	b = str(b, "detail", o.Detail)
	b = flag(b, "capable", o.Capable)
	b = when(b, "measured_at", o.MeasuredAt)
	b = flag(b, "present", o.Present)
	b = flag(b, "complete", o.Complete)
	b = str(b, "rules_sha256", o.Digest)
	b = str(b, "expected_sha256", o.Expected)
	b = str(b, "held", o.Held)
	b = strs(b, "tables", o.Tables)
	b = list(b, "links", o.Links, (*IsolationLink).append)
	b = list(b, "drops", o.Drops, (*IsolationDrop).append)
	b = strs(b, "gaps", o.Gaps)
	b = strs(b, "limits", o.Limits)
	if o.WayHome != (IsolationWayHome{}) {
		b = o.WayHome.append(key(b, "way_home"))
	}
	if o.Severed != (IsolationSevered{}) {
		b = o.Severed.append(key(b, "severed"))
	}
	b = list(b, "trials", o.Trials, (*IsolationTrial).append)
	b = str(b, "others", o.Others)
	b = strs(b, "others_before", o.OthersBefore)
	b = strs(b, "others_after", o.OthersAfter)
	b = strs(b, "others_differences", o.OthersDifferences)
	return append(b, '}')
}

// list appends a list of objects; the empty list is left out.
func list[T any](b []byte, name string, v []T, one func(*T, []byte) []byte) []byte {
	if len(v) == 0 {
		return b
	}
	b = append(key(b, name), '[')
	for i := range v {
		b = one(&v[i], comma(b, i))
	}
	return append(b, ']')
}

func (p *IsolationPermit) append(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "network", p.Network)
	b = strAlways(b, "protocol", p.Protocol)
	b = unumAlways(b, "first_port", p.FirstPort)
	b = unumAlways(b, "last_port", p.LastPort)
	b = str(b, "reason", p.Reason)
	b = str(b, "host", p.Host)
	b = when(b, "expires_at", p.ExpiresAt)
	return append(b, '}')
}

func (t *IsolationTunnel) append(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "address", t.Address)
	b = unumAlways(b, "protocol", t.Protocol)
	b = unum(b, "port", t.Port)
	b = unum(b, "own_port", t.OwnPort)
	b = str(b, "link", t.Link)
	b = str(b, "why", t.Why)
	b = when(b, "since", t.Since)
	b = flag(b, "proved", t.Proved)
	return append(b, '}')
}

func (c *IsolationConfirm) append(b []byte) []byte {
	b = append(b, '{')
	b = num(b, "within_ns", c.WithinNS)
	b = when(b, "by", c.By)
	b = str(b, "else", c.Else)
	b = when(b, "at", c.At)
	b = when(b, "missed_at", c.MissedAt)
	return append(b, '}')
}

func (e *IsolationEnded) append(b []byte) []byte {
	b = append(b, '{')
	b = str(b, "command_id", e.CommandID)
	b = str(b, "how", e.How)
	b = when(b, "at", e.At)
	b = str(b, "by", e.By)
	return append(b, '}')
}

func (l *IsolationLink) append(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "name", l.Name)
	b = flag(b, "ingress", l.Ingress)
	b = flag(b, "egress", l.Egress)
	return append(b, '}')
}

func (d *IsolationDrop) append(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "chain", d.Chain)
	b = unumAlways(b, "packets", d.Packets)
	b = unumAlways(b, "bytes", d.Bytes)
	return append(b, '}')
}

func (w *IsolationWayHome) append(b []byte) []byte {
	b = append(b, '{')
	b = flag(b, "ok", w.OK)
	b = when(b, "at", w.At)
	b = str(b, "detail", w.Detail)
	return append(b, '}')
}

func (s *IsolationSevered) append(b []byte) []byte {
	b = append(b, '{')
	b = when(b, "at", s.At)
	b = num(b, "took_ns", s.TookNS)
	b = num(b, "destroyed", s.Destroyed)
	b = num(b, "gone", s.Gone)
	b = num(b, "failed", s.Failed)
	b = num(b, "omitted", s.Omitted)
	b = flag(b, "unsupported", s.Unsupported)
	b = str(b, "detail", s.Detail)
	return append(b, '}')
}

func (t *IsolationTrial) append(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "name", t.Name)
	b = strAlways(b, "outcome", t.Outcome)
	b = str(b, "reason", t.Reason)
	b = str(b, "target", t.Target)
	b = when(b, "at", t.At)
	b = num(b, "took_ns", t.TookNS)
	b = str(b, "chain", t.Chain)
	b = unum(b, "dropped", t.Dropped)
	return append(b, '}')
}
