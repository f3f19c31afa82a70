package console

import (
	"net/http"
	"net/url"
	"slices"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/deadline"
	"hozen/collector/internal/playbook"
)

// playbookCard is what the page of an incident shows of its playbook.
type playbookCard struct {
	act.Workplan
	May  bool
	Next *taskView
	// Implied and MayBe are the names of other types that this one is, or may be, of.
	Implied, MayBe []playbook.Text
}

// taskView is one item with what a person can press.
type taskView struct {
	playbook.Task
	IncidentID string
	May        bool
	Link       string // where the product does it; empty: nowhere
	Words      playbook.Text
	Gates      []playbook.Text // what the closed ones wait for
	Notes      []playbook.Footnote
	Clocks     []deadline.Clock
	Desks      []contact.Desk
	PageTitle  playbook.Text
	Form       form
}

type playbookSubstep struct {
	Name  playbook.Text
	Tasks []taskView
}

type playbookStep struct {
	No       int
	Name     playbook.Text
	Substeps []playbookSubstep
}

type incidentPlaybookView struct {
	playbookCard
	Steps []playbookStep
}

func (s *server) viewTask(p act.Workplan, t playbook.Task, may bool, f form) taskView {
	book := s.workbench.Guides().Playbooks
	v := taskView{Task: t, IncidentID: p.Incident.ID, May: may, Link: actLink(p, t.Act), Form: f, PageTitle: book.Page(t.Page)}
	if t.Fact != "" {
		v.Words = book.Words(t.Fact).Of(t.Measured)
	}
	for _, g := range t.Closed {
		v.Gates = append(v.Gates, s.workbench.GateText(g))
	}
	for _, id := range t.Clocks {
		if c, ok := s.workbench.Guides().Deadlines.Clock(id); ok {
			v.Clocks = append(v.Clocks, c)
		}
	}
	for _, id := range t.Contacts {
		if d, ok := s.workbench.Guides().Contacts.Desk(id); ok {
			v.Desks = append(v.Desks, d)
		}
	}
	for _, n := range t.Footnotes {
		v.Notes = append(v.Notes, book.Footnote(n))
	}
	return v
}

func (s *server) viewPlaybook(v *visit, p act.Workplan) playbookCard {
	c := playbookCard{Workplan: p, May: abilitiesOf(v.operator.Role).Run}
	if p.Plan.Next != nil {
		next := s.viewTask(p, *p.Plan.Next, c.May, form{})
		c.Next = &next
	}
	book := s.workbench.Guides().Playbooks
	for _, key := range p.Plan.Playbook.Implies {
		if b, ok := book.Find(key); ok {
			c.Implied = append(c.Implied, b.Name)
		}
	}
	for _, key := range p.Plan.Playbook.MayBe {
		if b, ok := book.Find(key); ok {
			c.MayBe = append(c.MayBe, b.Name)
		}
	}
	return c
}

// actLink is the address at which an act of a playbook is done in an incident.
func actLink(p act.Workplan, name string) string {
	i := p.Incident
	order := func(verb string) string {
		switch len(i.EndpointIDs) {
		case 0:
			return ""
		case 1:
			return "/endpoints/" + i.EndpointIDs[0] + "/order/" + verb + "?incident=" + i.ID
		}
		if verb == "isolate" || verb == "release" {
			return "/groups/new/" + verb + "?incident=" + i.ID
		}
		return "/incidents/" + i.ID + "#region-endpoints" // a person chooses which
	}
	desks := "/contacts?playbook=" + url.QueryEscape(p.Plan.Playbook.Key)
	if p.Plan.Playbook.Key == playbook.Common {
		desks = "/contacts"
	}
	switch name {
	case "isolate", "release", "acquire":
		return order(name)
	case "power_off":
		return order("preserve")
	case "isolate_group":
		return "/groups/new/isolate?incident=" + i.ID
	case "export":
		return "/incidents/" + i.ID + "/export"
	case "record", "decisions", "enquiries":
		return "/incidents/" + i.ID + "/" + name
	case "documents":
		return "/incidents/" + i.ID + "/reports"
	case "exhibit":
		return "/incidents/" + i.ID + "/custody/new"
	case "contacts", "call_sheet":
		return desks
	case "deadlines":
		return "/incidents/" + i.ID + "/deadlines"
	}
	return ""
}

func (s *server) incidentPlaybook(v *visit) error {
	return s.showPlaybook(v, "", form{}, http.StatusOK)
}

// showPlaybook shows all items; the form of one of them may be shown again.
func (s *server) showPlaybook(v *visit, item string, f form, status int) error {
	p, err := s.workbench.Workplan(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := incidentPlaybookView{playbookCard: s.viewPlaybook(v, p)}
	for n, step := range p.Plan.Steps {
		st := playbookStep{No: n + 1, Name: step.Name}
		for _, sub := range step.Substeps {
			ss := playbookSubstep{Name: sub.Name}
			for _, t := range sub.Tasks {
				shown := form{}
				if t.ID == item {
					shown = f
				}
				ss.Tasks = append(ss.Tasks, s.viewTask(p, t, view.May, shown))
			}
			st.Substeps = append(st.Substeps, ss)
		}
		view.Steps = append(view.Steps, st)
	}
	page := s.page(v, "incident_playbook", v.text.Text("title.incident_playbook")+" "+p.Incident.Number)
	page.Here = "/incidents/" + p.Incident.ID + "/playbook"
	return s.showStatus(v, status, page, view)
}

// playbookMark records what somebody says of an item.
func (s *server) playbookMark(v *visit) error {
	f, err := readForm(v, field{name: "state", max: 32}, field{name: "note", kind: manyLines, max: playbook.MaxText, empty: true},
		field{name: "gate_reason", kind: manyLines, max: playbook.MaxText, empty: true}, field{name: "back", max: 16, empty: true})
	if err != nil {
		return err
	}
	id, item := v.r.PathValue("id"), v.r.PathValue("item")
	if f.ok() {
		w := f.Values
		err := s.workbench.MarkItem(v.ctx(), v.actor, id, item, act.ItemMark{State: playbook.State(w["state"]), Note: w["note"], GateReason: w["gate_reason"]})
		if err == nil {
			to := "/incidents/" + id + "/playbook#" + item
			if w["back"] == "incident" {
				to = "/incidents/" + id + "#playbook"
			}
			return s.done(v, "playbook.marked."+markedAs(w["state"]), to)
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showPlaybook(v, item, f, http.StatusUnprocessableEntity)
}

// markedAs is the state in the name of a text; the act has taken no other.
func markedAs(state string) string {
	if slices.Contains([]string{string(playbook.Done), string(playbook.NotApplicable)}, state) {
		return state
	}
	return string(playbook.Open)
}
