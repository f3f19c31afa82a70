package console

import (
	"errors"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/playbook"
	"hozen/collector/internal/record"
)

// peopleCard is who is who in an incident: who decides, who leads, who works, who was told
// already and who is to be called next.
type peopleCard struct {
	Incident incident.Incident
	May      bool // answer the record
	Roles    []peopleRole
	Told     []toldView // newest first
	More     int        // others that were told before
	Call     *callView  // nil: nobody can be telephoned
	// Hidden means that who received documents is not for this person's eyes.
	Hidden bool
}

// peopleRole is who has one of the roles in an incident.
type peopleRole struct {
	Role  operator.Role
	Names []string
	Tel   string
	// Account means that these have the role by their accounts: nobody has said in the record
	// who has it in this incident.
	Account bool
	// Hidden means that the accounts are not for this person's eyes, and the record says nothing.
	Hidden bool
}

// toldView is that somebody was told. One of To and Clock is set.
type toldView struct {
	To    string
	Clock playbook.Text
	At    time.Time
	Extra string // number of the document, or of the receipt
}

// maxTold is how many of those who were told stand on the page of an incident.
const maxTold = 6

// peopleCard gathers who is who, from the record, the accounts and what was sent.
func (s *server) peopleCard(v *visit, i incident.Incident, plan act.Workplan, d act.Deadlines) (peopleCard, error) {
	c := peopleCard{Incident: i, May: abilitiesOf(v.operator.Role).Run}
	sheet, err := s.record.Record(v.ctx(), v.actor, i.ID)
	if err != nil {
		return c, err
	}
	accounts, err := s.people.Operators(v.ctx(), v.actor)
	if err != nil && !errors.Is(err, act.ErrForbidden) {
		return c, err
	}
	said, _ := sheet.Get(record.People)
	c.Roles = rolesOf(said.Value, accounts)
	if v.operator.Role == operator.Vendor { // to whom the list of people is empty, without an error
		for n := range c.Roles {
			c.Roles[n].Hidden = len(c.Roles[n].Names) == 0
		}
	}
	if c.Told, c.Hidden, err = s.told(v, i.ID, d); err != nil {
		return c, err
	}
	c.More = max(len(c.Told)-maxTold, 0)
	c.Told = c.Told[:len(c.Told)-c.More]
	c.Call, err = s.viewCall(v, plan.Plan.Playbook.Key)
	return c, err
}

// rolesOf are owner, responsible and handler: as the record of the incident says, else those
// who have the role by their accounts.
func rolesOf(said record.Value, accounts []operator.Operator) []peopleRole {
	of := func(r operator.Role, written, tel string) peopleRole {
		p := peopleRole{Role: r, Tel: tel}
		for name := range strings.Lines(written) {
			if name = strings.TrimSpace(name); name != "" {
				p.Names = append(p.Names, name)
			}
		}
		if len(p.Names) > 0 {
			return p
		}
		p.Account = true
		for _, o := range accounts {
			if o.Role == r && o.DisabledAt.IsZero() {
				p.Names = append(p.Names, o.DisplayName)
			}
		}
		return p
	}
	return []peopleRole{of(operator.Owner, "", ""), of(operator.Responsible, said.Get(record.Responsible), said.Get(record.ResponsiblePhone)),
		of(operator.Handler, said.Get(record.Handlers), "")}
}

// told are those to whom a document went or a deadline was met, the newest first.
func (s *server) told(v *visit, incidentID string, d act.Deadlines) (list []toldView, hidden bool, err error) {
	reports, err := s.reports.Reports(v.ctx(), v.actor, incidentID)
	if errors.Is(err, act.ErrForbidden) {
		hidden, err = true, nil
	}
	if err != nil {
		return nil, false, err
	}
	for _, r := range reports {
		for _, sent := range r.Sendings {
			list = append(list, toldView{To: sent.Recipient, At: sent.SentAt, Extra: r.Number})
		}
	}
	for _, one := range d.List {
		if one.Met != nil {
			t := toldView{Clock: one.Clock.Name, At: one.Met.DoneAt, Extra: one.Met.ReceiptNo}
			if v.operator.Role == operator.Vendor {
				t.Extra = ""
			}
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(x, y toldView) int { return y.At.Compare(x.At) })
	return list, hidden, nil
}

// viewCall is whom to call first in an incident with this playbook; nil: nobody can be telephoned.
func (s *server) viewCall(v *visit, key string) (*callView, error) {
	filter := contact.Filter{}
	others := "/contacts"
	if key != "" && key != playbook.Common {
		filter.Playbook = key
		others += "?playbook=" + key
	}
	own, err := s.workbench.OwnContacts(v.ctx(), v.actor)
	if err != nil {
		return nil, err
	}
	c, ok := s.workbench.Guides().Contacts.First(own, filter, v.now)
	if !ok {
		return nil, nil
	}
	return &callView{c, others}, nil
}

// briefStep is a step of the playbook in the column of an incident's page.
type briefStep struct {
	No    int
	Name  playbook.Text
	Done  int
	Here  bool // the next item stands in it
	Tasks []playbook.Task
}

// briefSteps are the steps with their items, without what can be pressed.
func briefSteps(p playbook.Plan) []briefStep {
	var list []briefStep
	for n, step := range p.Steps {
		b := briefStep{No: n + 1, Name: step.Name}
		for _, sub := range step.Substeps {
			for _, t := range sub.Tasks {
				if t.State != playbook.Open || t.Itself {
					b.Done++
				}
				b.Here = b.Here || p.Next != nil && p.Next.ID == t.ID
				b.Tasks = append(b.Tasks, t)
			}
		}
		if len(b.Tasks) > 0 {
			list = append(list, b)
		}
	}
	return list
}
