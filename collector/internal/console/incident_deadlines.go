package console

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/deadline"
)

// deadlineView is one deadline as a page shows it.
type deadlineView struct {
	deadline.Deadline
	IncidentID string
	May        bool
	Tone       string // "bad", "warn", "" or "ok"
	Left       time.Duration
	Late       bool
	Desks      []contact.Desk
	Versions   []deadline.Version // newest first, without the one in force
	Met        []deadline.Done    // newest first
	Form       form
}

// Days reports whether it counts days.
func (d deadlineView) Days() bool { return len(d.Clock.Window) > 0 || d.Clock.Days > 0 }

func viewDeadline(d deadline.Deadline, now time.Time) deadlineView {
	v := deadlineView{Deadline: d, Left: d.Due.Sub(now), Late: d.Overdue(now)}
	if v.Left < 0 {
		v.Left = -v.Left
	}
	switch {
	case v.Late:
		v.Tone = "bad"
	case d.Ticking() && (v.Left <= 24*time.Hour || d.InWindow(now)):
		v.Tone = "warn"
	case d.State == deadline.Met:
		v.Tone = "ok"
	}
	return v
}

// deadlineCard is what the page of an incident shows of its deadlines.
type deadlineCard struct {
	IncidentID string
	Next       *deadlineView
	Answered   *deadline.Answered
	Late       int
}

func viewDeadlines(d act.Deadlines, now time.Time) deadlineCard {
	c := deadlineCard{IncidentID: d.Incident.ID, Answered: d.Answered}
	if next, ok := d.Next(); ok {
		v := viewDeadline(next, now)
		c.Next = &v
	}
	c.Late = d.Behind(now)
	return c
}

// questionView is one question with what was answered.
type questionView struct {
	deadline.Question
	Answer string
}

type incidentDeadlinesView struct {
	act.Deadlines
	May       bool
	List      []deadlineView // those that run, the soonest first, then the others
	Questions []questionView
	Before    []deadline.Answered // newest first, without the one in force
	Reviewed  string
	Form      form
}

func (s *server) incidentDeadlines(v *visit) error {
	return s.showDeadlines(v, "", form{}, http.StatusOK)
}

// showDeadlines shows all deadlines; clock is the one whose form is shown again, empty for
// that of the questions.
func (s *server) showDeadlines(v *visit, clock string, f form, status int) error {
	d, err := s.workbench.Deadlines(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	guides := s.workbench.Guides()
	view := incidentDeadlinesView{Deadlines: d, May: abilitiesOf(v.operator.Role).Run, Reviewed: guides.Deadlines.Reviewed().String()}
	for _, x := range d.List {
		dv := viewDeadline(x, v.now)
		dv.IncidentID, dv.May = d.Incident.ID, view.May
		dv.Form = form{Values: map[string]string{"at": v.now.In(jst()).Format(localInput)}}
		if x.Clock.ID == clock {
			dv.Form = f
		}
		for _, id := range x.Clock.Contacts {
			if desk, ok := guides.Contacts.Desk(id); ok {
				dv.Desks = append(dv.Desks, desk)
			}
		}
		for _, old := range slices.Backward(d.Log.Versions) {
			if old.Clock == x.Clock.ID && !old.Same(x) && x.Clock.EveryHours == 0 {
				dv.Versions = append(dv.Versions, old)
			}
		}
		for _, done := range slices.Backward(d.Log.Done) {
			if done.Clock == x.Clock.ID {
				dv.Met = append(dv.Met, done)
			}
		}
		view.List = append(view.List, dv)
	}
	slices.SortStableFunc(view.List, func(a, b deadlineView) int {
		switch x, y := a.Ticking(), b.Ticking(); {
		case x && y:
			return a.Due.Compare(b.Due)
		case x:
			return -1
		case y:
			return 1
		}
		return 0
	})
	for _, q := range guides.Deadlines.Questions() {
		qv := questionView{Question: q}
		if d.Answered != nil {
			qv.Answer = d.Answered.Answers[q.Key]
		}
		if clock == "" && f.Values != nil {
			qv.Answer = f.Values["q-"+q.Key]
		}
		view.Questions = append(view.Questions, qv)
	}
	if n := len(d.Log.Answered); n > 1 {
		view.Before = slices.Clone(d.Log.Answered[:n-1])
		slices.Reverse(view.Before)
	}
	if clock == "" {
		view.Form = f
	}
	p := s.page(v, "incident_deadlines", v.text.Text("title.incident_deadlines")+" "+d.Incident.Number)
	p.Here = "/incidents/" + d.Incident.ID + "/deadlines"
	return s.showStatus(v, status, p, view)
}

// deadlineAnswer records the answers to whether it must be reported.
func (s *server) deadlineAnswer(v *visit) error {
	fields := []field{{name: "note", kind: manyLines, max: deadline.MaxText, empty: true}}
	questions := s.workbench.Guides().Deadlines.Questions()
	for _, q := range questions {
		fields = append(fields, field{name: "q-" + q.Key, max: 32, empty: true})
	}
	f, err := readForm(v, fields...)
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	if f.ok() {
		answers := deadline.Answers{}
		for _, q := range questions {
			answers[q.Key] = f.Values["q-"+q.Key]
		}
		_, err := s.workbench.AnswerReportable(v.ctx(), v.actor, id, answers, f.Values["note"])
		if err == nil {
			return s.done(v, "deadline.answered", "/incidents/"+id+"/deadlines#verdict")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showDeadlines(v, "", f, http.StatusUnprocessableEntity)
}

// deadlineDone records that something was done about a deadline.
func (s *server) deadlineDone(v *visit) error {
	f, err := readForm(v, field{name: "at", max: 32}, field{name: "receipt_no", max: deadline.MaxReceipt, empty: true},
		field{name: "note", kind: manyLines, max: deadline.MaxText, empty: true})
	if err != nil {
		return err
	}
	at, err := parseLocal(f.Values["at"])
	if err != nil && f.Errors["at"] == "" {
		f.Errors["at"] = v.text.Text("invalid.time")
	}
	if at.After(v.now) {
		f.Errors["at"] = v.text.Text("invalid.future")
	}
	id, clock := v.r.PathValue("id"), v.r.PathValue("clock")
	if f.ok() {
		err := s.workbench.MeetDeadline(v.ctx(), v.actor, id, clock, act.DeadlineMet{At: at, ReceiptNo: f.Values["receipt_no"], Note: f.Values["note"]})
		if err == nil {
			return s.done(v, "deadline.done", "/incidents/"+id+"/deadlines#"+clock)
		}
		if !f.refuse(v, err) || errors.Is(err, act.ErrNotFound) {
			return err
		}
	}
	return s.showDeadlines(v, clock, f, http.StatusUnprocessableEntity)
}

// deadlineWithdraw takes back what was recorded last about a deadline.
func (s *server) deadlineWithdraw(v *visit) error {
	f, err := readForm(v, field{name: "reason", kind: manyLines, max: deadline.MaxText})
	if err != nil {
		return err
	}
	id, clock := v.r.PathValue("id"), v.r.PathValue("clock")
	if f.ok() {
		err := s.workbench.WithdrawDone(v.ctx(), v.actor, id, clock, f.Values["reason"])
		if err == nil {
			return s.done(v, "deadline.withdrawn.done", "/incidents/"+id+"/deadlines#"+clock)
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showDeadlines(v, clock, f, http.StatusUnprocessableEntity)
}
