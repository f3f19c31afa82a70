package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hozen/collector/internal/calendar"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/deadline"
	"hozen/collector/internal/drill"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/playbook"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// Guides are the data that the workbench goes by; they never change while the collector
// runs.
type Guides struct {
	Playbooks *playbook.Book
	Contacts  *contact.Book
	Deadlines *deadline.Book
	Drills    *drill.Book
}

// loadGuides reads the data that come with the product, and refuses them where one names
// what another does not have.
func loadGuides() (g Guides, err error) {
	days, err := calendar.Load()
	if err != nil {
		return g, err
	}
	if g.Playbooks, err = playbook.Load(); err != nil {
		return g, err
	}
	if g.Contacts, err = contact.Load(days); err != nil {
		return g, err
	}
	if g.Deadlines, err = deadline.Load(days); err != nil {
		return g, err
	}
	if g.Drills, err = drill.Load(); err != nil {
		return g, err
	}
	var wrong []error
	desk := func(where, id string) {
		if _, ok := g.Contacts.Desk(id); !ok {
			wrong = append(wrong, fmt.Errorf("%s names the contact %q, which does not exist", where, id))
		}
	}
	for _, key := range g.Playbooks.Keys() {
		p, _ := g.Playbooks.Find(key)
		for _, i := range p.Items {
			for _, c := range i.Contacts {
				desk(i.ID, c)
			}
			for _, c := range i.Clocks {
				if _, ok := g.Deadlines.Clock(c); !ok {
					wrong = append(wrong, fmt.Errorf("%s names the deadline %q, which does not exist", i.ID, c))
				}
			}
		}
	}
	for _, c := range g.Deadlines.Clocks() {
		for _, d := range c.Contacts {
			desk(c.ID, d)
		}
		if k := contact.Kind(c.HoursOf); c.HoursOf != "" && !k.HasHours() {
			wrong = append(wrong, fmt.Errorf("%s goes by the hours of %q, which has none", c.ID, c.HoursOf))
		}
	}
	for _, d := range g.Contacts.Desks() {
		for _, p := range d.Playbooks {
			if _, ok := g.Playbooks.Find(p); !ok {
				wrong = append(wrong, fmt.Errorf("%s names the playbook %q, which does not exist", d.ID, p))
			}
		}
	}
	return g, errors.Join(wrong...)
}

// Guides returns the data that the workbench goes by.
func (s *Acts) Guides() Guides { return s.guides }

// Workplan is a playbook in an incident.
type Workplan struct {
	Incident incident.Incident
	Plan     playbook.Plan
	Measured playbook.Measured
	// NoEvidence and NotIsolated are the endpoints because of which a fact does not hold.
	NoEvidence  []endpoint.Endpoint
	NotIsolated []endpoint.Endpoint
	// OwnProblem is what is wrong with the file of the organisation's own steps, which are
	// not among the items then; empty: nothing.
	OwnProblem string
}

// Workplan returns the playbook of an incident with what was done of it.
func (s *Acts) Workplan(ctx context.Context, a Actor, incidentID string) (Workplan, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (Workplan, error) {
		inc, err := incident.Find(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return Workplan{}, err
		}
		return s.workplan(ctx, q, inc)
	})
}

func (s *Acts) workplan(ctx context.Context, q sqldb.Queryer, inc incident.Incident) (Workplan, error) {
	p := Workplan{Incident: inc, OwnProblem: s.own.problem}
	marks, err := playbook.Marks(ctx, q, inc.ID)
	if err != nil {
		return p, err
	}
	if err := s.measure(ctx, q, &p); err != nil {
		return p, err
	}
	book, problem, err := s.book(ctx, q, inc.OrganisationID)
	if err != nil {
		return p, err
	}
	p.OwnProblem = strings.TrimSpace(p.OwnProblem + "\n" + problem)
	p.Plan = book.Plan(string(inc.Classification), marks, p.Measured)
	return p, nil
}

// measure fills in the facts from what is so, not from what was ordered.
func (s *Acts) measure(ctx context.Context, q sqldb.Queryer, p *Workplan) error {
	inc := p.Incident
	p.Measured = playbook.Measured{playbook.TimelineKept: playbook.Yes}
	found, err := endpoint.ByIDs(ctx, q, inc.EndpointIDs)
	if err != nil {
		return err
	}
	with, err := s.endpointsWithEvidence(ctx, inc)
	if err != nil {
		return err
	}
	isolated, any := playbook.Yes, false
	for _, id := range inc.EndpointIDs {
		e, ok := found[id]
		if !ok {
			continue
		}
		e, any = s.asOfNow(e), true
		if !with[id] {
			p.NoEvidence = append(p.NoEvidence, e)
		}
		if e.Isolation.Observed == endpoint.Isolated && !e.Isolation.More.Drill {
			continue
		}
		p.NotIsolated = append(p.NotIsolated, e)
		if o := e.Isolation.Observed; o == endpoint.Released || o == endpoint.Failed {
			isolated = playbook.No // which says more than that nothing is known of another
		} else if isolated == playbook.Yes {
			isolated = playbook.Unknown
		}
	}
	switch {
	case any && len(p.NoEvidence) == 0, !any && len(with) > 0:
		p.Measured[playbook.EvidenceSealed] = playbook.Yes
	case any:
		p.Measured[playbook.EvidenceSealed] = playbook.No
	}
	if any {
		p.Measured[playbook.IsolationMeasured] = isolated
	}
	return nil
}

// endpointsWithEvidence are the endpoints whose evidence is kept in an incident; the key
// is empty for evidence without one.
func (s *Acts) endpointsWithEvidence(ctx context.Context, inc incident.Incident) (map[string]bool, error) {
	f := evidence.AcquisitionFilter{OrganisationID: inc.OrganisationID, IncidentID: inc.ID}
	all, err := s.evidence.Acquisitions(ctx, f)
	if err != nil {
		return nil, err
	}
	with := map[string]bool{}
	for _, a := range all {
		if a.DisposedAt.IsZero() {
			with[a.EndpointID] = true
		}
	}
	if len(all) < maxAcquisitions {
		return with, nil
	}
	for _, id := range inc.EndpointIDs { // of very many, the older ones are not in the list
		if with[id] {
			continue
		}
		f.EndpointID = id
		some, err := s.evidence.Acquisitions(ctx, f)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(some, func(a evidence.Acquisition) bool { return a.DisposedAt.IsZero() }) {
			with[id] = true
		}
	}
	return with, nil
}

// maxAcquisitions is how many one list has at most; see [evidence.AcquisitionFilter].
const maxAcquisitions = 1000

// ItemMark is what somebody says of an item of a playbook.
type ItemMark struct {
	State playbook.State
	// Note is what was done or decided; needed for decisions and for what does not apply.
	Note string
	// GateReason is why it is done although a gate is closed; needed then.
	GateReason string
}

// MarkItem records what somebody says of an item of a playbook. What is said already is
// not recorded again.
func (s *Acts) MarkItem(ctx context.Context, a Actor, incidentID, item string, m ItemMark) error {
	m.Note, m.GateReason = strings.TrimSpace(m.Note), strings.TrimSpace(m.GateReason)
	if !m.State.Valid() {
		return &Invalid{Field: "state", Code: "unknown", Err: fmt.Errorf("there is no state %.40q", m.State)}
	}
	if err := text("note", m.Note, playbook.MaxText, false); err != nil {
		return err
	}
	if err := text("gate_reason", m.GateReason, playbook.MaxText, false); err != nil {
		return err
	}
	return s.write(ctx, a, mayMarkPlaybook, func(ctx context.Context, d *deed) error {
		inc, err := incident.Find(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		p, err := s.workplan(ctx, d.tx, inc)
		if err != nil {
			return err
		}
		task, ok := p.Plan.Task(item)
		if !ok {
			return fmt.Errorf("%w: %.60q is no item of this playbook", ErrNotFound, item)
		}
		if b := task.By; b != nil && b.State == m.State && b.Note == m.Note && m.GateReason == "" {
			return nil
		}
		mark, err := markOf(d, inc, task, m)
		if err != nil {
			return err
		}
		return s.addMark(ctx, d, inc, task, mark)
	})
}

// markOf refuses a mark that says too little.
func markOf(d *deed, inc incident.Incident, task playbook.Task, m ItemMark) (playbook.Mark, error) {
	k := playbook.Mark{ID: id.New(id.PlaybookMark), OrganisationID: inc.OrganisationID, IncidentID: inc.ID, Item: task.ID, State: m.State, Note: m.Note,
		At: d.now, ActorKind: string(d.actor.Kind), ActorID: d.actor.ID, ActorName: d.actor.Name}
	if m.Note == "" && (m.State == playbook.NotApplicable || m.State == playbook.Done && task.Mode == playbook.Decide) {
		return k, &Invalid{Field: "note", Code: "required", Err: errors.New("it needs a reason")}
	}
	if m.State == playbook.Done && len(task.Closed) > 0 {
		if m.GateReason == "" {
			return k, &Invalid{Field: "gate_reason", Code: "required", Err: fmt.Errorf("closed are %s", strings.Join(task.Closed, " "))}
		}
		k.Gates, k.GateReason = task.Closed, m.GateReason
	}
	return k, nil
}

func (s *Acts) addMark(ctx context.Context, d *deed, inc incident.Incident, task playbook.Task, k playbook.Mark) (err error) {
	if k.Seq, err = playbook.NextSeq(ctx, d.tx, inc.ID); err != nil {
		return err
	}
	facts := map[string]string{"item": k.Item, "state": string(k.State), "gates": strings.Join(k.Gates, " "), "gate_reason": k.GateReason}
	with := k.Details()
	with["text"], with["edition"] = task.Text.JA, s.guides.Playbooks.Edition().Key
	if k.LedgerIdx, err = d.record(ctx, playbook.ActMark, k.ID, with); err != nil {
		return err
	}
	if err := playbook.Insert(ctx, d.tx, k); err != nil {
		return err
	}
	facts["event"], facts["name_ja"], facts["name_en"] = string(k.State), task.Text.JA, task.Text.EN
	var ja, en []string
	for _, g := range k.Gates {
		t := s.GateText(g)
		ja, en = append(ja, t.JA), append(en, t.EN)
	}
	facts["closed_ja"], facts["closed_en"] = strings.Join(ja, "\n"), strings.Join(en, "\n")
	return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryPlaybook, Text: k.Note, Params: facts, LedgerIdx: k.LedgerIdx})
}

// GateText says what a closed gate waits for.
func (s *Acts) GateText(gate string) playbook.Text {
	if i, ok := s.guides.Playbooks.Item(gate); ok {
		return i.Text
	}
	return s.guides.Playbooks.Words(playbook.Fact(gate)).No
}
