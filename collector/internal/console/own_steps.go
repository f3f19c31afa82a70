package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/playbook"
)

// ownStepsView are the steps that the organisation has added, and the form of one.
type ownStepsView struct {
	May       bool // change them
	Books     []ownStepBook
	Retired   []playbook.OwnItem
	ID        string // of the one that is worded anew; empty: a new one
	Playbooks []playbook.Playbook
	Substeps  []playbook.Named
	Modes     []playbook.Mode
	Whos      []string
	Form      form
}

// ownStepBook are the steps of one playbook, by the heading under which they stand.
type ownStepBook struct {
	Name  playbook.Text
	Parts []ownStepPart
}

type ownStepPart struct {
	Name  playbook.Text
	Items []playbook.OwnItem
}

func (s *server) ownStepsForm(v *visit) error {
	return s.showOwnSteps(v, form{}, http.StatusOK)
}

// showOwnSteps shows the steps with the form of a new one, or of the one that the address names.
func (s *server) showOwnSteps(v *visit, f form, status int) error {
	list, err := s.workbench.OwnSteps(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	book := s.workbench.Guides().Playbooks
	view := ownStepsView{May: v.operator.Role == operator.Owner || v.operator.Role == operator.Responsible, ID: v.r.PathValue("id"), Substeps: book.Substeps(),
		Modes: playbook.OwnModes(), Whos: playbook.Whos(), Form: f}
	for _, key := range book.Keys() {
		p, _ := book.Find(key)
		view.Playbooks = append(view.Playbooks, p)
		b := ownStepBook{Name: p.Name}
		for _, sub := range view.Substeps {
			part := ownStepPart{Name: sub.Name}
			for _, i := range list {
				if i.Playbook == key && i.Substep == sub.Key && !i.Retired {
					part.Items = append(part.Items, shownStep(i))
				}
			}
			if len(part.Items) > 0 {
				b.Parts = append(b.Parts, part)
			}
		}
		if len(b.Parts) > 0 {
			view.Books = append(view.Books, b)
		}
	}
	for _, i := range list {
		if i.Retired {
			view.Retired = append(view.Retired, shownStep(i))
		}
	}
	here := "/settings/steps"
	if view.ID != "" {
		n := slices.IndexFunc(list, func(i playbook.OwnItem) bool { return i.ID == view.ID })
		if n < 0 {
			return act.ErrNotFound
		}
		here += "/" + url.PathEscape(view.ID)
		if f.Values == nil {
			view.Form.Values = stepValues(list[n])
		}
	} else if f.Values == nil {
		view.Form.Values = map[string]string{"mode": string(playbook.Remind), "who_" + playbook.ByHandler: "1"}
	}
	p := s.page(v, "own_steps", v.text.Text("title.own_steps"))
	p.Here = here
	return s.showStatus(v, status, p, view)
}

// shownStep is a step as the playbooks show it: without English, in Japanese.
func shownStep(i playbook.OwnItem) playbook.OwnItem {
	i.Text.EN, i.When.EN = cmp.Or(i.Text.EN, i.Text.JA), cmp.Or(i.When.EN, i.When.JA)
	return i
}

func stepValues(i playbook.OwnItem) map[string]string {
	values := map[string]string{"playbook": i.Playbook, "substep": i.Substep, "mode": string(i.Mode), "text_ja": i.Text.JA, "text_en": i.Text.EN, "when_ja": i.When.JA, "when_en": i.When.EN}
	for _, w := range i.Who {
		values["who_"+w] = "1"
	}
	return values
}

// ownStepSave adds a step, or words one anew.
func (s *server) ownStepSave(v *visit) error {
	fields := []field{{name: "playbook", max: 64}, {name: "substep", max: 64}, {name: "mode", max: 16}, {name: "text_ja", max: playbook.MaxOwnText},
		{name: "text_en", max: playbook.MaxOwnText, empty: true}, {name: "when_ja", max: playbook.MaxOwnText, empty: true}, {name: "when_en", max: playbook.MaxOwnText, empty: true}}
	for _, w := range playbook.Whos() {
		fields = append(fields, field{name: "who_" + w, max: 1, empty: true})
	}
	f, err := readForm(v, fields...)
	if err != nil {
		return err
	}
	w := f.Values
	i := playbook.OwnItem{ID: v.r.PathValue("id"), Playbook: w["playbook"], Substep: w["substep"], Mode: playbook.Mode(w["mode"]),
		Text: playbook.Text{JA: w["text_ja"], EN: w["text_en"]}, When: playbook.Text{JA: w["when_ja"], EN: w["when_en"]}}
	for _, who := range playbook.Whos() {
		if w["who_"+who] == "1" {
			i.Who = append(i.Who, who)
		}
	}
	if f.ok() {
		err := s.workbench.SaveOwnStep(v.ctx(), v.actor, i)
		if err == nil {
			return s.done(v, "own_steps.saved", "/settings/steps")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showOwnSteps(v, f, http.StatusUnprocessableEntity)
}

func (s *server) ownStepRaise(v *visit) error {
	if err := s.workbench.RaiseOwnStep(v.ctx(), v.actor, v.r.PathValue("id")); err != nil {
		return err
	}
	return s.done(v, "own_steps.saved", "/settings/steps")
}

func (s *server) ownStepRetire(v *visit) error {
	f, err := readForm(v, field{name: "retired", max: 1, empty: true})
	if err != nil {
		return err
	}
	retired, said := f.Values["retired"] == "1", "own_steps.back"
	if retired {
		said = "own_steps.retired"
	}
	if err := s.workbench.RetireOwnStep(v.ctx(), v.actor, v.r.PathValue("id"), retired); err != nil {
		return err
	}
	return s.done(v, said, "/settings/steps")
}
