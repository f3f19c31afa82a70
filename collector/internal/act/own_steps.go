package act

import (
	"context"
	"errors"
	"strconv"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/organisation"
	"hozen/internal/digest"
)

// actOwnSteps is the act of the ledger's entry of a version of the organisation's own steps.
const actOwnSteps = "organisation.own_steps"

// ownSteps are the items that the organisation adds to playbooks, as they are used. The zero
// value is none.
type ownSteps struct {
	text  []byte
	items int
	// broken means that there is a file that can't be used.
	broken bool
	// problem says what is wrong with it, line by line.
	problem string
}

// add adds the items of a file to the playbooks. One that is wrong in anything adds nothing.
func (g *Guides) add(text []byte) (ownSteps, error) {
	if len(text) == 0 {
		return ownSteps{}, nil
	}
	more, n, err := g.Playbooks.With(text)
	if err != nil {
		return ownSteps{broken: true, problem: err.Error()}, err
	}
	g.Playbooks = more
	return ownSteps{text: text, items: n}, nil
}

// RecordOwnSteps keeps in the ledger by which own steps the playbooks go from now on, where they
// are others than before. The whole file stands in the entry, so that what a tick of then
// was about can be read for ever. One that can't be used is no version.
func (s *Acts) RecordOwnSteps(ctx context.Context) error {
	if s.own.broken {
		return nil
	}
	orgs, err := organisation.All(ctx, s.db.Read())
	if err != nil {
		return err
	}
	var wrong []error
	for _, o := range orgs {
		wrong = append(wrong, s.transact(ctx, func(ctx context.Context, d *deed) error {
			d.actor = Actor{Kind: BySystem, OrganisationID: o.ID}
			list, err := ledger.Entries(ctx, d.tx, ledger.Filter{OrganisationID: o.ID, Act: actOwnSteps, Limit: 1})
			if err != nil {
				return err
			}
			before, now := "", ""
			if len(list) > 0 {
				before = list[0].Details["sha256"]
			}
			if len(s.own.text) > 0 {
				now = digest.Of(s.own.text).String()
			}
			if now == before {
				return nil
			}
			_, err = d.record(ctx, actOwnSteps, o.ID, map[string]string{"sha256": now, "items": strconv.Itoa(s.own.items), "file": string(s.own.text)})
			return err
		}))
	}
	return errors.Join(wrong...)
}
