package console

import (
	"errors"
	"net/http"

	"hozen/collector/internal/act"
	"hozen/collector/internal/exhibit"
)

type exhibitDisposeView struct {
	act.Disposal
	// Why says why it may not be disposed of now: "held", "open", "kept" or "done"; empty: it may.
	Why  string
	Form form
}

// exhibitDisposeForm shows what would be destroyed, before anybody orders it.
func (s *server) exhibitDisposeForm(v *visit) error {
	return s.showDispose(v, form{}, http.StatusOK)
}

func (s *server) showDispose(v *visit, f form, status int) error {
	if !abilitiesOf(v.operator.Role).Hold {
		return act.ErrForbidden
	}
	x, _, err := s.exhibitOf(v)
	if err != nil {
		return err
	}
	g, err := s.disposals.DisposalOf(v.ctx(), v.actor, x.ID)
	view := exhibitDisposeView{Disposal: g, Form: f}
	switch {
	case errors.Is(err, act.ErrHeld):
		view.Why = "held"
	case errors.Is(err, act.ErrRetained) && g.Custody.GoesOn.ClosedAt.IsZero():
		view.Why = "open"
	case errors.Is(err, act.ErrRetained):
		view.Why = "kept"
	case errors.Is(err, act.ErrConflict):
		view.Why = "done"
	case err != nil:
		return err
	}
	p := s.page(v, "exhibit_dispose", v.text.Text("title.exhibit_dispose")+" "+x.Number)
	p.Here = exhibitPath(g.Custody.Incident.ID, x.Short()) + "/dispose"
	return s.showStatus(v, status, p, view)
}

// exhibitDispose destroys what was shown.
func (s *server) exhibitDispose(v *visit) error {
	f, err := readForm(v, field{name: "reason", kind: manyLines, max: exhibit.MaxText}, field{name: "confirmed", max: 64, empty: true}, field{name: "sure", max: 8, empty: true})
	if err != nil {
		return err
	}
	if f.Values["sure"] == "" {
		f.Errors["sure"] = v.text.Text("dispose.sure.missing")
	}
	if f.ok() {
		x, c, err := s.exhibitOf(v)
		if err != nil {
			return err
		}
		answer := unhurried(v)
		_, err = s.disposals.DisposeExhibit(v.ctx(), v.actor, x.ID, f.Values["reason"], f.Values["confirmed"])
		answer()
		if err == nil {
			return s.done(v, "dispose.done", exhibitPath(c.Incident.ID, x.Short())+"#proof")
		}
		if errors.Is(err, act.ErrHeld) || errors.Is(err, act.ErrRetained) || errors.Is(err, act.ErrConflict) { // the page says why
			return s.showDispose(v, f, http.StatusConflict)
		}
		if !f.refuse(v, err) {
			return err
		}
		if f.Errors["confirmed"] != "" {
			f.Errors["confirmed"] = v.text.Text("dispose.changed")
		}
	}
	return s.showDispose(v, f, http.StatusUnprocessableEntity)
}
