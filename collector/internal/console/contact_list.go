package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"hozen/collector/internal/act"
	"hozen/collector/internal/calendar"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/playbook"
)

// deskView is one desk with whether somebody answers now.
type deskView struct {
	contact.Desk
	Reach   contact.Reach
	Instead *contact.Desk // the one that companies should rather use
	Regions []playbook.Text
}

type deskGroup struct {
	contact.Category
	Desks []deskView
}

// ownView is a contact of the organisation.
type ownView struct {
	contact.Own
	Stale bool
}

type contactListView struct {
	Filter    contact.Filter
	May       bool
	Own       []ownView
	Groups    []deskGroup
	Playbooks []playbook.Playbook
	Regions   []contact.Region
	Reviewed  calendar.Date
	Stale     bool
	Count     int
}

// contactList shows whom to call; printed, it is the call sheet.
func (s *server) contactList(v *visit) error {
	guides := s.workbench.Guides()
	q := v.r.URL.Query()
	f := contact.Filter{Playbook: q.Get("playbook"), Region: q.Get("region"), Open: q.Get("open") == "1"}
	view := contactListView{May: abilitiesOf(v.operator.Role).Run, Regions: guides.Contacts.Regions(), Reviewed: guides.Contacts.ReviewedOn()}
	view.Stale = guides.Contacts.Stale(view.Reviewed, v.now)
	for _, key := range guides.Playbooks.Keys() {
		if p, ok := guides.Playbooks.Find(key); ok && key != playbook.Common {
			view.Playbooks = append(view.Playbooks, p)
		}
	}
	// What an address names and nobody knows is no filter.
	if !slices.ContainsFunc(view.Playbooks, func(p playbook.Playbook) bool { return p.Key == f.Playbook }) {
		f.Playbook = ""
	}
	if !slices.ContainsFunc(view.Regions, func(r contact.Region) bool { return r.Key == f.Region }) {
		f.Region = ""
	}
	view.Filter = f
	own, err := s.workbench.OwnContacts(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	for _, o := range own {
		view.Own = append(view.Own, ownView{Own: o, Stale: guides.Contacts.Stale(calendar.DateOf(o.At), v.now)})
	}
	chosen := guides.Contacts.Choose(f, v.now)
	view.Count = len(chosen)
	for _, c := range guides.Contacts.Categories {
		g := deskGroup{Category: c}
		for _, d := range chosen {
			if d.Category == c.Key {
				g.Desks = append(g.Desks, viewDesk(guides.Contacts, d, v))
			}
		}
		if len(g.Desks) > 0 {
			view.Groups = append(view.Groups, g)
		}
	}
	return s.show(v, "contact_list", view)
}

func viewDesk(book *contact.Book, d contact.Desk, v *visit) deskView {
	dv := deskView{Desk: d, Reach: book.Reach(d, v.now)}
	if other, ok := book.Desk(d.Instead); ok {
		dv.Instead = &other
	}
	for _, r := range book.Regions() {
		if slices.Contains(d.Regions, r.Key) {
			dv.Regions = append(dv.Regions, r.Name)
		}
	}
	return dv
}

type contactEditView struct {
	ID       string // empty: a new one
	Kinds    []contact.Kind
	Versions []contact.Own // newest first
	Form     form
}

func (s *server) contactNewForm(v *visit) error {
	return s.showContact(v, form{Values: map[string]string{"kind": string(contact.Vendor)}}, http.StatusOK)
}

func (s *server) contactEditForm(v *visit) error {
	return s.showContact(v, form{}, http.StatusOK)
}

func (s *server) showContact(v *visit, f form, status int) error {
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	view := contactEditView{ID: v.r.PathValue("id"), Kinds: contact.Kinds(), Form: f}
	title, here := v.text.Text("title.contact_edit"), "/contacts/new"
	if view.ID != "" {
		o, versions, err := s.workbench.OwnContact(v.ctx(), v.actor, view.ID)
		if err != nil {
			return err
		}
		slices.Reverse(versions)
		view.Versions = versions
		if f.Values == nil {
			view.Form.Values = map[string]string{"kind": string(o.Kind), "name": o.Name, "person": o.Person, "tel": o.Tel, "mail": o.Mail, "url": o.URL,
				"hours": o.Hours, "reference": o.Reference, "note": o.Note}
			if o.WithinHours > 0 {
				view.Form.Values["within_hours"] = strconv.Itoa(o.WithinHours)
			}
		}
		title, here = plain(o.Name, 80), "/contacts/"+url.PathEscape(o.ID)
	}
	p := s.page(v, "contact_edit", title)
	p.Here = here
	return s.showStatus(v, status, p, view)
}

func (s *server) contactSave(v *visit) error {
	fields := []field{{name: "kind", max: 32}, {name: "name", max: contact.MaxName}, {name: "url", max: 1024, empty: true},
		{name: "note", kind: manyLines, max: contact.MaxText, empty: true}, {name: "within_hours", max: 5, empty: true}}
	for _, name := range []string{"person", "tel", "mail", "hours", "reference"} {
		fields = append(fields, field{name: name, max: contact.MaxName, empty: true})
	}
	f, err := readForm(v, fields...)
	if err != nil {
		return err
	}
	w := f.Values
	within := 0
	if w["within_hours"] != "" {
		if within, err = strconv.Atoi(w["within_hours"]); err != nil {
			f.Errors["within_hours"] = v.text.Text("invalid.malformed")
		}
	}
	if f.ok() {
		_, err := s.workbench.SaveContact(v.ctx(), v.actor, contact.Own{ID: v.r.PathValue("id"), Kind: contact.Kind(w["kind"]), Name: w["name"], Person: w["person"], Tel: w["tel"],
			Mail: w["mail"], URL: w["url"], Hours: w["hours"], Reference: w["reference"], WithinHours: within, Note: w["note"]})
		if err == nil {
			return s.done(v, "contact.saved", "/contacts#own")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showContact(v, f, http.StatusUnprocessableEntity)
}

func (s *server) contactRemove(v *visit) error {
	if err := s.workbench.RemoveContact(v.ctx(), v.actor, v.r.PathValue("id")); err != nil {
		return err
	}
	return s.done(v, "contact.removed", "/contacts#own")
}
