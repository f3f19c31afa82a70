package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
)

// parseCount reads a number as a form has it, with or without separators of thousands.
func parseCount(s string) (int64, error) {
	return strconv.ParseInt(strings.ReplaceAll(s, ",", ""), 10, 64)
}

// momentOf reads a moment of a form. It is now where it is the present minute: the form has
// no seconds.
func momentOf(v *visit, f form, name string) time.Time {
	at, err := parseLocal(f.Values[name])
	switch {
	case err != nil && f.Errors[name] == "":
		f.Errors[name] = v.text.Text("invalid.time")
	case at.After(v.now.Add(time.Minute)):
		f.Errors[name] = v.text.Text("invalid.future")
	case at.Equal(v.now.In(jst()).Truncate(time.Minute)):
		return v.now
	}
	return at
}

type incidentDecisionsView struct {
	Incident  incident.Incident
	May       abilities
	Decisions []record.Decision // newest first
	Kinds     []record.DecisionKind
	Form      form
}

func (s *server) incidentDecisionsForm(v *visit) error {
	return s.showDecisions(v, form{}, http.StatusOK)
}

func (s *server) showDecisions(v *visit, f form, status int) error {
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := incidentDecisionsView{Incident: i, May: abilitiesOf(v.operator.Role), Kinds: record.DecisionKinds()}
	if view.Decisions, err = s.logs.Decisions(v.ctx(), v.actor, i.ID); err != nil {
		return err
	}
	slices.Reverse(view.Decisions)
	if f.Values == nil {
		kind := record.DecisionKind(v.r.URL.Query().Get("kind"))
		if !kind.Valid() {
			kind = record.DecideOther
		}
		f.Values = map[string]string{"kind": string(kind), "decided_at": v.now.In(jst()).Format(localInput)}
	}
	view.Form = f
	p := s.page(v, "incident_decisions", v.text.Text("title.incident_decisions")+" "+i.Number)
	p.Here = "/incidents/" + i.ID + "/decisions"
	return s.showStatus(v, status, p, view)
}

// incidentDecide records a decision.
func (s *server) incidentDecide(v *visit) error {
	f, err := readForm(v, field{name: "kind", max: 32}, field{name: "decided_at", max: 32}, field{name: "decider", max: record.MaxName},
		field{name: "options", kind: manyLines, max: record.MaxText}, field{name: "facts", kind: manyLines, max: record.MaxText},
		field{name: "decision", kind: manyLines, max: record.MaxText}, field{name: "reason", kind: manyLines, max: record.MaxText})
	if err != nil {
		return err
	}
	at := momentOf(v, f, "decided_at")
	if f.ok() {
		w, id := f.Values, v.r.PathValue("id")
		_, err := s.logs.RecordDecision(v.ctx(), v.actor, id, record.Decision{Kind: record.DecisionKind(w["kind"]), Options: w["options"], Facts: w["facts"], Decision: w["decision"],
			Reason: w["reason"], Decider: w["decider"], DecidedAt: at})
		if err == nil {
			return s.done(v, "record.decided", "/incidents/"+id+"/decisions#log")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	return s.showDecisions(v, f, http.StatusUnprocessableEntity)
}

type incidentEnquiriesView struct {
	Incident  incident.Incident
	May       abilities
	Enquiries []record.Enquiry // newest first
	Channels  []record.Channel
	Waiting   int // without an answer, and nothing follows
	Open      map[int64]bool
	Form      form
}

func (s *server) incidentEnquiriesForm(v *visit) error {
	return s.showEnquiries(v, form{}, http.StatusOK)
}

func (s *server) showEnquiries(v *visit, f form, status int) error {
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := incidentEnquiriesView{Incident: i, May: abilitiesOf(v.operator.Role), Channels: record.Channels(), Open: map[int64]bool{}}
	if view.Enquiries, err = s.logs.Enquiries(v.ctx(), v.actor, i.ID); err != nil {
		return err
	}
	answered := map[int64]bool{}
	for _, e := range view.Enquiries { // newest first: what follows comes before what it follows
		if e.Answer != "" || answered[e.No] {
			answered[e.Follows] = true
		} else {
			view.Open[e.No] = true
		}
	}
	view.Waiting = len(view.Open)
	if f.Values == nil {
		f.Values = map[string]string{"channel": string(record.ByPhone), "asked_at": v.now.In(jst()).Format(localInput)}
		if no, err := parseCount(v.r.URL.Query().Get("follows")); err == nil {
			for _, e := range view.Enquiries {
				if e.No == no {
					f.Values["follows"], f.Values["who"], f.Values["contact"], f.Values["channel"] = strconv.FormatInt(no, 10), e.Who, e.Contact, string(e.Channel)
				}
			}
		}
	}
	view.Form = f
	p := s.page(v, "incident_enquiries", v.text.Text("title.incident_enquiries")+" "+i.Number)
	p.Here = "/incidents/" + i.ID + "/enquiries"
	return s.showStatus(v, status, p, view)
}

// incidentEnquire records an enquiry.
func (s *server) incidentEnquire(v *visit) error {
	f, err := readForm(v, field{name: "follows", max: 8, empty: true}, field{name: "asked_at", max: 32}, field{name: "who", max: record.MaxName}, field{name: "contact", max: record.MaxName, empty: true},
		field{name: "channel", max: 16}, field{name: "question", kind: manyLines, max: record.MaxText, empty: true}, field{name: "answer", kind: manyLines, max: record.MaxText, empty: true})
	if err != nil {
		return err
	}
	at := momentOf(v, f, "asked_at")
	var follows int64
	if f.Values["follows"] != "" {
		if follows, err = parseCount(f.Values["follows"]); err != nil {
			f.Errors["follows"] = v.text.Text("invalid.unknown")
		}
	}
	if f.ok() {
		w, id := f.Values, v.r.PathValue("id")
		_, err := s.logs.RecordEnquiry(v.ctx(), v.actor, id, record.Enquiry{Follows: follows, AskedAt: at, Who: w["who"], Contact: w["contact"], Channel: record.Channel(w["channel"]),
			Question: w["question"], Answer: w["answer"]})
		if err == nil {
			return s.done(v, "record.enquired", "/incidents/"+id+"/enquiries#log")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	return s.showEnquiries(v, f, http.StatusUnprocessableEntity)
}
