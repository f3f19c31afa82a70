package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// Exhibit is a piece of evidence with what its events say of its custody.
type Exhibit struct {
	exhibit.Item
	Events []exhibit.Event // in the order in which they were recorded, with those of the incident
	Trail  exhibit.Trail
	// Acquisition is what the exhibit holds in the collector; nil of what is kept elsewhere.
	Acquisition *evidence.Acquisition
	// Upload is the file that a person sent; nil of what is none.
	Upload *record.Upload
}

// Custody is the custody of everything of one incident.
type Custody struct {
	Incident incident.Incident // without its endpoints
	Items    []Exhibit         // in the order of their numbers
	// Hold is the legal hold that is in force; Held is false without one.
	Hold exhibit.Event
	Held bool
	// HeldIn is the incident whose hold that is: this one, or one in which it goes on.
	HeldIn incident.Incident
	// GoesOn is the incident in which this one goes on after merges, itself when it was not
	// merged. Its closing is what counts.
	GoesOn incident.Incident
	// Days is how long the organisation keeps evidence after the incident was closed, and
	// DaysSet since when it says so; 0: no period is set, and zero: none ever was. Due is from
	// when on it need not be kept; zero when no such day is known.
	Days    int
	DaysSet time.Time
	Due     time.Time
	// Unfinished are the numbers of the exhibits whose disposal was ordered and whose bytes
	// are not all known to be gone. Under a hold they stay as they are.
	Unfinished []string
}

// HeldHere reports whether the hold is the incident's own, so that it can be released here.
func (c Custody) HeldHere() bool { return c.Held && c.HeldIn.ID == c.Incident.ID }

// Custody returns the exhibits of an incident with their custody.
func (s *Acts) Custody(ctx context.Context, a Actor, incidentID string) (Custody, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (Custody, error) {
		inc, err := incident.FindBare(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return Custody{}, err
		}
		return s.custody(ctx, q, inc)
	})
}

func (s *Acts) custody(ctx context.Context, q sqldb.Queryer, inc incident.Incident) (Custody, error) {
	c := Custody{Incident: inc}
	items, err := exhibit.Items(ctx, q, inc.ID)
	if err != nil {
		return c, err
	}
	events, err := exhibit.Events(ctx, q, inc.ID)
	if err != nil {
		return c, err
	}
	acquisitions, err := s.evidence.Acquisitions(ctx, evidence.AcquisitionFilter{OrganisationID: inc.OrganisationID, IncidentID: inc.ID})
	if err != nil {
		return c, err
	}
	uploads, err := record.Uploads(ctx, q, inc.ID)
	if err != nil {
		return c, err
	}
	for _, i := range items {
		x := Exhibit{Item: i, Events: exhibit.Of(events, i.ID)}
		if n := slices.IndexFunc(uploads, func(u record.Upload) bool { return u.ExhibitID == i.ID }); n >= 0 {
			x.Upload = &uploads[n]
		}
		x.Trail = exhibit.Follow(x.Events)
		if n := slices.IndexFunc(acquisitions, func(a evidence.Acquisition) bool { return a.ID == i.AcquisitionID }); n >= 0 {
			x.Acquisition = &acquisitions[n]
		}
		c.Items = append(c.Items, x)
	}
	if c.Hold, c.HeldIn, c.Held, err = holdOf(ctx, q, inc); err != nil {
		return c, err
	}
	if c.GoesOn, err = incident.GoesOn(ctx, q, inc); err != nil {
		return c, err
	}
	if c.Days, c.DaysSet, err = exhibit.FindRetention(ctx, q, inc.OrganisationID); err != nil {
		return c, err
	}
	if c.Days > 0 && !c.GoesOn.ClosedAt.IsZero() {
		c.Due = c.GoesOn.ClosedAt.AddDate(0, 0, c.Days)
	}
	open, err := evidence.UnfinishedDisposals(ctx, q)
	if err != nil {
		return c, err
	}
	for _, x := range c.Items {
		removing := x.Upload != nil && !x.Upload.DisposedAt.IsZero() && x.Upload.RemovedAt.IsZero()
		if removing || slices.ContainsFunc(open, func(d evidence.Disposal) bool { return d.AcquisitionID == x.AcquisitionID }) {
			c.Unfinished = append(c.Unfinished, x.Number)
		}
	}
	return c, nil
}

// Exhibit finds one exhibit by its identifier or its number, with the custody of its
// incident.
func (s *Acts) Exhibit(ctx context.Context, a Actor, idOrNumber string) (Exhibit, Custody, error) {
	var x Exhibit
	c, err := read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (c Custody, err error) {
		x, c, err = s.exhibit(ctx, q, a.OrganisationID, idOrNumber)
		return c, err
	})
	if err != nil {
		return Exhibit{}, Custody{}, err
	}
	return x, c, nil
}

func (s *Acts) exhibit(ctx context.Context, q sqldb.Queryer, organisationID, idOrNumber string) (Exhibit, Custody, error) {
	i, err := exhibit.Find(ctx, q, organisationID, idOrNumber)
	if err != nil {
		return Exhibit{}, Custody{}, err
	}
	inc, err := incident.FindBare(ctx, q, organisationID, i.IncidentID)
	if err != nil {
		return Exhibit{}, Custody{}, err
	}
	c, err := s.custody(ctx, q, inc)
	if err != nil {
		return Exhibit{}, Custody{}, err
	}
	for _, x := range c.Items {
		if x.ID == i.ID {
			return x, c, nil
		}
	}
	return Exhibit{}, Custody{}, exhibit.ErrNotFound
}

// NewExhibit is what [Acts.AddExhibit] needs: something that no agent acquired, such as a PC
// that was taken into custody or a printed log.
type NewExhibit struct {
	IncidentID string // identifier or number
	Kind       exhibit.Kind
	Parent     string    // Optional: number of the exhibit that it came out of
	EndpointID string    // Optional
	At         time.Time // when it was taken; default now
	Place      string    // where
	// Fields are what is known of it; [exhibit.AcquiredBy] is its first custodian, by default
	// the actor.
	Fields map[exhibit.Field]string
}

// AddExhibit registers a thing by hand and returns it with its number.
func (s *Acts) AddExhibit(ctx context.Context, a Actor, n NewExhibit) (i exhibit.Item, err error) {
	if !n.Kind.Valid() {
		return i, &Invalid{Field: "kind", Code: "unknown", Err: fmt.Errorf("there is no kind %.40q", n.Kind)}
	}
	if err := checkFields(n.Fields); err != nil {
		return i, err
	}
	if err := text("place", n.Place, exhibit.MaxName, false); err != nil {
		return i, err
	}
	if err := s.past("at", n.At); err != nil {
		return i, err
	}
	err = s.write(ctx, a, mayKeepCustody, func(ctx context.Context, d *deed) error {
		inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, n.IncidentID)
		if err != nil {
			return err
		}
		host := ""
		if n.EndpointID != "" {
			e, err := d.endpoint(ctx, n.EndpointID)
			if err != nil {
				return err
			}
			host = e.Hostname
		}
		all, err := exhibit.Items(ctx, d.tx, inc.ID)
		if err != nil {
			return err
		}
		if n.Parent != "" && !slices.ContainsFunc(all, func(p exhibit.Item) bool { return p.Number == n.Parent }) {
			return &Invalid{Field: "parent", Code: "unknown", Err: fmt.Errorf("%.40q is no exhibit of %s", n.Parent, inc.Number)}
		}
		if len(all) >= exhibit.MaxItems {
			return &Invalid{Field: "incident_id", Code: "range", Err: fmt.Errorf("%s has %d exhibits", inc.Number, len(all))}
		}
		own, err := organisationName(ctx, d.tx, inc.OrganisationID)
		if err != nil {
			return err
		}
		i = exhibit.Item{IncidentID: inc.ID, Parent: n.Parent, Kind: n.Kind, EndpointID: n.EndpointID}
		fields := map[exhibit.Field]string{exhibit.Host: host, exhibit.AcquiredBy: d.actor.Name, exhibit.AcquiredByOrg: own}
		for k, v := range n.Fields {
			fields[k] = v
			if k == exhibit.AcquiredBy && n.Fields[exhibit.AcquiredByOrg] == "" {
				fields[exhibit.AcquiredByOrg] = "" // somebody else's organisation is not known
			}
		}
		if i, err = s.addExhibit(ctx, d, inc, i, fields); err != nil {
			return err
		}
		first := exhibit.Party{Person: i.Get(exhibit.AcquiredBy), Organisation: i.Get(exhibit.AcquiredByOrg)}
		e, err := d.happened(ctx, i, exhibit.Event{Type: exhibit.Collect, At: n.At, To: first, Place: n.Place, Purpose: i.Get(exhibit.Reason)}, nil)
		if err != nil {
			return err
		}
		return s.custodyLine(ctx, d, inc, i.Number, e)
	})
	return i, err
}

// addExhibit gives an exhibit its number and stores it with what is known of it.
func (s *Acts) addExhibit(ctx context.Context, d *deed, inc incident.Incident, i exhibit.Item, fields map[exhibit.Field]string) (exhibit.Item, error) {
	var err error
	if i.No, err = nextExhibit(ctx, d.tx, inc); err != nil {
		return i, err
	}
	i.ID, i.OrganisationID, i.IncidentID, i.CreatedAt, i.CreatedBy = id.New(id.Exhibit), inc.OrganisationID, inc.ID, d.now.UTC().Round(0), d.actor.Name
	i.Number = exhibit.FormatNumber(inc.Number, i.No)
	for _, f := range exhibit.Fields() {
		if v := sqldb.CleanText(strings.TrimSpace(fields[f])); v != "" {
			i.Changes = append(i.Changes, exhibit.Change{Field: f, Value: v, At: i.CreatedAt, By: i.CreatedBy})
		}
	}
	if i.LedgerIdx, err = d.record(ctx, exhibit.ActAdd, i.ID, i.Details()); err != nil {
		return i, err
	}
	for n := range i.Changes {
		i.Changes[n].LedgerIdx = i.LedgerIdx
	}
	return i, exhibit.Insert(ctx, d.tx, i)
}

// nextExhibit is the number that the next exhibit of an incident gets: above those that
// evidence has which was numbered before there were exhibits.
func nextExhibit(ctx context.Context, q sqldb.Queryer, inc incident.Incident) (int64, error) {
	plain, err := evidence.LastPlainNo(ctx, q, inc.OrganisationID, inc.ID)
	if err != nil {
		return 0, err
	}
	return exhibit.NextNo(ctx, q, inc.ID, plain+1)
}

func checkFields(fields map[exhibit.Field]string) error {
	for f, v := range fields {
		if !f.Valid() {
			return &Invalid{Field: "fields", Code: "unknown", Err: fmt.Errorf("there is no field %.40q", f)}
		}
		most := exhibit.MaxName
		if f == exhibit.Description || f == exhibit.Reason || f == exhibit.AuthorisedBasis {
			most = exhibit.MaxText
		}
		if err := text(string(f), v, most, false); err != nil {
			return err
		}
	}
	return nil
}

// clockSlack is how far a person's clock may be ahead of the collector's.
const clockSlack = 2 * time.Minute

// past refuses a time that has not come yet; zero is now.
func (s *Acts) past(field string, t time.Time) error {
	if t.IsZero() {
		return nil
	}
	if sane(t).IsZero() || t.After(s.now().Add(clockSlack)) || t.Year() < 1990 {
		return &Invalid{Field: field, Code: "range", Err: errors.New("it lies in the future, or is no time at all")}
	}
	return nil
}

// DescribeExhibit says more of an exhibit, or something else than before; what was said
// before stays. An empty value takes something back.
func (s *Acts) DescribeExhibit(ctx context.Context, a Actor, idOrNumber string, fields map[exhibit.Field]string) error {
	if err := checkFields(fields); err != nil {
		return err
	}
	return s.write(ctx, a, mayKeepCustody, func(ctx context.Context, d *deed) error {
		i, err := exhibit.Find(ctx, d.tx, d.actor.OrganisationID, idOrNumber)
		if err != nil {
			return err
		}
		var last int64
		for _, f := range exhibit.Fields() {
			v, said := fields[f]
			v = sqldb.CleanText(strings.TrimSpace(v))
			if !said || v == i.Get(f) {
				continue
			}
			c := exhibit.Change{Field: f, Value: v, At: d.now.UTC().Round(0), By: d.actor.Name}
			if c.LedgerIdx, err = d.record(ctx, exhibit.ActDescribe, i.ID, c.Details(i.Number)); err != nil {
				return err
			}
			if err := exhibit.Describe(ctx, d.tx, i, c); err != nil {
				return err
			}
			last = c.LedgerIdx
		}
		if last == 0 { // the first entry of a ledger is never this one
			return nil
		}
		inc, err := incident.FindBare(ctx, d.tx, i.OrganisationID, i.IncidentID)
		if err != nil {
			return err
		}
		return s.line(ctx, d, inc, i.EndpointID, incident.Entry{Kind: incident.EntryCustody, LedgerIdx: last, Params: map[string]string{"event": "describe", "exhibit": i.Number}})
	})
}

// RecordCustody records what people did with an exhibit, such as handing it over. Only what
// e says of the event itself counts: who records it and when is the collector's to say. Whoever
// gives and is not named is the custodian of before.
func (s *Acts) RecordCustody(ctx context.Context, a Actor, idOrNumber string, e exhibit.Event) (exhibit.Event, error) {
	if err := s.checkEvent(&e); err != nil {
		return exhibit.Event{}, err
	}
	var out exhibit.Event
	err := s.write(ctx, a, mayKeepCustody, func(ctx context.Context, d *deed) error {
		x, c, err := s.exhibit(ctx, d.tx, d.actor.OrganisationID, idOrNumber)
		if err != nil {
			return err
		}
		e := e
		switch e.Type {
		case exhibit.HandOver, exhibit.Ship, exhibit.Return:
			if e.From.Empty() {
				e.From = x.Trail.Holder
			}
		case exhibit.Verify:
			if e.HashBefore == "" && x.Acquisition != nil {
				e.HashBefore = x.Acquisition.ManifestSHA256
			}
			if e.HashBefore == "" && x.Upload != nil {
				e.HashBefore = x.Upload.SHA256
			}
			if e.Result = exhibit.ResultMismatch; e.HashBefore == e.HashAfter {
				e.Result = exhibit.ResultMatch
			}
			if e.HashBefore == "" {
				e.Result = "" // nothing to hold it against
			}
		}
		if out, err = d.happened(ctx, x.Item, e, nil); err != nil {
			return err
		}
		return s.custodyLine(ctx, d, c.Incident, x.Number, out)
	})
	return out, err
}

// checkEvent checks what a person says of an event.
func (s *Acts) checkEvent(e *exhibit.Event) error {
	if !slices.Contains(exhibit.Recordable(), e.Type) {
		return &Invalid{Field: "type", Code: "unknown", Err: fmt.Errorf("%.40q is nothing that is recorded by hand", e.Type)}
	}
	if err := s.past("at", e.At); err != nil {
		return err
	}
	*e = exhibit.Event{Type: e.Type, At: e.At, From: e.From, To: e.To, Place: e.Place, Medium: e.Medium, Carrier: e.Carrier, TrackingNo: e.TrackingNo,
		Purpose: e.Purpose, HashBefore: e.HashBefore, HashAfter: e.HashAfter, Witness: e.Witness, Text: e.Text}
	*e = e.Clean()
	for field, v := range map[string]string{"from": e.From.Person, "from_organisation": e.From.Organisation, "to": e.To.Person, "to_organisation": e.To.Organisation,
		"place": e.Place, "medium": e.Medium.Type, "medium_serial": e.Medium.Serial, "seal_no": e.Medium.SealNo, "carrier": e.Carrier, "tracking_no": e.TrackingNo, "witness": e.Witness} {
		if err := text(field, v, exhibit.MaxName, false); err != nil {
			return err
		}
	}
	if err := text("purpose", e.Purpose, exhibit.MaxText, false); err != nil {
		return err
	}
	if err := text("text", e.Text, exhibit.MaxText, e.Type == exhibit.Note); err != nil {
		return err
	}
	for field, v := range map[string]*string{"hash_before": &e.HashBefore, "hash_after": &e.HashAfter} {
		if *v = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(*v), " ", "")); *v == "" {
			continue
		}
		if _, err := digest.Parse(*v); err != nil {
			return &Invalid{Field: field, Code: "malformed", Err: err}
		}
	}
	need := func(field string, missing bool) error {
		if missing {
			return &Invalid{Field: field, Code: "required", Err: fmt.Errorf("it is needed for %s", e.Type)}
		}
		return nil
	}
	switch e.Type {
	case exhibit.HandOver, exhibit.Ship, exhibit.Return, exhibit.Receive, exhibit.View, exhibit.Copy:
		return need("to", e.To.Empty())
	case exhibit.Store:
		return need("place", e.Place == "")
	case exhibit.Seal:
		return need("seal_no", e.Medium.SealNo == "")
	case exhibit.Verify:
		return need("hash_after", e.HashAfter == "")
	}
	return nil
}

// happened records an event of an exhibit, or of a whole incident when the exhibit has no
// identifier. more stands in the ledger alone.
func (d *deed) happened(ctx context.Context, i exhibit.Item, e exhibit.Event, more map[string]string) (exhibit.Event, error) {
	if e.At.IsZero() {
		e.At = d.now
	}
	e.OrganisationID, e.IncidentID, e.ItemID = d.actor.OrganisationID, i.IncidentID, i.ID
	e.RecordedAt, e.ActorKind, e.ActorID, e.ActorName = d.now, string(d.actor.Kind), d.actor.ID, d.actor.Name
	e = e.Clean()
	var err error
	if e.Seq, err = exhibit.NextSeq(ctx, d.tx, e.IncidentID); err != nil {
		return e, err
	}
	details := e.Details(i.Number)
	for k, v := range more {
		details[k] = v
	}
	if e.LedgerIdx, err = d.record(ctx, e.Type.Act(), e.Subject(), details); err != nil {
		return e, err
	}
	return e, exhibit.Add(ctx, d.tx, e)
}

// custodyLine tells of an event on the timeline of its incident.
func (s *Acts) custodyLine(ctx context.Context, d *deed, inc incident.Incident, number string, e exhibit.Event) error {
	words := e.Text
	if words == "" {
		words = e.Purpose
	}
	return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryCustody, Text: words, LedgerIdx: e.LedgerIdx, Params: map[string]string{
		"event": string(e.Type), "exhibit": number, "giver": e.From.String(), "taker": e.To.String(), "place": e.Place,
		"carrier": e.Carrier, "tracking_no": e.TrackingNo, "happened_at": sqldb.FormatTime(e.At), "result": e.Result}})
}

// exhibitHost is an endpoint as a custodian.
func exhibitHost(e endpoint.Endpoint, own string) exhibit.Party {
	return exhibit.Party{Person: display(e), Organisation: own}
}
