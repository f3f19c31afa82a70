package report

import "strings"

// persons writes the letter to those whose data it is about: what the rules ask for, and not
// more certain than the record is.
func (w *writer) persons() {
	w.letterHead("persons")
	w.block("outline", true)
	w.outline()
	w.field("data_items", DataItems)
	w.field("cause", Cause)
	w.field("secondary", SecondaryHarm)
	w.block("careful", true)
	w.line(w.t("letter.careful"), w.wording())
	w.block("measures", true)
	w.answer(Prevention)
	w.desk()
}

func (w *writer) partners() {
	w.letterHead("partners")
	w.block("outline", true)
	w.outline()
	w.block("effect", true)
	w.answer(Impact)
	w.block("ask", true)
	w.line(w.t("letter.partners.ask"), w.wording())
	w.block("next", true)
	w.next()
	w.desk()
}

func (w *writer) press() {
	w.letterHead("press")
	w.block("outline", true)
	w.outline()
	w.field("data", DataItems)
	w.field("persons", PersonsCount)
	w.block("measures", true)
	w.measures()
	w.block("reports", true)
	w.answer(Publication)
	w.field("prevention", Prevention)
	w.desk()
}

// outline is what happened for people outside: no names of persons or PCs.
func (w *writer) outline() {
	if at, from := w.discovered(); at == "" {
		w.unknown(w.t("owner.discovered.unknown"), from...)
	} else {
		w.line(w.t("letter.discovered", "at", at), from...)
	}
	if what, from := w.typeAnswer(); what != "" {
		w.say(w.t("letter.type", "type", what), from...)
	}
	w.answer(Symptoms)
}

// measures is what was done for people outside.
func (w *writer) measures() {
	none := true
	for _, deed := range []Deed{DeedIsolated, DeedAcquired} {
		for _, l := range w.f.Timeline {
			if l.Deed == deed {
				w.line(w.t("letter.deed."+string(deed)), w.ledger(l.LedgerIdx))
				none = false
				break
			}
		}
	}
	if none {
		w.unknown(w.t("owner.done.none"), w.gap("timeline"))
	}
}

func (w *writer) letterHead(name string) {
	w.block("date", false)
	w.line(w.day(w.f.At), w.wording())
	w.block("to", true)
	w.line(w.t("letter."+name+".to"), w.wording())
	w.block("from", true)
	w.business()
	w.block("opening", true)
	w.line(w.t("letter."+name+".opening"), w.wording())
}

func (w *writer) desk() {
	w.block("desk", true)
	if d := w.f.Organisation.Desk; d != "" {
		w.line(d, Source{Kind: FromProfile, Text: w.t("source.profile")})
	} else {
		w.unknown(w.t("unknown"), w.gap("desk"))
	}
	w.line(w.t("letter.scope"), w.wording())
}

// calls writes the sheet for the telephone, with room for what was said.
func (w *writer) calls() {
	w.block("say", true)
	w.line(w.t("calls.say"), w.wording())
	w.happened()
	w.block("contacts", true)
	w.contactTable(func(Contact) bool { return true })
	w.block("rules", false)
	w.line(w.t("calls.rules"), w.wording())
}

func (w *writer) contactTable(want func(Contact) bool) {
	var list []Contact
	for _, c := range w.f.Contacts {
		if want(c) {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		w.none("contacts")
	}
	t := w.table(Column{"contact", 26}, Column{"phone", 22}, Column{"hours", 20}, Column{"called", 14}, Column{"spoke", 18})
	for _, c := range list {
		phone := w.orUnknown(c.Phone)
		if c.Unchecked {
			phone += "\n" + w.t("calls.unchecked")
		}
		note := strings.TrimSpace(c.Role + "\n" + c.Note)
		checked := w.t("calls.checked", "at", w.day(c.CheckedAt))
		if c.CheckedAt.IsZero() {
			checked = w.t("calls.never_checked")
		} else if c.Stale {
			checked = w.t("calls.stale", "at", w.day(c.CheckedAt))
		}
		t.row(strings.TrimSpace(c.Name+"\n"+note), phone, strings.TrimSpace(c.Hours+"\n"+checked), " ", " ")
	}
	for range 4 {
		t.row(" \n ", " ", " ", " ", " ")
	}
}

// monitoring writes the notice to the staff: what the product records, and what it does not.
func (w *writer) monitoring() {
	w.block("to", true)
	w.line(w.t("monitoring.to"), w.wording())
	for _, part := range []string{"purpose", "what", "when", "not", "who", "kept", "ask"} {
		w.block(part, true)
		w.line(w.t("monitoring."+part), w.wording())
	}
	w.desk()
}
