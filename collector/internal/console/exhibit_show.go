package console

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/internal/artifact"
	"hozen/internal/i18n"
)

// exhibitCard is what the page of an incident shows of its exhibits.
type exhibitCard struct {
	act.Custody
	Gaps int // of all exhibits
	May  abilities
	Form form // of the hold
}

func viewExhibits(c act.Custody, may abilities, f form) exhibitCard {
	card := exhibitCard{Custody: c, May: may, Form: f}
	for _, x := range c.Items {
		card.Gaps += len(x.Trail.Gaps)
	}
	return card
}

type exhibitShowView struct {
	act.Exhibit
	Custody  act.Custody
	May      abilities
	Fields   []exhibitField
	Manifest *artifact.Manifest // of an acquisition; nil when it cannot be read
	// Unfinished means that its disposal was ordered, and not all bytes are known to be gone.
	Unfinished bool
	Proof      *act.DisposalProof // nil: it was not disposed of
	Events     []exhibit.Event    // newest first
	Chain      []exhibit.Step     // the last of them
	Earlier    int                // steps before those
	Types      []exhibit.EventType
	Record     form
	Describe   form
}

// chainSteps is how many stretches of custody the picture shows; the list of events has all.
const chainSteps = 40

// exhibitField is one field with what it says now and what it said before.
type exhibitField struct {
	Name   exhibit.Field
	Value  string
	Long   bool
	Before []exhibit.Change // older first
}

// exhibitPath is the address of an exhibit's page.
func exhibitPath(incidentID, short string) string {
	return "/incidents/" + incidentID + "/custody/" + short
}

// exhibitOf finds the exhibit that an address names.
func (s *server) exhibitOf(v *visit) (act.Exhibit, act.Custody, error) {
	no, ok := exhibit.ParseShort(v.r.PathValue("no"))
	if !ok {
		return act.Exhibit{}, act.Custody{}, act.ErrNotFound
	}
	c, err := s.custody.Custody(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return act.Exhibit{}, c, err
	}
	if n := slices.IndexFunc(c.Items, func(x act.Exhibit) bool { return x.No == no }); n >= 0 {
		return c.Items[n], c, nil
	}
	return act.Exhibit{}, c, act.ErrNotFound
}

func (s *server) exhibitShow(v *visit) error {
	return s.showExhibit(v, form{}, form{}, http.StatusOK)
}

func (s *server) showExhibit(v *visit, record, describe form, status int) error {
	x, c, err := s.exhibitOf(v)
	if err != nil {
		return err
	}
	if record.Values == nil {
		record.Values = map[string]string{"type": string(exhibit.HandOver), "at": v.now.In(jst()).Format(localInput),
			"from": x.Trail.Holder.Person, "from_organisation": x.Trail.Holder.Organisation}
		if !x.Trail.To.Empty() { // it is on its way: what comes next is its arrival
			record.Values["type"], record.Values["to"], record.Values["to_organisation"] = string(exhibit.Receive), x.Trail.To.Person, x.Trail.To.Organisation
		}
	}
	view := exhibitShowView{Exhibit: x, Custody: c, May: abilitiesOf(v.operator.Role), Types: recordTypes(), Record: record, Describe: describe,
		Unfinished: slices.Contains(c.Unfinished, x.Number)}
	if x.Trail.Disposed {
		proof, err := s.disposals.DisposalProof(v.ctx(), v.actor, x.ID)
		if err != nil {
			return err
		}
		view.Proof = &proof
	}
	view.Events = slices.Clone(x.Events)
	slices.Reverse(view.Events)
	view.Chain = exhibit.Chain(x.Events)
	view.Earlier = max(len(view.Chain)-chainSteps, 0)
	view.Chain = view.Chain[view.Earlier:]
	for _, f := range exhibit.Fields() {
		ef := exhibitField{Name: f, Value: x.Get(f), Long: f == exhibit.Description || f == exhibit.Reason || f == exhibit.AuthorisedBasis}
		for _, ch := range x.Changes {
			if ch.Field == f {
				ef.Before = append(ef.Before, ch)
			}
		}
		if n := len(ef.Before); n > 0 {
			ef.Before = ef.Before[:n-1]
		}
		view.Fields = append(view.Fields, ef)
	}
	if x.AcquisitionID != "" {
		if b, _, err := s.evidence.ManifestOf(v.ctx(), v.actor, x.AcquisitionID); err == nil {
			if m, err := evidence.DecodeManifest(b); err == nil {
				view.Manifest = &m
			}
		}
	}
	p := s.page(v, "exhibit_show", x.Number)
	p.Here = exhibitPath(c.Incident.ID, x.Short())
	return s.showStatus(v, status, p, view)
}

// recordTypes are the types in the order in which people need them. A verification by the
// collector has a button of its own.
func recordTypes() []exhibit.EventType {
	return []exhibit.EventType{exhibit.HandOver, exhibit.Ship, exhibit.Receive, exhibit.Return, exhibit.Store, exhibit.Seal, exhibit.Verify, exhibit.View, exhibit.Copy, exhibit.Note}
}

// exhibitRecord records an event.
func (s *server) exhibitRecord(v *visit) error {
	fields := []field{{name: "type", max: 32}, {name: "at", max: 32}, {name: "purpose", kind: manyLines, max: exhibit.MaxText, empty: true}, {name: "text", kind: manyLines, max: exhibit.MaxText, empty: true}}
	for _, name := range []string{"from", "from_organisation", "to", "to_organisation", "place", "medium", "medium_serial", "seal_no", "carrier", "tracking_no", "witness", "hash_before", "hash_after"} {
		fields = append(fields, field{name: name, max: exhibit.MaxName, empty: true})
	}
	f, err := readForm(v, fields...)
	if err != nil {
		return err
	}
	at, err := parseLocal(f.Values["at"])
	if err != nil && f.Errors["at"] == "" {
		f.Errors["at"] = v.text.Text("invalid.time")
	}
	if at.After(v.now.Add(time.Minute)) {
		f.Errors["at"] = v.text.Text("invalid.future")
	}
	// The form has no seconds: within this minute is now, so that it does not lie before
	// what was recorded a few seconds ago.
	if at.Equal(v.now.In(jst()).Truncate(time.Minute)) {
		at = v.now
	}
	if f.ok() {
		x, c, err := s.exhibitOf(v)
		if err != nil {
			return err
		}
		w := f.Values
		_, err = s.custody.RecordCustody(v.ctx(), v.actor, x.ID, exhibit.Event{Type: exhibit.EventType(w["type"]), At: at,
			From: exhibit.Party{Person: w["from"], Organisation: w["from_organisation"]}, To: exhibit.Party{Person: w["to"], Organisation: w["to_organisation"]},
			Place: w["place"], Medium: exhibit.Medium{Type: w["medium"], Serial: w["medium_serial"], SealNo: w["seal_no"]}, Carrier: w["carrier"], TrackingNo: w["tracking_no"],
			Purpose: w["purpose"], HashBefore: w["hash_before"], HashAfter: w["hash_after"], Witness: w["witness"], Text: w["text"]})
		if err == nil {
			return s.done(v, "custody.recorded", exhibitPath(c.Incident.ID, x.Short())+"#events")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showExhibit(v, f, form{}, http.StatusUnprocessableEntity)
}

// exhibitDescribe says more of an exhibit.
func (s *server) exhibitDescribe(v *visit) error {
	f, err := readForm(v, exhibitFields()...)
	if err != nil {
		return err
	}
	was, err := readForm(v, shownFields()...)
	if err != nil {
		return err
	}
	for name, value := range was.Values { // a page that is shown again is still the old one
		f.Values[name] = value
	}
	if f.ok() {
		x, c, err := s.exhibitOf(v)
		if err != nil {
			return err
		}
		err = s.custody.DescribeExhibit(v.ctx(), v.actor, x.ID, changedValues(f))
		if err == nil {
			return s.done(v, "custody.described", exhibitPath(c.Incident.ID, x.Short()))
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showExhibit(v, form{}, f, http.StatusUnprocessableEntity)
}

func exhibitFields() []field {
	var fields []field
	for _, f := range exhibit.Fields() {
		w := field{name: string(f), max: exhibit.MaxName, empty: true}
		if f == exhibit.Description || f == exhibit.Reason || f == exhibit.AuthorisedBasis {
			w.kind, w.max = manyLines, exhibit.MaxText
		}
		fields = append(fields, w)
	}
	return fields
}

// shownPrefix is before the name of a field in the name of the one that says what it said when
// the page was made.
const shownPrefix = "was-"

func shownFields() []field {
	fields := exhibitFields()
	for n := range fields {
		fields[n].name = shownPrefix + fields[n].name
	}
	return fields
}

// changedValues are the fields that a person changed on the page: what somebody else said
// meanwhile of the others stays.
func changedValues(f form) map[exhibit.Field]string {
	m := fieldValues(f)
	for name, value := range m {
		if value == f.Values[shownPrefix+string(name)] {
			delete(m, name)
		}
	}
	return m
}

func fieldValues(f form) map[exhibit.Field]string {
	m := map[exhibit.Field]string{}
	for _, name := range exhibit.Fields() {
		m[name] = f.Values[string(name)]
	}
	return m
}

// exhibitVerify has the collector read every byte again.
func (s *server) exhibitVerify(v *visit) error {
	x, c, err := s.exhibitOf(v)
	if err != nil {
		return err
	}
	answer := unhurried(v)
	r, err := s.custody.VerifyExhibit(v.ctx(), v.actor, x.ID, "")
	answer()
	if err != nil {
		return err
	}
	flash := "custody.verified"
	if len(r.Wrong) > 0 {
		flash = "custody.differs"
	}
	return s.done(v, flash, exhibitPath(c.Incident.ID, x.Short())+"#events")
}

// incidentHold begins or ends the legal hold of an incident.
func (s *server) incidentHold(v *visit) error {
	f, err := readForm(v, field{name: "reason", kind: manyLines, max: exhibit.MaxText}, field{name: "deed", max: 16})
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	if f.ok() {
		flash, do := "custody.hold.begun", s.custody.HoldIncident
		if f.Values["deed"] == "release" {
			flash, do = "custody.hold.ended", s.custody.ReleaseHold
		}
		err := do(v.ctx(), v.actor, id, f.Values["reason"])
		if err == nil {
			return s.done(v, flash, "/incidents/"+id+"#custody")
		}
		if !f.refuse(v, err) || errors.Is(err, act.ErrNotFound) {
			return err
		}
	}
	return s.showIncidentWith(v, form{}, f, http.StatusUnprocessableEntity)
}

type exhibitNewView struct {
	Custody   act.Custody
	Kinds     []exhibit.Kind
	Endpoints []endpointView
	Fields    []exhibitField
	Rare      []exhibitField // fields that few things need
	Form      form
}

func (s *server) exhibitNewForm(v *visit) error {
	return s.showExhibitNew(v, form{Values: map[string]string{"kind": string(exhibit.Device), "at": v.now.In(jst()).Format(localInput), "acquired_by": v.operator.DisplayName}}, http.StatusOK)
}

func (s *server) showExhibitNew(v *visit, f form, status int) error {
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	c, err := s.custody.Custody(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := exhibitNewView{Custody: c, Kinds: []exhibit.Kind{exhibit.Device, exhibit.Paper, exhibit.Photo, exhibit.Files, exhibit.Log, exhibit.Memory, exhibit.Volatile}, Form: f}
	for _, name := range exhibit.Fields() {
		f := exhibitField{Name: name, Long: name == exhibit.Description || name == exhibit.Reason || name == exhibit.AuthorisedBasis}
		switch name {
		case exhibit.Description, exhibit.AssetNo, exhibit.Maker, exhibit.Model, exhibit.Serial, exhibit.Owner, exhibit.AcquiredBy, exhibit.Witness, exhibit.Reason:
			view.Fields = append(view.Fields, f)
		default:
			view.Rare = append(view.Rare, f)
		}
	}
	i, err := s.incidents.Incident(v.ctx(), v.actor, c.Incident.ID)
	if err != nil {
		return err
	}
	all, err := s.endpoints.Endpoints(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	for _, e := range all {
		if slices.Contains(i.EndpointIDs, e.ID) {
			view.Endpoints = append(view.Endpoints, viewEndpoint(e, v.now))
		}
	}
	p := s.page(v, "exhibit_new", v.text.Text("title.exhibit_new"))
	p.Here = "/incidents/" + c.Incident.ID + "/custody/new"
	return s.showStatus(v, status, p, view)
}

// exhibitNew registers a thing by hand.
func (s *server) exhibitNew(v *visit) error {
	f, err := readForm(v, append(exhibitFields(), field{name: "kind", max: 32}, field{name: "at", max: 32}, field{name: "place", max: exhibit.MaxName, empty: true},
		field{name: "parent", max: exhibit.MaxName, empty: true}, field{name: "endpoint", max: 64, empty: true})...)
	if err != nil {
		return err
	}
	at, err := parseLocal(f.Values["at"])
	if err != nil && f.Errors["at"] == "" {
		f.Errors["at"] = v.text.Text("invalid.time")
	}
	if at.After(v.now.Add(time.Minute)) {
		f.Errors["at"] = v.text.Text("invalid.future")
	}
	if strings.TrimSpace(f.Values[string(exhibit.Description)]) == "" {
		f.Errors[string(exhibit.Description)] = v.text.Text("invalid.required")
	}
	if f.ok() {
		fields := fieldValues(f)
		for k, w := range fields {
			if w == "" {
				delete(fields, k) // what nobody said has a default
			}
		}
		i, err := s.custody.AddExhibit(v.ctx(), v.actor, act.NewExhibit{IncidentID: v.r.PathValue("id"), Kind: exhibit.Kind(f.Values["kind"]), Parent: f.Values["parent"],
			EndpointID: f.Values["endpoint"], At: at, Place: f.Values["place"], Fields: fields})
		if err == nil {
			return s.done(v, "custody.added", exhibitPath(i.IncidentID, i.Short()))
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showExhibitNew(v, f, http.StatusUnprocessableEntity)
}

// custodyFacts are the facts of an event of custody that its sentence leaves out.
func custodyFacts(p i18n.Printer, e incident.Entry) []string {
	var out []string
	if at := e.Params["happened_at"]; at != "" {
		if t, err := time.Parse(time.RFC3339Nano, at); err == nil && e.At.Sub(t).Abs() > time.Minute {
			out = append(out, p.Text("custody.fact.at", "at", clock(t)))
		}
	}
	for _, name := range []string{"carrier", "tracking_no", "place"} {
		if v := e.Params[name]; v != "" {
			out = append(out, p.Text("custody.fact."+name, "value", own(v, 120)))
		}
	}
	if r := e.Params["result"]; r != "" {
		out = append(out, optional(p, "custody.result.", r))
	}
	return out
}
