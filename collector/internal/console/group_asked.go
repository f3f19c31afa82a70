package console

import (
	"errors"
	"net/http"

	"hozen/collector/internal/act"
)

type groupAskedView struct {
	Waiting act.GroupWaiting
	Deed    string
	Members []endpointView
	Error   string // translated
	Form    form
}

// groupAsked shows an order to a group that waits for a second person, as it would be now.
func (s *server) groupAsked(v *visit) error { return s.showGroupAsked(v, "", form{}, http.StatusOK) }

func (s *server) showGroupAsked(v *visit, problem string, f form, status int) error {
	w, err := s.groups.GroupWaiting(v.ctx(), v.actor, v.r.PathValue("id"), operatorAddr(v.r))
	if err != nil {
		return err
	}
	view := groupAskedView{Waiting: w, Deed: string(w.Order.Verb), Error: problem, Form: f}
	for _, m := range w.Preview.Members {
		if m.LeftOut == "" {
			view.Members = append(view.Members, viewEndpoint(m.Endpoint, v.now))
		}
	}
	p := s.page(v, "group_asked", v.text.Text("title.group_asked"))
	p.Here = "/groups/asked/" + w.Asked.ID
	return s.showStatus(v, status, p, view)
}

func (s *server) groupAgree(v *visit) error {
	f, err := readForm(v, field{name: "break_glass", max: maxReason, empty: true})
	if err != nil {
		return err
	}
	g, err := s.groups.AgreeGroup(v.ctx(), v.actor, v.r.PathValue("id"), f.Values["break_glass"], operatorAddr(v.r))
	if waits, own := errors.AsType[*act.SecondPerson](err); own && waits.Handed {
		return s.showGroupAsked(v, v.text.Text("second.handed"), f, http.StatusConflict)
	} else if own {
		return s.showGroupAsked(v, v.text.Text("group.asked.own"), f, http.StatusConflict)
	}
	if invalid, ok := errors.AsType[*act.Invalid](err); ok && invalid.Field == "break_glass" {
		f.refuse(v, err)
		return s.showGroupAsked(v, "", f, http.StatusUnprocessableEntity)
	} else if ok {
		return s.showGroupAsked(v, v.text.Text("group.asked.changed"), f, http.StatusConflict)
	}
	if err != nil {
		return err
	}
	return s.done(v, "group."+g.Verb+".done", "/groups/"+g.ID)
}

func (s *server) groupRefuse(v *visit) error {
	f, err := readForm(v, field{name: "reason", max: maxReason, empty: true})
	if err != nil {
		return err
	}
	if err := s.groups.RefuseGroup(v.ctx(), v.actor, v.r.PathValue("id"), f.Values["reason"]); err != nil {
		return err
	}
	return s.done(v, "group.asked.refused", "/groups")
}
