package console

import (
	"net/http"
	"strconv"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/phone"
)

type linkListView struct {
	Kind     phone.Kind
	Incident incident.Incident // of links for photographs
	Action   string            // where the form goes
	Links    []linkView
	Hours    []int // how long a link may be good
	Form     form
}

type linkView struct {
	phone.Link
	Good bool
}

// linkList shows the links for reports, or those of an incident for photographs.
func (s *server) linkList(v *visit) error {
	return s.showLinks(v, form{}, http.StatusOK)
}

func (s *server) showLinks(v *visit, f form, status int) error {
	view := linkListView{Kind: phone.Reports, Action: "/links", Form: f}
	title := v.text.Text("title.link_list")
	if named := v.r.PathValue("id"); named != "" {
		var err error
		if view.Incident, err = s.incidents.Incident(v.ctx(), v.actor, named); err != nil {
			return err
		}
		view.Kind, view.Action, title = phone.Photos, "/incidents/"+view.Incident.ID+"/links", v.text.Text("title.link_photo")+" "+view.Incident.Number
	}
	list, err := s.links.Links(v.ctx(), v.actor, view.Incident.ID)
	if err != nil {
		return err
	}
	for _, l := range list {
		view.Links = append(view.Links, linkView{l, l.Good(v.now)})
	}
	for _, life := range view.Kind.Lives() {
		view.Hours = append(view.Hours, int(life/time.Hour))
	}
	p := s.page(v, "link_list", title)
	p.Here = view.Action
	return s.showStatus(v, status, p, view)
}

// linkNew makes a link and leads to its page.
func (s *server) linkNew(v *visit) error {
	f, err := readForm(v, field{name: "note", max: phone.MaxNote, empty: true}, field{name: "hours", max: 8})
	if err != nil {
		return err
	}
	n := act.NewLink{Kind: phone.Reports, IncidentID: v.r.PathValue("id"), Note: f.Values["note"]}
	if n.IncidentID != "" {
		n.Kind = phone.Photos
	}
	hours, err := strconv.Atoi(f.Values["hours"])
	if n.Life = time.Duration(hours) * time.Hour; err != nil || !n.Kind.May(n.Life) {
		f.Errors["hours"] = v.text.Text("invalid.unknown")
	}
	if f.ok() {
		l, err := s.links.MakeLink(v.ctx(), v.actor, n)
		if err == nil {
			return s.done(v, "link.made", "/links/"+l.ID)
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showLinks(v, f, http.StatusUnprocessableEntity)
}
