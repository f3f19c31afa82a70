package console

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/internal/i18n"
)

// recordCard is what the page of an incident shows of its record.
type recordCard struct {
	Incident  incident.Incident
	May       abilities
	Answered  int // of those that people answer among the ten
	Of        int
	Open      []record.Item // not answered yet, in their order
	Decisions int
	Enquiries int
}

func (s *server) recordCard(v *visit, i incident.Incident) (recordCard, error) {
	c := recordCard{Incident: i, May: abilitiesOf(v.operator.Role)}
	sheet, err := s.record.Record(v.ctx(), v.actor, i.ID)
	if err != nil {
		return c, err
	}
	for _, item := range record.Items() {
		if !item.Answerable() {
			continue
		}
		c.Of++
		if _, ok := sheet.Get(item); ok {
			c.Answered++
		} else {
			c.Open = append(c.Open, item)
		}
	}
	c.Decisions, c.Enquiries, err = s.record.LogSizes(v.ctx(), v.actor, i.ID)
	return c, err
}

type incidentRecordView struct {
	Incident incident.Incident
	May      abilities
	Items    []itemView
	Open     int // not answered yet
}

// itemView is one of the ten items.
type itemView struct {
	Item      record.Item
	Number    int // 0: a part of the item before
	Answered  bool
	Now       versionView
	Older     []versionView // newest first
	Suggested *suggestionView
	Timeline  bool // it writes itself
	Stamped   bool // by the report that opened the incident; nobody confirmed it
}

// versionView is one version, ready to be shown.
type versionView struct {
	record.Version
	Parts []partView
}

// suggestionView is what the evidence suggests.
type suggestionView struct {
	act.Suggestion
	Parts []partView
}

// partView is one part of an answer with its translated name.
type partView struct {
	Label string
	Text  string    // already translated, or a person's words
	Own   bool      // Text is a person's or a machine's words
	At    time.Time // a moment instead of a text
	Facts []record.Fact
}

// viewValue arranges what an answer says.
func viewValue(p i18n.Printer, i record.Item, w record.Value) []partView {
	var parts []partView
	say := func(label, text string, own bool) {
		parts = append(parts, partView{Label: p.Text(label), Text: text, Own: own})
	}
	for n, c := range w.Types {
		label := "record.types.further"
		if n == 0 {
			label = "record.types.primary"
		}
		say(label, optional(p, "classification.", c), false)
	}
	if i == record.OccurredAt {
		for _, t := range []struct {
			label string
			at    time.Time
		}{{"record.from", w.At}, {"record.until", w.Until}} {
			if t.at.IsZero() {
				say(t.label, p.Text("unknown"), false)
				continue
			}
			parts = append(parts, partView{Label: p.Text(t.label), At: t.at})
		}
		if w.At.IsZero() && w.Until.IsZero() {
			parts = nil
		}
	} else if !w.At.IsZero() {
		parts = append(parts, partView{Label: p.Text("record.at"), At: w.At})
	}
	if w.Confidence != "" {
		say("record.confidence", optional(p, "record.confidence.", w.Confidence), false)
	}
	for _, f := range i.Fields() {
		switch text := w.Get(f); {
		case text == "":
		case f == record.Category:
			say("record.field.category", optional(p, "record.cause.", text), false)
		default:
			say("record.field."+string(f), text, true)
		}
	}
	if len(w.Facts) > 0 {
		parts = append(parts, partView{Label: p.Text("record.facts"), Facts: w.Facts})
	}
	return parts
}

func viewVersion(p i18n.Printer, v record.Version) versionView {
	return versionView{v, viewValue(p, v.Item, v.Value)}
}

func (s *server) viewItem(v *visit, sheet record.Sheet, i record.Item, suggested map[record.Item]act.Suggestion) itemView {
	item := itemView{Item: i, Number: i.Number(), Timeline: i == record.Timeline}
	now, ok := sheet.Get(i)
	item.Answered, item.Now = ok, viewVersion(v.text, now)
	for _, older := range sheet.Answers[i].Older() {
		item.Older = append(item.Older, viewVersion(v.text, older))
	}
	if g, ok := suggested[i]; ok {
		item.Suggested = &suggestionView{g, viewValue(v.text, i, g.Value)}
	}
	return item
}

func (s *server) incidentRecord(v *visit) error {
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	sheet, err := s.record.Record(v.ctx(), v.actor, i.ID)
	if err != nil {
		return err
	}
	view := incidentRecordView{Incident: i, May: abilitiesOf(v.operator.Role)}
	suggested, err := s.suggested(v, i.ID)
	if err != nil {
		return err
	}
	for _, item := range record.Items() {
		view.Items = append(view.Items, s.viewItem(v, sheet, item, suggested))
		if item == record.DiscoveredAt {
			view.Items = append(view.Items, s.viewItem(v, sheet, record.KnownAt, suggested))
		}
		if _, ok := sheet.Get(item); !ok && item.Answerable() {
			view.Open++
		}
	}
	p := s.page(v, "incident_record", v.text.Text("title.incident_record")+" "+i.Number)
	p.Here = "/incidents/" + i.ID + "/record"
	return s.showStatus(v, http.StatusOK, p, view)
}

// suggested are the suggestions by item; nobody who could not accept them is shown any.
func (s *server) suggested(v *visit, incidentID string) (map[record.Item]act.Suggestion, error) {
	m := map[record.Item]act.Suggestion{}
	if !abilitiesOf(v.operator.Role).Run {
		return m, nil
	}
	list, err := s.record.Suggestions(v.ctx(), v.actor, incidentID)
	for _, g := range list {
		m[g.Item] = g
	}
	return m, err
}

// answerAccept makes a suggestion the answer.
func (s *server) answerAccept(v *visit) error {
	f, err := readForm(v, field{name: "fingerprint", max: 64})
	if err != nil {
		return err
	}
	id, item := v.r.PathValue("id"), record.Item(v.r.PathValue("item"))
	if !f.ok() {
		return act.ErrInvalid
	}
	_, err = s.record.AcceptSuggestion(v.ctx(), v.actor, id, item, f.Values["fingerprint"])
	if invalid, ok := errors.AsType[*act.Invalid](err); ok && invalid.Code == "changed" {
		return s.done(v, "record.changed", "/incidents/"+id+"/record#"+string(item))
	}
	if err != nil {
		return err
	}
	return s.done(v, "record.answered", "/incidents/"+id+"/record#"+string(item))
}

type incidentAnswerView struct {
	Incident        incident.Incident
	Item            itemView
	Fields          []record.Field
	Classifications []incident.Classification // that can be chosen
	Causes          []string
	Confidences     []string
	States          []record.State
	Also            map[string]bool // further classifications that are chosen
	Timed           bool            // it is a moment
	Interval        bool
	Correction      bool // there is an answer before it, and why it changes must be said
	Facts           []record.Fact
	Form            form
}

func (s *server) incidentAnswerForm(v *visit) error {
	return s.showAnswer(v, form{}, nil, http.StatusOK)
}

// answerForm is the form as it begins: with what is answered now.
func answerForm(now record.Version, answered bool) form {
	f := form{Values: map[string]string{"after": "0", "state": string(record.Known), "facts": "keep"}}
	if !answered {
		return f
	}
	f.Values["after"], f.Values["state"] = number(now.No), string(now.State)
	for name, text := range now.Value.Fields {
		f.Values[string(name)] = text
	}
	if len(now.Value.Types) > 0 {
		f.Values["primary"] = now.Value.Types[0]
	}
	for name, t := range map[string]time.Time{"at": now.Value.At, "until": now.Value.Until} {
		if !t.IsZero() {
			f.Values[name] = t.In(jst()).Format(localInput)
		}
	}
	f.Values["confidence"] = now.Value.Confidence
	f.Values["evidence"] = strings.Join(now.Basis.Evidence, "\n")
	f.Values["person"] = now.Basis.Person
	return f
}

func (s *server) showAnswer(v *visit, f form, also []string, status int) error {
	item := record.Item(v.r.PathValue("item"))
	if !item.Answerable() {
		return act.ErrNotFound
	}
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	sheet, err := s.record.Record(v.ctx(), v.actor, i.ID)
	if err != nil {
		return err
	}
	now, answered := sheet.Get(item)
	view := incidentAnswerView{Incident: i, Fields: item.Fields(), Causes: record.Causes(), Confidences: record.Confidences(), States: record.States(),
		Also: map[string]bool{}, Timed: item == record.DiscoveredAt || item == record.KnownAt, Interval: item == record.OccurredAt, Facts: now.Value.Facts}
	view.Item = s.viewItem(v, sheet, item, nil)
	view.Correction = answered && view.Timed
	if item == record.Type {
		view.Classifications = slices.DeleteFunc(incident.Classifications(), func(c incident.Classification) bool { return c == incident.NotYet })
	}
	if f.Values == nil {
		f = answerForm(now, answered)
		if !answered && item == record.DiscoveredAt {
			f.Values["at"], f.Values["who"] = sheet.Opening.DiscoveredAt.In(jst()).Format(localInput), sheet.Opening.Reporter
		}
		if answered && len(now.Value.Types) > 1 {
			also = now.Value.Types[1:]
		}
	}
	for _, c := range also {
		view.Also[c] = true
	}
	view.Form = f
	p := s.page(v, "incident_answer", v.text.Text("record.item."+string(item))+" "+i.Number)
	p.Here = "/incidents/" + i.ID + "/record/" + string(item)
	return s.showStatus(v, status, p, view)
}

// incidentAnswer answers an item.
func (s *server) incidentAnswer(v *visit) error {
	item := record.Item(v.r.PathValue("item"))
	if !item.Answerable() {
		return act.ErrNotFound
	}
	fields := []field{{name: "state", max: 16}, {name: "after", max: 8}, {name: "primary", max: 32, empty: true}, {name: "at", max: 32, empty: true}, {name: "until", max: 32, empty: true},
		{name: "confidence", max: 16, empty: true}, {name: "evidence", kind: manyLines, max: 2048, empty: true}, {name: "person", max: record.MaxName, empty: true},
		{name: "reason", kind: manyLines, max: record.MaxText, empty: true}, {name: "facts", max: 8, empty: true}}
	for _, name := range item.Fields() {
		w := field{name: string(name), max: name.Max(), empty: true}
		if name.Long() {
			w.kind = manyLines
		}
		fields = append(fields, w)
	}
	f, err := readForm(v, fields...)
	if err != nil {
		return err
	}
	also := v.r.PostForm["types"]
	id := v.r.PathValue("id")
	sheet, err := s.record.Record(v.ctx(), v.actor, id)
	if err != nil {
		return err
	}
	now, _ := sheet.Get(item)
	n := answerOf(v, item, f, also, now)
	if f.ok() {
		_, err := s.record.SetAnswer(v.ctx(), v.actor, id, n)
		if err == nil {
			return s.done(v, "record.answered", "/incidents/"+id+"/record#"+string(item))
		}
		if !f.refuse(v, err) {
			return err
		}
		if reason := f.Errors["types"]; reason != "" {
			f.Errors["primary"] = reason
		}
	}
	return s.showAnswer(v, f, also, http.StatusUnprocessableEntity)
}

// answerOf makes an answer of what a person wrote. now is what is answered at the moment.
func answerOf(v *visit, item record.Item, f form, also []string, now record.Version) act.NewAnswer {
	n := act.NewAnswer{Item: item, State: record.State(f.Values["state"]), Reason: f.Values["reason"], Basis: record.Basis{Person: f.Values["person"]}}
	n.Value.Fields = map[record.Field]string{}
	for _, name := range item.Fields() {
		n.Value.Fields[name] = f.Values[string(name)]
	}
	n.Basis.Evidence = append(n.Basis.Evidence, strings.FieldsFunc(f.Values["evidence"], func(r rune) bool { return strings.ContainsRune(" \t\n,、，　", r) })...)
	if slices.Equal(n.Basis.Evidence, now.Basis.Evidence) {
		n.Basis.Alert = now.Basis.Alert
	}
	var err error
	if n.After, err = parseCount(f.Values["after"]); err != nil {
		f.Errors["after"] = v.text.Text("invalid.malformed")
	}
	if f.Values["facts"] != "" {
		n.Value.Facts = now.Value.Facts
	}
	if n.State == record.Unknown {
		return n // what was filled in before does not count
	}
	if item == record.OccurredAt {
		n.Value.Confidence = f.Values["confidence"]
	}
	if item == record.Type && f.Values["primary"] != "" {
		n.Value.Types = append([]string{f.Values["primary"]}, also...)
	}
	for name, moment := range map[string]struct{ to, was *time.Time }{"at": {&n.Value.At, &now.Value.At}, "until": {&n.Value.Until, &now.Value.Until}} {
		if f.Values[name] == "" || name == "until" && item != record.OccurredAt {
			continue
		}
		t, err := parseLocal(f.Values[name])
		switch {
		case err != nil:
			f.Errors[name] = v.text.Text("invalid.time")
		case t.After(v.now.Add(time.Minute)):
			f.Errors[name] = v.text.Text("invalid.future")
		case t.Equal(moment.was.In(jst()).Truncate(time.Minute)):
			t = *moment.was // the form has no seconds
		}
		*moment.to = t
	}
	return n
}

// answerFacts are the moments and classifications that an answer gives.
func answerFacts(p i18n.Printer, e incident.Entry) []string {
	var out []string
	for _, c := range strings.Fields(e.Params["types"]) {
		out = append(out, optional(p, "classification.", c))
	}
	interval := e.Params["item"] == string(record.OccurredAt)
	for _, name := range []string{"at", "until"} {
		t, err := time.Parse(time.RFC3339Nano, e.Params[name])
		if err != nil {
			continue
		}
		label := p.Text("record.at")
		switch {
		case name == "until":
			label = p.Text("record.until")
		case interval:
			label = p.Text("record.from")
		}
		out = append(out, label+": "+clock(t))
	}
	return out
}

// whenFacts say when it happened, where that is not when it was recorded.
func whenFacts(p i18n.Printer, e incident.Entry) []string {
	for _, name := range []string{"decided_at", "asked_at"} {
		t, err := time.Parse(time.RFC3339Nano, e.Params[name])
		if err == nil && e.At.Sub(t).Abs() > time.Minute {
			return []string{p.Text("custody.fact.at", "at", clock(t))}
		}
	}
	return nil
}
