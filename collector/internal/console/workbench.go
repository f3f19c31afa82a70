package console

import (
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/internal/i18n"
)

// fillWorkbench puts the next step and the next deadline on the page of an incident.
func (s *server) fillWorkbench(v *visit, incidentID string, view *incidentShowView) error {
	p, err := s.workbench.Workplan(v.ctx(), v.actor, incidentID)
	if err != nil {
		return err
	}
	d, err := s.workbench.Deadlines(v.ctx(), v.actor, incidentID)
	if err != nil {
		return err
	}
	view.Playbook, view.Deadlines, view.Steps = s.viewPlaybook(v, p), viewDeadlines(d, v.now), briefSteps(p.Plan)
	view.People, err = s.peopleCard(v, view.Incident, p, d)
	return err
}

// dashboardDeadline is the deadline of an incident that ends first.
type dashboardDeadline struct {
	deadlineView
	Incident incident.Incident
	Behind   int // deadlines of the incident whose time is over
	Unknown  bool
}

// maxDeadlines is how many the first page shows.
const maxDeadlines = 3

func viewNextDeadlines(all []act.NextDeadline, now time.Time) []dashboardDeadline {
	var list []dashboardDeadline
	for _, n := range all {
		d := dashboardDeadline{Incident: n.Incident, Behind: n.Behind, Unknown: n.Unknown}
		if !n.Unknown {
			d.deadlineView = viewDeadline(n.Deadline, now)
		}
		list = append(list, d)
	}
	return list[:min(len(list), maxDeadlines)]
}

// workbenchFacts are the facts of an entry about the playbook or a deadline that its
// sentence leaves out.
func workbenchFacts(p i18n.Printer, e incident.Entry) []string {
	var out []string
	language := string(p.Language())
	for _, line := range strings.Split(e.Params["facts_"+language], "\n") {
		if line != "" {
			out = append(out, own(line, 300))
		}
	}
	for _, line := range strings.Split(e.Params["closed_"+language], "\n") {
		if line != "" {
			out = append(out, p.Text("playbook.gate.was_closed", "gate", own(line, 300)))
		}
	}
	if r := e.Params["gate_reason"]; r != "" {
		out = append(out, p.Text("playbook.gate.answered", "reason", own(r, 1000)))
	}
	if at, err := time.Parse(time.RFC3339Nano, e.Params["done_at"]); err == nil {
		out = append(out, p.Text("deadline.done_at", "at", clock(at)))
	}
	if r := e.Params["receipt_no"]; r != "" {
		out = append(out, p.Text("deadline.receipt", "no", own(r, 120)))
	}
	return out
}
