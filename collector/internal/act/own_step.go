package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"hozen/collector/internal/playbook"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// ownBooks keeps the playbooks with the steps of organisations, by what these have written.
type ownBooks struct {
	mu sync.Mutex
	m  map[string]ownBook // by organisation
}

type ownBook struct {
	text    string
	book    *playbook.Book
	problem string
}

// book is what an organisation goes by: the guide, the file of own steps, and those that it
// has added at the console. Where these cannot be used, as with a newer version of the data, the
// others are, and problem says what is wrong.
func (s *Acts) book(ctx context.Context, q sqldb.Queryer, organisationID string) (b *playbook.Book, problem string, err error) {
	text, err := playbook.FindOwn(ctx, q, organisationID)
	if err != nil || text == "" {
		return s.guides.Playbooks, "", err
	}
	s.books.mu.Lock()
	defer s.books.mu.Unlock()
	if k, ok := s.books.m[organisationID]; ok && k.text == text {
		return k.book, k.problem, nil
	}
	k := ownBook{text: text, book: s.guides.Playbooks}
	if with, err := s.withSteps(text); err != nil {
		k.problem = err.Error()
	} else {
		k.book = with
	}
	if s.books.m == nil {
		s.books.m = map[string]ownBook{}
	}
	s.books.m[organisationID] = k
	return k.book, k.problem, nil
}

// withSteps are the playbooks with those steps of a text that are in use.
func (s *Acts) withSteps(text string) (*playbook.Book, error) {
	own, err := playbook.ReadOwn(text)
	if err != nil {
		return nil, err
	}
	if text, err = own.InUse().Text(); err != nil || text == "" {
		return s.guides.Playbooks, err
	}
	with, _, err := s.guides.Playbooks.With([]byte(text))
	return with, err
}

// OwnSteps returns the steps that the actor's organisation has added to playbooks at the console, in
// their order, retired ones too.
func (s *Acts) OwnSteps(ctx context.Context, a Actor) ([]playbook.OwnItem, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]playbook.OwnItem, error) {
		text, err := playbook.FindOwn(ctx, q, a.OrganisationID)
		if err != nil {
			return nil, err
		}
		own, err := playbook.ReadOwn(text)
		return own.Items, err
	})
}

// SaveOwnStep adds a step, behind the others, or words it anew where the item has an identifier.
func (s *Acts) SaveOwnStep(ctx context.Context, a Actor, i playbook.OwnItem) error {
	i.Text.JA, i.Text.EN = strings.TrimSpace(i.Text.JA), strings.TrimSpace(i.Text.EN)
	i.When.JA, i.When.EN = strings.TrimSpace(i.When.JA), strings.TrimSpace(i.When.EN)
	return s.changeSteps(ctx, a, func(list []playbook.OwnItem) ([]playbook.OwnItem, error) {
		if i.ID == "" {
			i.ID, i.Retired = strings.TrimPrefix(id.New(id.PlaybookMark), string(id.PlaybookMark)+"_"), false
			return append(list, i), s.checkStep(i)
		}
		n, err := stepIn(list, i.ID)
		if err != nil {
			return nil, err
		}
		if i.Playbook != list[n].Playbook { // its ticks name the playbook
			return nil, &Invalid{Field: "playbook", Code: "changed", Err: errors.New("a step stays in its playbook; retire it and add another")}
		}
		i.Retired = list[n].Retired
		list[n] = i
		return list, s.checkStep(i)
	})
}

// RaiseOwnStep puts a step before the one that stands before it in the same place of the same playbook.
func (s *Acts) RaiseOwnStep(ctx context.Context, a Actor, stepID string) error {
	return s.changeSteps(ctx, a, func(list []playbook.OwnItem) ([]playbook.OwnItem, error) {
		n, err := stepIn(list, stepID)
		if err != nil {
			return nil, err
		}
		for k := n - 1; k >= 0; k-- {
			if b := list[k]; b.Playbook == list[n].Playbook && b.Substep == list[n].Substep && b.Retired == list[n].Retired {
				list[k], list[n] = list[n], list[k]
				break
			}
		}
		return list, nil
	})
}

// RetireOwnStep takes a step out of the playbooks, or back into them. What was said of it in
// incidents stays on their timelines and in the ledger.
func (s *Acts) RetireOwnStep(ctx context.Context, a Actor, stepID string, retired bool) error {
	return s.changeSteps(ctx, a, func(list []playbook.OwnItem) ([]playbook.OwnItem, error) {
		n, err := stepIn(list, stepID)
		if err != nil {
			return nil, err
		}
		list[n].Retired = retired
		return list, nil
	})
}

func stepIn(list []playbook.OwnItem, stepID string) (int, error) {
	n := slices.IndexFunc(list, func(i playbook.OwnItem) bool { return i.ID == stepID })
	if n < 0 {
		return 0, fmt.Errorf("%w: there is no own step %.40q", ErrNotFound, stepID)
	}
	return n, nil
}

// changeSteps stores another version of the organisation's steps. One that says the same is none.
func (s *Acts) changeSteps(ctx context.Context, a Actor, change func([]playbook.OwnItem) ([]playbook.OwnItem, error)) error {
	return s.write(ctx, a, maySettle, func(ctx context.Context, d *deed) error {
		before, err := playbook.FindOwn(ctx, d.tx, d.actor.OrganisationID)
		if err != nil {
			return err
		}
		own, err := playbook.ReadOwn(before)
		if err != nil {
			return err
		}
		if own.Items, err = change(own.Items); err != nil {
			return err
		}
		text, err := own.Text()
		if err != nil || text == before {
			return err
		}
		if len(text) > playbook.MaxOwn {
			return &Invalid{Field: "text_ja", Code: "too_long", Err: fmt.Errorf("all steps together have more than %d bytes", playbook.MaxOwn)}
		}
		if _, err := s.withSteps(text); err != nil {
			return &Invalid{Field: "text_ja", Code: "malformed", Err: err}
		}
		if err := playbook.SetOwn(ctx, d.tx, d.actor.OrganisationID, text); err != nil {
			return err
		}
		_, err = d.record(ctx, playbook.ActOwn, d.actor.OrganisationID, map[string]string{playbook.OwnText: text, "items": strconv.Itoa(len(own.InUse().Items))})
		return err
	})
}

// checkStep refuses a step that cannot stand in a playbook, by its field.
func (s *Acts) checkStep(i playbook.OwnItem) error {
	if err := errors.Join(text("text_ja", i.Text.JA, playbook.MaxOwnText, true), text("text_en", i.Text.EN, playbook.MaxOwnText, false),
		text("when_ja", i.When.JA, playbook.MaxOwnText, i.When.EN != ""), text("when_en", i.When.EN, playbook.MaxOwnText, false)); err != nil {
		return err
	}
	unknown := func(field string, known bool) error {
		if known {
			return nil
		}
		return &Invalid{Field: field, Code: "unknown", Err: errors.New("there is no such one")}
	}
	if len(i.Who) == 0 {
		return &Invalid{Field: "who", Code: "required", Err: errors.New("somebody has to do it")}
	}
	return errors.Join(
		unknown("playbook", slices.Contains(s.guides.Playbooks.Keys(), i.Playbook)),
		unknown("substep", slices.ContainsFunc(s.guides.Playbooks.Substeps(), func(n playbook.Named) bool { return n.Key == i.Substep })),
		unknown("mode", slices.Contains(playbook.OwnModes(), i.Mode)),
		unknown("who", !slices.ContainsFunc(i.Who, func(w string) bool { return !slices.Contains(playbook.Whos(), w) })))
}
