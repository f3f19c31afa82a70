package console

import (
	"cmp"
	"slices"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/playbook"
)

// nowView answers the three questions of the first page: is anything on fire, what do I
// press, whom do I call.
type nowView struct {
	Fires []fire // none: it is calm
	Press press
	Call  *callView // nil: nobody can be telephoned
	Case  *incident.Incident
	May   bool // add a contact
}

// fire is one thing that burns.
type fire struct {
	Key  string // of its sentence, now.fire.<key>
	N    int
	Link string
}

// press is the one action that the page offers first.
type press struct {
	Key  string // of its words, now.press.<key> and now.press.<key>.do
	Link string
	Name string        // of the incident or the endpoint; empty: none
	Next playbook.Text // the step that comes next; empty: none
	Icon string
}

// callView is whom to call, and where the others stand.
type callView struct {
	contact.Call
	Others string
}

// uncut are the endpoints that ought to be isolated and are not known to be, whatever the
// reason: what they are ordered to be is not what was measured just now.
func uncut(all []endpointView, orders map[string]bool) []endpointView {
	return slices.DeleteFunc(slices.Clone(all), func(e endpointView) bool {
		if e.Presence == "revoked" || e.Isolation.State == string(endpoint.Isolated) {
			return true
		}
		return e.Measured().Desired != endpoint.Isolated && !orders[e.ID]
	})
}

// uncutOrders are the endpoints with an order to isolate that was not carried out.
func (s *server) uncutOrders(v *visit) (map[string]bool, error) {
	list, err := s.uncut.UncutOrders(v.ctx(), v.actor)
	if err != nil {
		return nil, err
	}
	of := map[string]bool{}
	for _, c := range list {
		of[c.EndpointID] = true
	}
	return of, nil
}

// viewNow looks at what the first page has found out.
func (s *server) viewNow(v *visit, d *dashboardView, next []act.NextDeadline) error {
	orders, err := s.uncutOrders(v)
	if err != nil {
		return err
	}
	open, late, dark := uncut(d.Endpoints, orders), 0, 0
	for _, n := range next {
		late += n.Behind
		if n.Unknown {
			dark++
		}
	}
	one := func(n int, link, all string) string {
		if n == 1 {
			return link
		}
		return all
	}
	add := func(key string, n int, link string) {
		if n > 0 {
			d.Now.Fires = append(d.Now.Fires, fire{key, n, link})
		}
	}
	if len(d.Incidents) > 0 {
		add("incidents", len(d.Incidents), one(len(d.Incidents), "/incidents/"+d.Incidents[0].ID, "/incidents"))
	}
	if len(open) > 0 {
		add("uncut", len(open), one(len(open), "/endpoints/"+open[0].ID, "#endpoints"))
	}
	if late+dark > 0 {
		where := "#h-next-deadlines"
		if len(next) == 1 {
			where = "/incidents/" + next[0].Incident.ID + "/deadlines"
		}
		add("late", late, where)
		add("dark", dark, where)
	}
	if d.Ledger != "" {
		add("ledger", 1, "/ledger")
	}
	add("watch", d.Urgent, "/watch")

	d.Now.Case = theCase(d.Incidents, next)
	key := ""
	if d.Now.Case != nil {
		plan, err := s.workbench.Workplan(v.ctx(), v.actor, d.Now.Case.ID)
		if err != nil {
			return err
		}
		key = plan.Plan.Playbook.Key
		if plan.Plan.Next != nil {
			d.Now.Press.Next = plan.Plan.Next.Text
		}
	}
	s.viewPress(v, d, open)
	d.Now.May = abilitiesOf(v.operator.Role).Run
	d.Now.Call, err = s.viewCall(v, key)
	return err
}

// viewPress chooses the one action: to cut what is open, then to go on with an incident, then
// to let in who waits; and where nothing burns, what to do when something does.
func (s *server) viewPress(v *visit, d *dashboardView, open []endpointView) {
	may, p := abilitiesOf(v.operator.Role), &d.Now.Press
	set := func(key, icon, link, name string) { p.Key, p.Icon, p.Link, p.Name = key, icon, link, name }
	switch {
	case len(d.Endpoints) == 0 && may.Enrol:
		set("add", "plus", "/endpoints/add", "")
	case len(open) > 0 && may.Order:
		// One that can be reached comes first: there a button does something now.
		slices.SortStableFunc(open, func(x, y endpointView) int {
			return -cmp.Compare(btoi(x.Online), btoi(y.Online))
		})
		set("uncut", "lock", "/endpoints/"+open[0].ID, open[0].Name)
		p.Next = playbook.Text{}
	case d.Now.Case != nil:
		set("incident", "arrow", "/incidents/"+d.Now.Case.ID, d.Now.Case.Number)
	case len(d.Requests) > 0:
		set("requests", "arrow", "#h-requests", "")
	case may.Run:
		set("report", "flag", "/incidents/new", "")
	default:
		set("look", "arrow", "/incidents", "")
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// theCase is the incident that comes first: one whose deadlines nobody knows or that is
// behind, else the newest; nil where none is open.
func theCase(open []incident.Incident, next []act.NextDeadline) *incident.Incident {
	for _, n := range next {
		if n.Unknown || n.Behind > 0 {
			if at := slices.IndexFunc(open, func(i incident.Incident) bool { return i.ID == n.Incident.ID }); at >= 0 {
				return &open[at]
			}
		}
	}
	if len(open) == 0 {
		return nil
	}
	newest := slices.MaxFunc(open, func(a, b incident.Incident) int { return a.OpenedAt.Compare(b.OpenedAt) })
	return &newest
}
