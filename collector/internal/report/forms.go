package report

import (
	"strconv"
	"strings"
)

// field begins an open block of a form of somebody else's and fills it with an answer.
func (w *writer) field(block string, k Key) {
	w.block(block, true)
	w.answer(k)
}

// ppc writes what the web form of the 個人情報保護委員会 asks, in its order: three questions,
// who reports, then the nine matters of article 8 of the enforcement rules.
func (w *writer) ppc() {
	w.field("my_number", MyNumber)
	w.hint("ppc.my_number")
	w.block("business_kind", true)
	w.unknown(w.t("unknown"), w.gap("business_kind"))
	w.hint("ppc.business_kind")
	w.field("delegated", Delegated)
	w.hint("ppc.delegated")
	w.block("reporter", true)
	w.business()
	w.hint("ppc.reporter")
	w.block("contact", true)
	w.answer(People)
	w.block("known_at", true)
	if w.f.Answers[KnownAt].Version > 0 {
		w.answer(KnownAt)
	} else {
		w.discoveredField()
	}
	w.hint("ppc.known_at")
	w.block("occurred_at", true)
	w.answer(OccurredAt)
	w.block("outline", true)
	w.happened()
	w.doneBriefly()
	w.hint("ppc.outline")
	w.field("data_items", DataItems)
	w.field("persons", PersonsCount)
	w.hint("ppc.persons")
	w.field("cause", Cause)
	w.field("secondary", SecondaryHarm)
	w.field("notice", PersonsNotice)
	w.field("publication", Publication)
	w.field("prevention", Prevention)
	w.block("other", true)
	w.answer(Tools)
}

func (w *writer) business() {
	a := w.f.Answers[Business]
	if a.Version > 0 {
		w.answer(Business)
		return
	}
	if w.f.Organisation.Name == "" {
		w.unknown(w.t("unknown"), w.gap(string(Business)))
		return
	}
	w.line(w.f.Organisation.Name, Source{Kind: FromProfile, Text: w.t("source.profile")})
	if c := w.f.Organisation.Client; c != "" {
		w.line(w.t("items.client", "client", c), Source{Kind: FromProfile, Text: w.t("source.profile")})
	}
}

func (w *writer) discoveredField() {
	at, from := w.discovered()
	if at == "" {
		w.unknown(w.t("unknown"), from...)
		return
	}
	w.line(at, from...)
}

// doneBriefly tells what was done, where anything was.
func (w *writer) doneBriefly() {
	for _, l := range w.f.Timeline {
		if l.Deed == DeedIsolated || l.Deed == DeedReported {
			w.line(w.moment(l.At)+" "+firstLine(l.Text), w.ledger(l.LedgerIdx))
		}
	}
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// systems are the PCs of the incident in words.
func (w *writer) systems() {
	a := w.f.Answers[Assets]
	if s := w.value(Assets, a); s != "" {
		w.line(w.sure(s, a.State), w.sourcesOf(Assets, a)...)
		return
	}
	for _, e := range w.f.Endpoints {
		w.line(w.t("systems.pc", "name", e.Name, "system", w.orUnknown(e.System)), Source{Kind: FromEndpoint, Ref: e.Name, Text: w.t("source.endpoint", "name", e.Name, "at", w.moment(e.MeasuredAt))})
	}
	if len(w.f.Endpoints) == 0 {
		w.unknown(w.t("unknown"), w.sourcesOf(Assets, a)...)
	}
}

func (w *writer) ipaVirus() {
	w.block("notifier", true)
	w.business()
	w.field("contact", People)
	w.block("found", true)
	w.unknown(w.t("unknown"), w.gap("found"))
	w.hint("ipa.found")
	w.field("name", Symptoms)
	w.hint("ipa.name")
	w.block("date", true)
	w.discoveredField()
	w.block("count", true)
	if n := len(w.f.Endpoints); n > 0 {
		w.line(w.t("ipa.count", "n", strconv.Itoa(n)), w.opened())
	} else {
		w.unknown(w.t("unknown"), w.gap("count"))
	}
	w.block("device", true)
	w.systems()
	w.hint("ipa.device")
	w.block("internet", true)
	w.unknown(w.t("unknown"), w.gap("internet"))
	w.hint("ipa.internet")
	w.field("found_by", FoundBy)
	w.field("route", Route)
	w.hint("ipa.route")
	w.field("damage", Damage)
	w.field("tools", Tools)
}

func (w *writer) ipaAccess() {
	w.block("notifier", true)
	w.business()
	w.field("contact", People)
	w.block("date", true)
	w.discoveredField()
	w.field("occurred", OccurredAt)
	w.block("device", true)
	w.systems()
	w.hint("ipa.device2")
	w.field("location", Location)
	w.hint("ipa.location")
	w.block("diagram", true)
	w.unknown(w.t("ipa.diagram"), w.gap("diagram"))
	w.field("trigger", FoundBy)
	w.hint("ipa.trigger")
	w.field("what", Symptoms)
	w.field("cause", Cause)
	w.field("damage", Damage)
	w.block("measures", true)
	w.done()
	w.field("tools", Tools)
}

func (w *writer) jpcert() {
	w.field("purpose", Ask)
	w.hint("jpcert.purpose")
	w.block("from", true)
	w.business()
	w.field("contact", People)
	w.block("when", true)
	w.discoveredField()
	w.field("occurred", OccurredAt)
	w.block("what", true)
	w.happened()
	w.block("systems", true)
	w.systems()
	w.field("cause", Cause)
	w.block("measures", true)
	w.done()
	w.block("logs", true)
	w.logs()
	w.hint("jpcert.logs")
	w.block("clock", true)
	w.line(w.t("jpcert.zone"), w.wording())
	w.unknown(w.t("jpcert.ntp"), w.gap("ntp"))
	w.field("disclosure", Secrecy)
	w.hint("jpcert.disclosure")
}

// logs says which evidence there is.
func (w *writer) logs() {
	n := 0
	for _, e := range w.f.Evidence {
		if e.Gone {
			continue
		}
		if n++; n <= 20 {
			w.line(w.t("logs.line", "number", e.Number, "host", w.orUnknown(e.Host), "profile", w.word("profile", e.Profile), "at", w.moment(e.ReceivedAt)), w.evidence(e.Number, false))
		}
	}
	if n > 20 {
		w.line(w.t("logs.more", "n", strconv.Itoa(n-20)), w.wording())
	}
	if n == 0 {
		w.unknown(w.t("none.evidence"), w.gap("evidence"))
	}
}

// police lists what to take along.
func (w *writer) police() {
	w.block("first", false)
	w.line(w.t("police.first"), w.wording())
	w.block("outline", true)
	w.happened()
	w.block("who", true)
	w.business()
	w.answer(People)
	w.block("systems", true)
	w.systems()
	w.block("pack", true)
	t := w.table(Column{"check", 4}, Column{"thing", 40}, Column{"where", 40})
	box := "□"
	var numbers []string
	for _, e := range w.f.Evidence {
		if !e.Gone {
			numbers = append(numbers, e.Number)
		}
	}
	where := w.t("unknown")
	if len(numbers) > 0 {
		where = strings.Join(numbers, ", ")
	}
	t.row(box, w.t("police.evidence"), where)
	for _, k := range []string{"custody", "report", "logs", "malware", "diagram", "device", "seal", "id"} {
		t.row(box, w.t("police."+k), w.t("police."+k+".where"))
	}
	w.block("receipt", true)
	w.line(w.t("police.receipt"), w.wording())
	w.block("contacts", false)
	w.contactTable(func(c Contact) bool { return c.Kind == "police" })
}
