package act

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
	"hozen/internal/capability"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// Selection says which endpoints a person means: those that any of its fields names.
type Selection struct {
	IncidentID string   `json:"incident,omitempty"` // endpoints of the incident
	Names      []string `json:"names,omitempty"`    // hit list: identifiers, labels, host names or addresses
	Tag        string   `json:"tag,omitempty"`
	Site       string   `json:"site,omitempty"`
	All        bool     `json:"all,omitempty"`
}

// maxNames bounds a hit list.
const maxNames = 10_000

// GroupOrder is a person's order to many endpoints.
type GroupOrder struct {
	Order
	Verb dispatch.Verb // Isolate or Release
	// Servers includes servers, which are left out otherwise.
	Servers bool
	// BreakGlass is why a guard rail is passed over; needed for every [GuardRail] of the
	// preview that stops.
	BreakGlass string
	// OperatorAddr is where the person sits; zero if not known.
	OperatorAddr netip.Addr
	// agreedGlass is why the second person passes over a guard rail.
	agreedGlass string
	// once refuses the order in its transaction. Optional.
	once func(ctx context.Context, d *deed) error
}

// LeftOut says why an endpoint that was selected gets no order.
type LeftOut string

// The reasons. The empty one means that it gets one.
const (
	LeftOutRevoked   LeftOut = "revoked"
	LeftOutNoAgent   LeftOut = "no_agent"  // known by a USB kit alone
	LeftOutServer    LeftOut = "server"    // not ticked
	LeftOutOldAgent  LeftOut = "old_agent" // does not know all of the order
	LeftOutIncapable LeftOut = "incapable" // its system cannot isolate
	LeftOutAlready   LeftOut = "already"   // a drill must not touch what is isolated in earnest
	LeftOutAway      LeftOut = "away"      // a drill waits for nobody
	LeftOutClosed    LeftOut = "closed"    // its incident was closed before it was cut
)

// GuardRail is a reason to think again before a group is cut.
type GuardRail string

// The guard rails that stop an order without a reason to pass them over.
const (
	RailShare         GuardRail = "share"          // more of the endpoints than the organisation allows at once
	RailCollectorHost GuardRail = "collector_host" // the collector runs there
	RailOperatorHere  GuardRail = "operator_here"  // the person who orders sits there
)

// GroupPreview is what an order to a group would do.
type GroupPreview struct {
	Members  []PreviewMember // in the order of their names
	Unknown  []string        // names of the hit list that nothing is called
	Rails    []GuardRail     // sorted
	Cut      int             // members that get the order
	Online   int             // of those, how many are there now
	Share    int             // percent of all endpoints that are enrolled
	MaxShare int
	// Two means that the order takes two persons.
	Two bool
	// Fingerprint stands for who is in it and what would break; an order names it.
	Fingerprint string

	stored map[string]endpoint.Endpoint // the members as they were read
}

// PreviewMember is one endpoint of a preview.
type PreviewMember struct {
	Endpoint endpoint.Endpoint
	LeftOut  LeftOut
	Hints    Hints
	Rails    []GuardRail
}

// PreviewGroup says what an order to a group would do, and what would break by it.
func (s *Acts) PreviewGroup(ctx context.Context, a Actor, sel Selection, o GroupOrder) (GroupPreview, error) {
	p := mayIsolate
	if o.Verb == dispatch.Release {
		p = mayRelease
	}
	preview, err := read(ctx, s, a, p, func(q sqldb.Queryer, a Actor) (GroupPreview, error) { return s.preview(ctx, q, a, sel, o) })
	if err != nil {
		return GroupPreview{}, err
	}
	if o.Verb == dispatch.Isolate {
		if s.recovery != nil {
			s.codes.expect(preview.Cut)
		}
		s.fillHints(ctx, a.OrganisationID, preview.Members)
		if preview.Cut >= manyAtOnce {
			go s.makeRoom()
		}
	}
	return preview, nil
}

// manyAtOnce is from how many endpoints on room is made for an order to them.
const manyAtOnce = 100

// makeRoom collects garbage while the person reads the preview, so that it need not be done
// while a thousand PCs wait for the order.
func (s *Acts) makeRoom() {
	if s.garbage.CompareAndSwap(false, true) {
		defer s.garbage.Store(false)
		runtime.GC()
	}
}

// preview selects the members. What would break is not part of it: that is read from
// evidence, which takes time.
func (s *Acts) preview(ctx context.Context, q sqldb.Queryer, a Actor, sel Selection, o GroupOrder) (GroupPreview, error) {
	if len(sel.Names) > maxNames && a.Kind != BySystem {
		return GroupPreview{}, &Invalid{Field: "names", Code: "too_many", Err: fmt.Errorf("%d names, at most %d are taken", len(sel.Names), maxNames)}
	}
	if err := notInDrill(ctx, q, a, sel, o); err != nil {
		return GroupPreview{}, err
	}
	all, err := endpoint.List(ctx, q, a.OrganisationID)
	if err != nil {
		return GroupPreview{}, err
	}
	tags, err := endpoint.Tags(ctx, q, a.OrganisationID)
	if err != nil {
		return GroupPreview{}, err
	}
	chosen, unknown, err := s.choose(ctx, q, a, sel, all, tags)
	if err != nil {
		return GroupPreview{}, err
	}
	settings, err := organisation.FindIsolation(ctx, q, a.OrganisationID)
	if err != nil {
		return GroupPreview{}, err
	}
	ordered, err := dispatch.Isolating(ctx, q, a.OrganisationID)
	if err != nil {
		return GroupPreview{}, err
	}
	pv := GroupPreview{Unknown: unknown, MaxShare: settings.MaxShare, stored: map[string]endpoint.Endpoint{}}
	enrolled, cut := 0, 0 // cut: those that are isolated already, or about to be
	rails := map[GuardRail]bool{}
	for _, e := range all {
		if e.RevokedAt.IsZero() && e.Origin != endpoint.ByKit {
			enrolled++
		}
		if !chosen[e.ID] {
			if e.RevokedAt.IsZero() && (ordered[e.ID] || e.Isolation.Desired == endpoint.Isolated) {
				cut++
			}
			continue
		}
		pv.stored[e.ID] = e
		e = s.asOfNow(e)
		e.Tags = tags[e.ID]
		m := PreviewMember{Endpoint: e, LeftOut: leftOut(e, o)}
		if m.LeftOut == "" && o.Isolation.Drill && ordered[e.ID] {
			m.LeftOut = LeftOutAlready
		}
		if m.LeftOut == "" {
			pv.Cut++
			if e.Online {
				pv.Online++
			}
			if o.Verb == dispatch.Isolate {
				m.Rails = s.rails(e, o)
			}
			for _, r := range m.Rails {
				rails[r] = true
			}
		}
		pv.Members = append(pv.Members, m)
	}
	if enrolled > 0 {
		pv.Share = ((pv.Cut+cut)*100 + enrolled - 1) / enrolled
	}
	if o.Verb == dispatch.Isolate && !o.Isolation.Drill && pv.Cut > 1 && pv.Share > pv.MaxShare {
		rails[RailShare] = true
	}
	now := s.now()
	if a.Kind == ByOperator && pv.Cut > 0 && needsTwo(settings, o, pv, now) {
		p := mayIsolate
		if o.Verb == dispatch.Release {
			p = mayRelease
		}
		pv.Two = true
		if rails[RailAlone], err = s.alone(ctx, q, a, p, now); err != nil {
			return GroupPreview{}, err
		}
		if !rails[RailAlone] {
			delete(rails, RailAlone)
		}
	}
	for r := range rails {
		pv.Rails = append(pv.Rails, r)
	}
	slices.Sort(pv.Rails)
	slices.SortFunc(pv.Members, func(a, b PreviewMember) int {
		return cmp.Or(strings.Compare(display(a.Endpoint), display(b.Endpoint)), strings.Compare(a.Endpoint.ID, b.Endpoint.ID))
	})
	pv.Fingerprint = fingerprint(pv, o)
	return pv, nil
}

// leftOut is why an endpoint would get no order.
func leftOut(e endpoint.Endpoint, o GroupOrder) LeftOut {
	switch {
	case !e.RevokedAt.IsZero():
		return LeftOutRevoked
	case e.Origin == endpoint.ByKit:
		return LeftOutNoAgent
	case o.Verb != dispatch.Isolate:
		return ""
	case e.Purpose == endpoint.Server && !o.Servers:
		return LeftOutServer
	case !o.Isolation.Plain() && capability.Number(e.Capability) < capability.Isolation:
		return LeftOutOldAgent
	case !e.LastSeenAt.IsZero() && e.Isolation.Observed != endpoint.Unknown && !e.Isolation.Capable:
		return LeftOutIncapable
	case o.Isolation.Drill && e.Isolation.Desired == endpoint.Isolated:
		return LeftOutAlready
	case o.Isolation.Drill && !e.Online:
		return LeftOutAway
	}
	return ""
}

// rails are the guard rails of one endpoint.
func (s *Acts) rails(e endpoint.Endpoint, o GroupOrder) []GuardRail {
	var rails []GuardRail
	addr := hostAddr(e.RemoteAddr)
	if !addr.IsValid() {
		return nil
	}
	if s.ownAddr != nil && s.ownAddr(addr) {
		rails = append(rails, RailCollectorHost)
	}
	if o.OperatorAddr.IsValid() && addr == o.OperatorAddr.Unmap() {
		rails = append(rails, RailOperatorHere)
	}
	return rails
}

// hostAddr is the address of "host", "host:port" or "[host]:port"; the zero address if
// it has none.
func hostAddr(remote string) netip.Addr {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		remote = host
	}
	a, err := netip.ParseAddr(remote)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// choose finds the endpoints of a selection, and the names that nothing is called.
func (s *Acts) choose(ctx context.Context, q sqldb.Queryer, a Actor, sel Selection, all []endpoint.Endpoint, tags map[string][]string) (map[string]bool, []string, error) {
	chosen := map[string]bool{}
	if sel.IncidentID != "" {
		inc, err := incident.Find(ctx, q, a.OrganisationID, sel.IncidentID)
		if err != nil {
			return nil, nil, err
		}
		for _, id := range inc.EndpointIDs {
			chosen[id] = true
		}
	}
	named := map[string][]string{}
	for _, e := range all {
		if sel.All || sel.Site != "" && e.Site == sel.Site || sel.Tag != "" && slices.Contains(tags[e.ID], sel.Tag) {
			chosen[e.ID] = true
		}
		if len(sel.Names) == 0 || !e.RevokedAt.IsZero() {
			continue
		}
		for _, n := range []string{e.ID, e.Label, e.Hostname, hostAddr(e.RemoteAddr).String()} {
			if n != "" {
				n = strings.ToLower(n)
				named[n] = append(named[n], e.ID)
			}
		}
	}
	var unknown []string
	for _, n := range sel.Names {
		if n = strings.TrimSpace(n); n == "" {
			continue
		}
		ids := named[strings.ToLower(n)]
		if len(ids) == 0 {
			unknown = append(unknown, n)
		}
		for _, id := range ids {
			chosen[id] = true
		}
	}
	return chosen, unknown, nil
}

// captureLimit is how long a group waits for the evidence of its slowest member before
// it is cut. A flash acquisition may take ten seconds.
const captureLimit = 15 * time.Second

// minGlass is how long the reason to pass a guard rail over is at least, in bytes.
const minGlass = 5

// OrderGroup gives an order to many endpoints: evidence everywhere, then the cut
// everywhere at one time ([Acts.RunGroups]). Who is away gets the order when it comes
// back. The order names the preview that was confirmed; if that has changed it is
// refused as [Invalid] with the field "confirmed" and the code "changed".
func (s *Acts) OrderGroup(ctx context.Context, a Actor, sel Selection, o GroupOrder) (group.Order, error) {
	if err := a.person(); err != nil {
		return group.Order{}, err
	}
	if o.Verb != dispatch.Isolate && o.Verb != dispatch.Release {
		return group.Order{}, &Invalid{Field: "verb", Code: "unknown", Err: fmt.Errorf("no group is ordered to %.20q", o.Verb)}
	}
	if err := errors.Join(text("reason", o.Reason, dispatch.MaxReason, true), text("break_glass", o.BreakGlass, dispatch.MaxReason, false)); err != nil {
		return group.Order{}, err
	}
	var err error
	if o.Verb == dispatch.Isolate {
		if o.Isolation, err = s.isolation(o.Isolation); err != nil { // each member gets a code of its own later
			return group.Order{}, err
		}
	}
	chosenBy, err := json.Marshal(sel)
	if err != nil {
		return group.Order{}, fmt.Errorf("order group: %w", err)
	}
	said, err := json.Marshal(o.Isolation)
	if err != nil {
		return group.Order{}, fmt.Errorf("order group: %w", err)
	}
	p := mayIsolate
	if o.Verb == dispatch.Release {
		p = mayRelease
	}
	var g group.Order
	err = s.write(ctx, a, p, func(ctx context.Context, d *deed) error {
		if o.once != nil {
			if err := o.once(ctx, d); err != nil {
				return err
			}
		}
		pv, err := s.preview(ctx, d.tx, d.actor, sel, o)
		if err != nil {
			return err
		}
		switch {
		case pv.Cut == 0:
			return &Invalid{Field: "names", Code: "nobody", Err: errors.New("nobody of the selection would get the order")}
		case o.Confirmed != pv.Fingerprint:
			return &Invalid{Field: "confirmed", Code: "changed", Err: errors.New("the group is not the one that was shown")}
		case len(pv.Rails) > 0 && len(strings.TrimSpace(o.BreakGlass)) < minGlass:
			return &Invalid{Field: "break_glass", Code: "required", Err: fmt.Errorf("needed because of %v", pv.Rails)}
		}
		g = group.Order{
			ID: id.New(id.Group), OrganisationID: d.actor.OrganisationID, Verb: string(o.Verb), Phase: group.Capturing, Reason: o.Reason,
			SelectedBy: string(chosenBy), Isolation: string(said), IsolateFirst: o.IsolateFirst, BreakGlass: o.BreakGlass,
			Issuer: d.actor.Name, IssuedBy: cmp.Or(d.actor.ID, string(d.actor.Kind)), IssuedAt: d.now,
		}
		second, err := s.groupSecond(ctx, d, o, pv, g.ID)
		if err != nil {
			return err
		}
		d.second = second
		if g.IncidentID, err = s.groupIncident(ctx, d, o, pv); err != nil {
			return err
		}
		facts := map[string]string{
			"verb": g.Verb, "selected_by": short(g.SelectedBy), "reason": g.Reason, "members": strconv.Itoa(pv.Cut), "online": strconv.Itoa(pv.Online),
			"share": strconv.Itoa(pv.Share), "break_glass_reason": g.BreakGlass, "drill": strings.TrimPrefix(strconv.FormatBool(o.Isolation.Drill), "false"),
		}
		maps.Copy(facts, second)
		if o.agreedGlass != "" {
			facts["agreed_glass_reason"] = o.agreedGlass
		}
		for _, r := range pv.Rails {
			facts["rail_"+string(r)] = "passed"
		}
		facts[group.Incident], facts[group.OrderSHA256] = ledger.OrNone(g.IncidentID), g.Short()
		if _, err := d.record(ctx, "group."+g.Verb, g.ID, facts); err != nil {
			return err
		}
		members, err := s.begin(ctx, d, g, o, pv)
		if err != nil {
			return err
		}
		if o.Verb == dispatch.Release || o.IsolateFirst || !slices.ContainsFunc(members, func(m group.Member) bool { return m.CaptureID != "" }) {
			if members, err = s.cutAll(ctx, d, g, members, pv.stored); err != nil {
				return err
			}
			g.Phase, g.CutAt = group.Ordered, d.now
		}
		d.tell(s, Event{Kind: EventIncident, IncidentID: g.IncidentID})
		if err := d.members(ctx, g, members); err != nil {
			return err
		}
		return group.Insert(ctx, d.tx, g, members)
	})
	var waits *SecondPerson
	if errors.As(err, &waits) && waits.Group == nil && waits.Asked.ID == "" {
		return group.Order{}, s.askGroup(ctx, a, sel, o)
	}
	if err != nil {
		return group.Order{}, err
	}
	s.pokeGroups()
	return g, nil
}

// members records who is in a group by now, and with which orders.
func (d *deed) members(ctx context.Context, g group.Order, members []group.Member) error {
	_, err := d.record(ctx, group.ActMembers, g.ID, map[string]string{"phase": string(g.Phase), "members": strconv.Itoa(len(members)), group.MembersSHA256: group.ShortMembers(members)})
	return err
}

// maxSelectedBy is how much of a selection the ledger keeps as it was written.
const maxSelectedBy = 512

// short is a selection for the ledger: of a long one its digest and size; the list itself
// stands with the group.
func short(selectedBy string) string {
	if len(selectedBy) <= maxSelectedBy {
		return selectedBy
	}
	return fmt.Sprintf("sha256:%s, %d bytes", digest.Of([]byte(selectedBy)), len(selectedBy))
}

// groupIncident finds the incident that the orders belong to, or opens one for them all.
func (s *Acts) groupIncident(ctx context.Context, d *deed, o GroupOrder, pv GroupPreview) (string, error) {
	if o.IncidentID != "" {
		inc, err := s.incidentOpen(ctx, d, o.IncidentID)
		return inc.ID, err
	}
	n := NewIncident{Title: titleOf(o.Reason, string(o.Verb)), Classification: incident.NotYet, Drill: o.Isolation.Drill}
	for _, m := range pv.Members {
		if m.LeftOut == "" {
			n.EndpointIDs = append(n.EndpointIDs, m.Endpoint.ID)
		}
	}
	inc, err := s.open(ctx, d, n)
	return inc.ID, err
}

// begin orders evidence from who is there, and gives who is away its order.
func (s *Acts) begin(ctx context.Context, d *deed, g group.Order, o GroupOrder, pv GroupPreview) ([]group.Member, error) {
	var members []group.Member
	var take []int // of members: those from which evidence is taken
	var asked []group.Member
	for _, pm := range pv.Members {
		m := group.Member{EndpointID: pm.Endpoint.ID, LeftOut: string(pm.LeftOut), Standing: !pm.Endpoint.Online}
		if m.LeftOut == "" && o.Verb == dispatch.Isolate && !o.IsolateFirst && !m.Standing {
			take, asked = append(take, len(members)), append(asked, m)
		}
		members = append(members, m)
	}
	if len(take) == 0 {
		return members, nil
	}
	all, err := s.many(ctx, d, g.IncidentID, asked, pv.stored)
	if err == nil {
		err = all.count(ctx, d, asked)
	}
	if err != nil {
		return nil, err
	}
	for _, i := range take {
		c, err := s.give(ctx, d, members[i].EndpointID, dispatch.Command{Verb: dispatch.Acquire, Profile: ProfileFlash}, Order{Reason: g.Reason, many: all})
		if err != nil {
			return nil, err
		}
		members[i].CaptureID = c.ID
	}
	return members, nil
}

// fingerprint stands for the members of a preview, its guard rails, and what the order
// leaves open.
func fingerprint(pv GroupPreview, o GroupOrder) string {
	b := fmt.Appendf(nil, "%s %s %t %t\n", o.Verb, cmp.Or(o.Isolation.Mode, dispatch.Standard), o.Isolation.Drill, o.IsolateFirst)
	for _, p := range o.Isolation.Permits {
		b = fmt.Appendf(b, "%s %s %d-%d\n", p.Network.Masked(), p.Protocol, p.First, p.Last)
	}
	for _, m := range pv.Members {
		if m.LeftOut == LeftOutAway {
			m.LeftOut = "" // comes and goes
		}
		b = fmt.Appendf(b, "%s=%s\n", m.Endpoint.ID, m.LeftOut)
	}
	for _, r := range pv.Rails {
		b = fmt.Appendf(b, "%s\n", r)
	}
	return digest.Of(b).String()[:16]
}
