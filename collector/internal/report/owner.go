package report

import (
	"slices"
	"strconv"
	"strings"
)

// owner writes the owner's page: six blocks, plain words, no terms of the trade.
func (w *writer) owner() {
	w.block("happened", true)
	w.happened()
	w.block("done", true)
	w.done()
	w.block("works", true)
	w.works()
	w.block("open", true)
	w.notKnown()
	w.block("decide", true)
	w.decide()
	w.block("next", true)
	w.next()
}

// next says when people hear again.
func (w *writer) next() {
	if d := w.f.Next; w.value(NextUpdate, w.f.Answers[NextUpdate]) == "" && d != nil && d.Until.After(w.f.At) {
		w.line(w.t("owner.next", "until", w.moment(d.Until)), w.deadline(*d))
		return
	}
	w.answer(NextUpdate)
}

// opened is the ledger's entry of the incident's opening.
func (w *writer) opened() Source { return w.ledger(w.f.Incident.LedgerIdx) }

// types writes the classifications in words; empty when none is known.
func (w *writer) types() string {
	var out []string
	for _, c := range w.f.Incident.Types {
		if w.p.Has("type." + c) {
			out = append(out, w.t("type."+c))
		}
	}
	return strings.Join(out, w.t("list.and"))
}

// typeAnswer is item 1 where it was recorded, or what the incident was opened as.
func (w *writer) typeAnswer() (string, []Source) {
	a := w.f.Answers[Type]
	if a.Version > 0 {
		if s := w.value(Type, a); s != "" {
			return w.sure(s, a.State), w.sourcesOf(Type, a)
		}
		return "", w.sourcesOf(Type, a)
	}
	return w.types(), []Source{w.opened()}
}

// discovered is item 4 where it was recorded, or what the incident was opened with.
func (w *writer) discovered() (string, []Source) {
	a := w.f.Answers[DiscoveredAt]
	if a.Version > 0 {
		return w.value(DiscoveredAt, a), w.sourcesOf(DiscoveredAt, a)
	}
	if w.f.Incident.DiscoveredAt.IsZero() {
		return "", []Source{w.gap("discovered_at")}
	}
	return w.moment(w.f.Incident.DiscoveredAt), []Source{w.opened()}
}

func (w *writer) happened() {
	at, from := w.discovered()
	if at == "" {
		w.unknown(w.t("owner.discovered.unknown"), from...)
	} else {
		w.line(w.t("owner.discovered", "at", at, "by", w.orUnknown(w.f.Incident.Reporter)), from...)
	}
	if s := w.f.Incident.Title; s != "" {
		w.say(w.t("owner.title", "title", s), w.opened())
	}
	if what, from := w.typeAnswer(); what == "" {
		w.say(w.t("owner.type.unknown"), from...)
		w.last().Sentences[len(w.last().Sentences)-1].Unknown = true
	} else {
		w.say(w.t("owner.type", "type", what), from...)
	}
	a := w.f.Answers[Symptoms]
	if s := w.value(Symptoms, a); s != "" {
		w.line(w.sure(s, a.State), w.sourcesOf(Symptoms, a)...)
	}
	a = w.f.Answers[Cause]
	if s := w.value(Cause, a); s != "" && len(goneOf(w.sourcesOf(Cause, a))) == 0 {
		w.line(w.t("owner.cause", "cause", w.sure(s, a.State)), w.sourcesOf(Cause, a)...)
	}
}

// done tells the deeds, each kind once, with when the first and how often.
func (w *writer) done() {
	any := false
	for _, deed := range []Deed{DeedReported, DeedIsolated, DeedAcquired, DeedReleased, DeedHanded, DeedExported} {
		var lines []Line
		for _, l := range w.f.Timeline {
			if l.Deed == deed {
				lines = append(lines, l)
			}
		}
		if len(lines) == 0 {
			continue
		}
		any = true
		var names []string
		for _, l := range lines {
			if l.Endpoint != "" && !slices.Contains(names, l.Endpoint) {
				names = append(names, l.Endpoint)
			}
		}
		const most = 4
		who := strings.Join(names[:min(len(names), most)], w.t("list.and"))
		if len(names) > most {
			who = w.t("owner.and_more", "names", who, "n", strconv.Itoa(len(names)-most))
		}
		from := []Source{w.ledger(lines[0].LedgerIdx)}
		if len(lines) > 1 {
			from = append(from, w.ledger(lines[len(lines)-1].LedgerIdx))
		}
		if who == "" {
			who = w.t("owner.some_pc")
		}
		times := ""
		if len(lines) > 1 {
			times = w.t("owner.times", "n", strconv.Itoa(len(lines)))
		}
		w.line(w.t("owner.deed."+string(deed), "at", w.moment(lines[0].At), "names", who, "times", times), from...)
	}
	kept, gone := 0, 0
	var first, last string
	for _, e := range w.f.Evidence {
		if e.Gone {
			gone++
			continue
		}
		if kept == 0 {
			first = e.Number
		}
		kept, last = kept+1, e.Number
	}
	if kept > 0 {
		from := []Source{w.evidence(first, false)}
		if last != first {
			from = append(from, w.evidence(last, false))
		}
		w.line(w.t("owner.evidence", "n", strconv.Itoa(kept)), from...)
		any = true
	} else {
		w.unknown(w.t("owner.evidence.none"), w.gap("evidence"))
	}
	if gone > 0 {
		w.line(w.t("owner.evidence.gone", "n", strconv.Itoa(gone)), w.gap("evidence"))
	}
	if !any {
		w.unknown(w.t("owner.done.none"), w.gap("timeline"))
	}
}

// works tells which PCs can be used, and what people said of the business.
func (w *writer) works() {
	by := map[string][]Endpoint{}
	for _, e := range w.f.Endpoints {
		switch e.State {
		case "isolated", "released":
			by[e.State] = append(by[e.State], e)
		default:
			by["unknown"] = append(by["unknown"], e)
		}
	}
	for _, state := range []string{"isolated", "released", "unknown"} {
		list := by[state]
		if len(list) == 0 {
			continue
		}
		var names []string
		var from []Source
		for i, e := range list {
			if i == 5 {
				names = append(names, w.t("owner.others", "n", strconv.Itoa(len(list)-i)))
				break
			}
			names = append(names, e.Name)
			text := w.t("source.endpoint", "name", e.Name, "at", w.moment(e.MeasuredAt))
			from = append(from, Source{Kind: FromEndpoint, Ref: e.Name, Text: text})
		}
		text := w.t("owner.state."+state, "names", strings.Join(names, w.t("list.and")))
		if state == "unknown" {
			w.unknown(text, from...)
		} else {
			w.line(text, from...)
		}
	}
	a := w.f.Answers[Impact]
	if s := w.value(Impact, a); s != "" {
		w.line(w.sure(s, a.State), w.sourcesOf(Impact, a)...)
	} else {
		w.unknown(w.t("owner.impact.unknown"), w.sourcesOf(Impact, a)...)
	}
}

// notKnown lists which of the ten items have no sure answer.
func (w *writer) notKnown() {
	var estimated, unknown []string
	var fromE, fromU []Source
	for _, k := range Items() {
		a := w.f.Answers[k]
		switch k {
		case Type, DiscoveredAt:
			if a.Version == 0 && (k == Type && w.types() != "" || k == DiscoveredAt && !w.f.Incident.DiscoveredAt.IsZero()) {
				continue
			}
		case Course:
			continue // it writes itself
		case Business:
			if w.f.Organisation.Name != "" {
				continue
			}
		}
		gone := goneOf(w.sourcesOf(k, a))
		switch {
		case w.value(k, a) == "", len(gone) > 0:
			unknown, fromU = append(unknown, w.t("item."+string(k))), append(fromU, w.plainSource(k, a))
		case a.State == Estimated:
			estimated, fromE = append(estimated, w.t("item."+string(k))), append(fromE, w.plainSource(k, a))
		}
	}
	if len(unknown) > 0 {
		w.unknown(w.t("owner.unknown", "items", strings.Join(unknown, w.t("list.and"))), fromU...)
	}
	if len(estimated) > 0 {
		w.line(w.t("owner.estimated", "items", strings.Join(estimated, w.t("list.and"))), fromE...)
	}
	if len(unknown)+len(estimated) == 0 {
		w.line(w.t("owner.all_answered"), w.opened())
	}
	// What was looked at is all that can be spoken of.
	w.line(w.t("owner.scope"), w.wording())
}

// plainSource is the first thing that an answer stands on.
func (w *writer) plainSource(k Key, a Answer) Source { return w.sourcesOf(k, a)[0] }

// decide lists what waits for a decision, and the days that are near.
func (w *writer) decide() {
	none := true
	for _, d := range w.f.Decisions {
		if !d.At.IsZero() {
			continue
		}
		none = false
		w.line(w.t("owner.decision", "question", w.question(d), "by", w.moment(d.By)), w.ledger(d.LedgerIdx))
	}
	for _, d := range w.f.Deadlines {
		if !d.DoneAt.IsZero() || d.Until.IsZero() {
			continue
		}
		none = false
		key := "owner.deadline"
		if d.Until.Before(w.f.At) {
			key = "owner.deadline.over"
		}
		w.line(w.t(key, "name", w.deadlineName(d), "until", w.moment(d.Until)), w.deadline(d))
	}
	if none {
		w.unknown(w.t("owner.decide.none"), w.gap("decisions"))
	}
}

// question is what a decision is about, in words.
func (w *writer) question(d Decision) string {
	if d.Question != "" {
		return d.Question
	}
	return w.word("decision", d.Kind)
}

// deadlineName is the name of a deadline, with a word where nobody knows yet whether it applies.
func (w *writer) deadlineName(d Deadline) string {
	if d.Provisional {
		return w.t("deadline.provisional", "name", d.Name)
	}
	return d.Name
}

func (w *writer) deadline(d Deadline) Source {
	text := w.t("source.deadline", "name", d.Name, "rule", w.orUnknown(d.Rule), "basis", w.orUnknown(d.Basis))
	return Source{Kind: FromDeadline, Ref: d.Name, Text: text}
}
