package localapi

import (
	"context"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/exhibit"
)

// Party is who gives or takes.
type Party struct {
	Person       string `json:"person,omitempty"`
	Organisation string `json:"organisation,omitempty"`
}

// Medium is what evidence was carried on.
type Medium struct {
	Type   string `json:"type,omitempty"`
	Serial string `json:"serial,omitempty"`
	SealNo string `json:"seal_no,omitempty"`
}

// CustodyEvent is one line of the custody record.
type CustodyEvent struct {
	Seq        int64     `json:"seq"`
	Type       string    `json:"type"`
	At         time.Time `json:"at"`
	Clock      string    `json:"clock,omitempty"` // "endpoint": at is by that clock
	Whole      bool      `json:"whole_incident,omitempty"`
	From       Party     `json:"from,omitzero"`
	To         Party     `json:"to,omitzero"`
	Place      string    `json:"place,omitempty"`
	Medium     Medium    `json:"medium,omitzero"`
	Carrier    string    `json:"carrier,omitempty"`
	TrackingNo string    `json:"tracking_no,omitempty"`
	Purpose    string    `json:"purpose,omitempty"`
	HashBefore string    `json:"hash_before,omitempty"`
	HashAfter  string    `json:"hash_after,omitempty"`
	Result     string    `json:"result,omitempty"`
	Witness    string    `json:"witness,omitempty"`
	Text       string    `json:"text,omitempty"`
	RecordedAt time.Time `json:"recorded_at"`
	By         string    `json:"by"`
	LedgerIdx  int64     `json:"ledger_index"`
}

func viewEvent(e exhibit.Event) CustodyEvent {
	return CustodyEvent{e.Seq, string(e.Type), e.At, e.Clock, e.ItemID == "", Party(e.From), Party(e.To), e.Place, Medium(e.Medium), e.Carrier, e.TrackingNo,
		e.Purpose, e.HashBefore, e.HashAfter, e.Result, e.Witness, e.Text, e.RecordedAt, e.ActorName, e.LedgerIdx}
}

// CustodyGap is an interval in which custody is not shown.
type CustodyGap struct {
	Exhibit string    `json:"exhibit"`
	Code    string    `json:"code"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to,omitzero"` // absent while it lasts
	Seq     int64     `json:"seq"`         // of the event that shows it
	Holder  Party     `json:"holder,omitzero"`
	Named   Party     `json:"named,omitzero"`
}

func viewGap(number string, g exhibit.Gap) CustodyGap {
	return CustodyGap{number, string(g.Code), g.From, g.To, g.Seq, Party(g.Holder), Party(g.Named)}
}

// ExhibitChange is one thing that was said of an exhibit.
type ExhibitChange struct {
	Field     string    `json:"field"`
	Value     string    `json:"value"`
	At        time.Time `json:"at"`
	By        string    `json:"by"`
	LedgerIdx int64     `json:"ledger_index"`
}

// Exhibit is a piece of evidence as people hold it.
type Exhibit struct {
	ID            string            `json:"id"`
	Number        string            `json:"number"`
	Kind          string            `json:"kind"`
	Parent        string            `json:"parent,omitempty"`
	IncidentID    string            `json:"incident_id"`
	AcquisitionID string            `json:"acquisition_id,omitempty"`
	EndpointID    string            `json:"endpoint_id,omitempty"`
	Manifest      string            `json:"manifest_sha256,omitempty"`
	Items         int               `json:"items"`
	StoredBytes   int64             `json:"stored_bytes"`
	CreatedAt     time.Time         `json:"created_at"`
	Holder        Party             `json:"holder,omitzero"`
	Since         time.Time         `json:"since,omitzero"`
	Place         string            `json:"place,omitempty"`
	Carrier       string            `json:"carrier,omitempty"`
	SentTo        Party             `json:"sent_to,omitzero"`
	DisposedAt    time.Time         `json:"disposed_at,omitzero"`
	Fields        map[string]string `json:"fields"`
	Changes       []ExhibitChange   `json:"changes,omitempty"`
	Gaps          []CustodyGap      `json:"gaps"`
	Events        []CustodyEvent    `json:"events,omitempty"`
	LedgerIdx     int64             `json:"ledger_index"`
}

func viewExhibit(x act.Exhibit, whole bool) Exhibit {
	t := x.Trail
	v := Exhibit{ID: x.ID, Number: x.Number, Kind: string(x.Kind), Parent: x.Parent, IncidentID: x.IncidentID, AcquisitionID: x.AcquisitionID, EndpointID: x.EndpointID,
		CreatedAt: x.CreatedAt, Holder: Party(t.Holder), Since: t.Since, Place: t.Place, Carrier: t.Carrier, SentTo: Party(t.To), Fields: map[string]string{}, LedgerIdx: x.LedgerIdx,
		Gaps: views(t.Gaps, func(g exhibit.Gap) CustodyGap { return viewGap(x.Number, g) })}
	if t.Disposed {
		v.DisposedAt = t.Since
	}
	for _, f := range exhibit.Fields() {
		if s := x.Get(f); s != "" {
			v.Fields[string(f)] = s
		}
	}
	if a := x.Acquisition; a != nil {
		v.Manifest, v.Items, v.StoredBytes = a.ManifestSHA256, a.Items, a.StoredBytes
	}
	if whole {
		v.Changes = views(x.Changes, func(c exhibit.Change) ExhibitChange {
			return ExhibitChange{string(c.Field), c.Value, c.At, c.By, c.LedgerIdx}
		})
		v.Events = views(x.Events, viewEvent)
	}
	return v
}

// Custody is the custody of everything of one incident.
type Custody struct {
	Incident      string        `json:"incident"`
	Held          bool          `json:"held"`
	Hold          *CustodyEvent `json:"hold,omitempty"`
	RetentionDays int           `json:"retention_days"` // 0: no period is set
	DueAt         time.Time     `json:"due_at,omitzero"`
	Unfinished    []string      `json:"unfinished_disposals,omitempty"` // numbers of exhibits
	Exhibits      []Exhibit     `json:"exhibits"`
}

func viewCustody(c act.Custody) Custody {
	v := Custody{Incident: c.Incident.Number, Held: c.Held, RetentionDays: c.Days, DueAt: c.Due, Unfinished: c.Unfinished,
		Exhibits: views(c.Items, func(x act.Exhibit) Exhibit { return viewExhibit(x, false) })}
	if c.Held {
		e := viewEvent(c.Hold)
		v.Hold = &e
	}
	return v
}

func custodyList(ctx context.Context, c *call, in Ref) (any, error) {
	list, err := c.acts.Custody(ctx, c.actor, in.Ref)
	return viewCustody(list), err
}

func custodyShow(ctx context.Context, c *call, in Ref) (any, error) {
	x, _, err := c.acts.Exhibit(ctx, c.actor, in.Ref)
	return viewExhibit(x, true), err
}

// CustodyAdd is the request of custody.add.
type CustodyAdd struct {
	Incident string            `json:"incident"`
	Kind     string            `json:"kind"`
	Parent   string            `json:"parent,omitempty"`
	Endpoint string            `json:"endpoint,omitempty"`
	At       time.Time         `json:"at,omitzero"`
	Place    string            `json:"place,omitempty"`
	Fields   map[string]string `json:"fields,omitempty"`
}

func custodyAdd(ctx context.Context, c *call, in CustodyAdd) (any, error) {
	n := act.NewExhibit{IncidentID: in.Incident, Kind: exhibit.Kind(in.Kind), Parent: in.Parent, At: in.At, Place: in.Place, Fields: fieldsOf(in.Fields)}
	if in.Endpoint != "" {
		e, err := c.endpoint(ctx, in.Endpoint)
		if err != nil {
			return nil, err
		}
		n.EndpointID = e.ID
	}
	i, err := c.acts.AddExhibit(ctx, c.actor, n)
	if err != nil {
		return nil, err
	}
	return custodyShow(ctx, c, Ref{Ref: i.ID})
}

func fieldsOf(in map[string]string) map[exhibit.Field]string {
	out := make(map[exhibit.Field]string, len(in))
	for k, v := range in {
		out[exhibit.Field(k)] = v
	}
	return out
}

// CustodyDescribe is the request of custody.describe.
type CustodyDescribe struct {
	Ref    string            `json:"ref"`
	Fields map[string]string `json:"fields"`
}

func custodyDescribe(ctx context.Context, c *call, in CustodyDescribe) (any, error) {
	return None{}, c.acts.DescribeExhibit(ctx, c.actor, in.Ref, fieldsOf(in.Fields))
}

// CustodyRecord is the request of custody.record.
type CustodyRecord struct {
	Ref   string       `json:"ref"`
	Event CustodyEvent `json:"event"`
}

func custodyRecord(ctx context.Context, c *call, in CustodyRecord) (any, error) {
	e := in.Event
	out, err := c.acts.RecordCustody(ctx, c.actor, in.Ref, exhibit.Event{Type: exhibit.EventType(e.Type), At: e.At, From: exhibit.Party(e.From), To: exhibit.Party(e.To),
		Place: e.Place, Medium: exhibit.Medium(e.Medium), Carrier: e.Carrier, TrackingNo: e.TrackingNo, Purpose: e.Purpose,
		HashBefore: e.HashBefore, HashAfter: e.HashAfter, Witness: e.Witness, Text: e.Text})
	return viewEvent(out), err
}

// CustodyVerified is the answer of custody.verify.
type CustodyVerified struct {
	Event CustodyEvent `json:"event"`
	Files int          `json:"files"`
	Bytes int64        `json:"bytes"`
	Wrong []string     `json:"wrong"`
}

func custodyVerify(ctx context.Context, c *call, in Note) (any, error) {
	v, err := c.acts.VerifyExhibit(ctx, c.actor, in.Ref, in.Text)
	return CustodyVerified{viewEvent(v.Event), v.Files, v.Bytes, append([]string{}, v.Wrong...)}, err
}

// CustodyHeld is the answer of custody.hold and custody.release_hold.
type CustodyHeld struct {
	Held       bool     `json:"held"`
	Unfinished []string `json:"unfinished_disposals,omitempty"` // ordered before; numbers of exhibits
}

func custodyHold(ctx context.Context, c *call, in Note) (any, error) {
	if err := c.acts.HoldIncident(ctx, c.actor, in.Ref, in.Text); err != nil {
		return nil, err
	}
	return custodyHeld(ctx, c, in)
}

func custodyReleaseHold(ctx context.Context, c *call, in Note) (any, error) {
	if err := c.acts.ReleaseHold(ctx, c.actor, in.Ref, in.Text); err != nil {
		return nil, err
	}
	return custodyHeld(ctx, c, in)
}

func custodyHeld(ctx context.Context, c *call, in Note) (any, error) {
	list, err := c.acts.Custody(ctx, c.actor, in.Ref)
	return CustodyHeld{list.Held, list.Unfinished}, err
}

// CustodyRetention is how many days after its closing the evidence of an incident is kept.
type CustodyRetention struct {
	Days *int `json:"days"` // 0: no period is set; absent in a request: only show it
}

func custodyRetention(ctx context.Context, c *call, in CustodyRetention) (any, error) {
	if in.Days != nil {
		if err := c.acts.SetRetention(ctx, c.actor, *in.Days); err != nil {
			return nil, err
		}
	}
	days, err := c.acts.Retention(ctx, c.actor)
	return CustodyRetention{&days}, err
}

// Disposal is what disposing of an exhibit means; the answer of custody.disposal and
// custody.dispose.
type Disposal struct {
	Exhibit     Exhibit   `json:"exhibit"`
	Closed      bool      `json:"incident_closed"`
	DueAt       time.Time `json:"due_at,omitzero"`
	Files       int       `json:"files"`
	Bytes       int64     `json:"bytes"`
	Shared      int       `json:"shared"`
	Fingerprint string    `json:"fingerprint"`
}

func viewDisposal(g act.Disposal) Disposal {
	return Disposal{viewExhibit(g.Exhibit, false), !g.Custody.GoesOn.ClosedAt.IsZero(), g.Custody.Due, g.Files, g.Bytes, g.Shared, g.Fingerprint()}
}

func custodyDisposal(ctx context.Context, c *call, in Ref) (any, error) {
	g, err := c.acts.DisposalOf(ctx, c.actor, in.Ref)
	if err != nil {
		return nil, err
	}
	return viewDisposal(g), nil
}

// CustodyDispose is the request of custody.dispose.
type CustodyDispose struct {
	Ref       string `json:"ref"`
	Reason    string `json:"reason"`
	Confirmed string `json:"confirmed"` // fingerprint of what was seen
}

func custodyDispose(ctx context.Context, c *call, in CustodyDispose) (any, error) {
	g, err := c.acts.DisposeExhibit(ctx, c.actor, in.Ref, in.Reason, in.Confirmed)
	return viewDisposal(g), err
}
