package localapi

import (
	"context"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
	"hozen/collector/internal/organisation"
)

// Isolate is what an order to isolate says beyond its verb. Its zero value is the mode
// standard until somebody releases.
type Isolate struct {
	Mode          string    `json:"mode,omitempty"`           // standard, selective, full
	Permits       []Permit  `json:"permits,omitempty"`        // of selective
	Until         time.Time `json:"until,omitzero"`           // it ends by itself then
	ConfirmWithin int       `json:"confirm_within,omitempty"` // seconds; 0: the order counts at once
	Fallback      string    `json:"fallback,omitempty"`       // stay_closed, roll_back
	Notice        string    `json:"notice,omitempty"`         // for the person at the PC; empty: the organisation's
	Phone         string    `json:"phone,omitempty"`
	Drill         bool      `json:"drill,omitempty"`
}

// Permit is one way that stays open, as a person writes it.
type Permit struct {
	Target   string    `json:"target"` // address, network or host name
	Protocol string    `json:"protocol,omitempty"`
	Ports    string    `json:"ports"` // "443" or "8000-8010"
	Reason   string    `json:"reason"`
	Expires  time.Time `json:"expires"`
}

// isolation translates what was ordered; names are resolved here.
func (c *call) isolation(ctx context.Context, in Isolate) (dispatch.Isolation, error) {
	i := dispatch.Isolation{
		Mode: dispatch.Mode(in.Mode), Until: in.Until, ConfirmWithin: time.Duration(in.ConfirmWithin) * time.Second,
		Fallback: dispatch.Fallback(in.Fallback), Notice: dispatch.Notice{Text: in.Notice, Phone: in.Phone}, Drill: in.Drill,
	}
	var calls []act.PermitCall
	for _, p := range in.Permits {
		calls = append(calls, act.PermitCall{Target: p.Target, Protocol: p.Protocol, Ports: p.Ports, Reason: p.Reason, Expires: p.Expires})
	}
	var err error
	i.Permits, err = c.acts.Permits(ctx, calls)
	return i, err
}

// ReleaseCode is the answer of endpoint.release_code.
type ReleaseCode struct {
	Number    string    `json:"number"` // as the endpoint shows it
	Code      string    `json:"code"`   // to be spoken
	CommandID string    `json:"command_id"`
	OrderedAt time.Time `json:"ordered_at"`
}

// CodeOf is the request of endpoint.release_code.
type CodeOf struct {
	Ref    string `json:"ref"`
	Number string `json:"number"` // as the endpoint shows it
	Reason string `json:"reason"`
}

func endpointReleaseCode(ctx context.Context, c *call, in CodeOf) (any, error) {
	e, err := c.endpoint(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	s, err := c.acts.ShowReleaseCode(ctx, c.actor, e.ID, in.Number, in.Reason)
	return ReleaseCode(s), err
}

func endpointReleaseRefuse(ctx context.Context, c *call, in Ref) (any, error) {
	e, err := c.endpoint(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	return None{}, c.acts.RefuseRelease(ctx, c.actor, e.ID, in.Reason)
}

// IsolationEvent is something that happened to an isolation without an order.
type IsolationEvent struct {
	ID          string    `json:"id"`
	Kind        string    `json:"kind"`
	At          time.Time `json:"at"`
	ReceivedAt  time.Time `json:"received_at"`
	CommandID   string    `json:"command_id,omitempty"`
	By          string    `json:"by,omitempty"`
	Detail      string    `json:"detail,omitempty"`
	Differences []string  `json:"differences,omitempty"`
	Seen        []string  `json:"seen,omitempty"`
	Count       uint32    `json:"count"`
}

func endpointIsolationEvents(ctx context.Context, c *call, in Ref) (any, error) {
	e, err := c.endpoint(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	list, err := c.acts.IsolationEvents(ctx, c.actor, e.ID, 0)
	return views(list, func(e endpoint.IsolationEvent) IsolationEvent {
		return IsolationEvent{e.ID, string(e.Kind), e.At, e.ReceivedAt, e.CommandID, e.By, e.Detail, e.Differences, e.Seen, e.Count}
	}), err
}

// Place is the request of endpoint.place.
type Place struct {
	Ref     string   `json:"ref"`
	Site    string   `json:"site"`
	Purpose string   `json:"purpose"` // pc, server or empty
	Tags    []string `json:"tags"`
}

func endpointPlace(ctx context.Context, c *call, in Place) (any, error) {
	e, err := c.endpoint(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	return None{}, c.acts.PlaceEndpoint(ctx, c.actor, e.ID, act.Place{Site: in.Site, Purpose: endpoint.Purpose(in.Purpose), Tags: in.Tags})
}

// GroupOrder is the request of group.preview and group.order.
type GroupOrder struct {
	Select     act.Selection `json:"select"`
	Order      Order         `json:"order"`                 // isolate or release; its endpoint is not read
	Servers    bool          `json:"servers,omitempty"`     // servers too
	BreakGlass string        `json:"break_glass,omitempty"` // why guard rails are passed over
}

// GroupPreview is the answer of group.preview.
type GroupPreview struct {
	Members   []GroupMember `json:"members"`
	Unknown   []string      `json:"unknown,omitempty"`
	Rails     []string      `json:"rails,omitempty"` // share, collector_host, operator_here: each needs break_glass
	Cut       int           `json:"cut"`
	Online    int           `json:"online"`
	Share     int           `json:"share"` // percent
	MaxShare  int           `json:"max_share"`
	Confirmed string        `json:"confirmed"` // says in an order that this was seen
}

// GroupMember is one endpoint of a group.
type GroupMember struct {
	Endpoint Endpoint      `json:"endpoint"`
	LeftOut  string        `json:"left_out,omitempty"`
	Services []Service     `json:"services,omitempty"` // what others use of it
	Rails    []string      `json:"rails,omitempty"`
	Standing bool          `json:"standing,omitempty"` // its order waits for it
	Result   *group.Result `json:"result,omitempty"`
	Ended    string        `json:"ended,omitempty"` // how it ended without an order
	EndedAt  time.Time     `json:"ended_at,omitzero"`
	Capture  *Command      `json:"capture,omitempty"`
	Command  *Command      `json:"command,omitempty"`
}

// Service is what others use of an endpoint.
type Service struct {
	Code    string `json:"code"`
	Clients int    `json:"clients"`
}

// Group is an order to many endpoints.
type Group struct {
	ID         string        `json:"id"`
	Verb       string        `json:"verb"`
	Phase      string        `json:"phase"` // capturing, ordered
	Reason     string        `json:"reason"`
	IncidentID string        `json:"incident_id,omitempty"`
	Issuer     string        `json:"issuer"`
	IssuedAt   time.Time     `json:"issued_at"`
	CutAt      time.Time     `json:"cut_at,omitzero"`
	BreakGlass string        `json:"break_glass,omitempty"`
	Drill      bool          `json:"drill,omitempty"`
	Members    []GroupMember `json:"members,omitempty"`
}

func viewGroup(o group.Order) Group {
	return Group{ID: o.ID, Verb: o.Verb, Phase: string(o.Phase), Reason: o.Reason, IncidentID: o.IncidentID, Issuer: o.Issuer, IssuedAt: o.IssuedAt, CutAt: o.CutAt, BreakGlass: o.BreakGlass, Drill: o.Drill}
}

func (c *call) groupOrder(ctx context.Context, in GroupOrder) (act.GroupOrder, error) {
	i, err := c.isolation(ctx, in.Order.Isolation)
	return act.GroupOrder{Verb: dispatch.Verb(in.Order.Verb), Servers: in.Servers, BreakGlass: in.BreakGlass,
		Order: act.Order{Reason: in.Order.Reason, IncidentID: in.Order.Incident, IsolateFirst: in.Order.IsolateFirst, Isolation: i, Confirmed: in.Order.Confirmed}}, err
}

func groupPreview(ctx context.Context, c *call, in GroupOrder) (any, error) {
	o, err := c.groupOrder(ctx, in)
	if err != nil {
		return nil, err
	}
	pv, err := c.acts.PreviewGroup(ctx, c.actor, in.Select, o)
	if err != nil {
		return nil, err
	}
	out := GroupPreview{Unknown: pv.Unknown, Cut: pv.Cut, Online: pv.Online, Share: pv.Share, MaxShare: pv.MaxShare, Confirmed: pv.Fingerprint}
	for _, r := range pv.Rails {
		out.Rails = append(out.Rails, string(r))
	}
	out.Members = views(pv.Members, func(m act.PreviewMember) GroupMember {
		v := GroupMember{Endpoint: viewEndpoint(m.Endpoint), LeftOut: string(m.LeftOut)}
		for _, r := range m.Rails {
			v.Rails = append(v.Rails, string(r))
		}
		for _, h := range m.Hints.Services {
			v.Services = append(v.Services, Service{string(h.Code), h.Clients})
		}
		return v
	})
	return out, nil
}

func groupOrder(ctx context.Context, c *call, in GroupOrder) (any, error) {
	o, err := c.groupOrder(ctx, in)
	if err != nil {
		return nil, err
	}
	g, err := c.acts.OrderGroup(ctx, c.actor, in.Select, o)
	return viewGroup(g), err
}

func groupList(ctx context.Context, c *call, _ None) (any, error) {
	list, err := c.acts.Groups(ctx, c.actor, 0)
	return views(list, viewGroup), err
}

func groupShow(ctx context.Context, c *call, in Ref) (any, error) {
	g, members, err := c.acts.Group(ctx, c.actor, strings.TrimSpace(in.Ref))
	if err != nil {
		return nil, err
	}
	v := viewGroup(g)
	v.Members = views(members, func(m act.GroupMember) GroupMember {
		out := GroupMember{Endpoint: viewEndpoint(m.Endpoint), LeftOut: m.LeftOut, Standing: m.Standing, Result: m.Result, Ended: m.Ended, EndedAt: m.EndedAt}
		if m.Capture != nil {
			c := viewCommand(*m.Capture)
			out.Capture = &c
		}
		if m.Command != nil {
			c := viewCommand(*m.Command)
			out.Command = &c
		}
		return out
	})
	return v, nil
}

// Settings is how the organisation isolates: the answer of isolation.settings and the
// request of isolation.settle.
type Settings struct {
	TwoPersons  bool   `json:"two_persons"`
	NoticeText  string `json:"notice_text"`
	NoticePhone string `json:"notice_phone"`
	LeaseHours  int    `json:"lease_hours"`
	MaxShare    int    `json:"max_share"`  // percent
	DrillDays   int    `json:"drill_days"` // between scheduled drills; 0: none
	DrillHour   int    `json:"drill_hour"` // 0 to 23, in Japan
}

func isolationSettings(ctx context.Context, c *call, _ None) (any, error) {
	i, err := c.acts.IsolationSettings(ctx, c.actor)
	return Settings{i.TwoPersons, i.NoticeText, i.NoticePhone, int(i.Lease / time.Hour), i.MaxShare, i.DrillDays, i.DrillHour}, err
}

func isolationSettle(ctx context.Context, c *call, in Settings) (any, error) {
	was, err := c.acts.IsolationSettings(ctx, c.actor)
	if err != nil {
		return nil, err
	}
	return None{}, c.acts.SetIsolationSettings(ctx, c.actor, organisation.Isolation{
		TwoPersons: in.TwoPersons, NoticeText: in.NoticeText, NoticePhone: in.NoticePhone, Lease: time.Duration(in.LeaseHours) * time.Hour, MaxShare: in.MaxShare,
		DrillDays: in.DrillDays, DrillHour: in.DrillHour, TwoShare: was.TwoShare, // which is set in the console
	})
}
