package report

import (
	"strconv"
	"strings"
	"time"

	"hozen/internal/i18n"
)

// full writes the whole report: the ten items, the course of things, evidence and custody.
func (w *writer) full() {
	w.block("summary", true)
	w.happened()
	w.block("items", false)
	w.items()
	w.block("works", true)
	w.works()
	w.block("notes", true)
	w.block("decisions", false)
	w.decisions()
	w.block("deadlines", false)
	w.deadlines()
	w.block("timeline", false)
	w.timeline()
	w.block("evidence", false)
	w.evidenceList()
	w.block("custody", false)
	w.custody()
	w.block("limits", false)
	w.line(w.t("full.limits"), w.wording())
	w.line(w.t("full.integrity"), w.wording())
	w.dropEmpty("notes")
}

// dropEmpty marks that a block without words is not printed unless somebody adds some.
func (w *writer) dropEmpty(key string) {
	if strings.TrimSpace(w.o.Added[key]) != "" {
		return
	}
	for i := range w.doc.Blocks {
		if b := &w.doc.Blocks[i]; b.Key == key && len(b.Sentences) == 0 && b.Table == nil {
			b.Hint = w.t("hint.notes")
		}
	}
}

func (w *writer) table(columns ...Column) *Table {
	t := &Table{Columns: columns}
	for i := range t.Columns {
		t.Columns[i].Title = w.t("column." + t.Columns[i].Title)
	}
	w.last().Table = t
	return t
}

func (t *Table) row(cells ...string) { t.Rows = append(t.Rows, cells) }

// items is the table of the ten items.
func (w *writer) items() {
	t := w.table(Column{"no", 3}, Column{"item", 13}, Column{"answer", 38}, Column{"state", 8}, Column{"basis", 22})
	for i, k := range Items() {
		a := w.f.Answers[k]
		value, from := w.value(k, a), w.sourcesOf(k, a)
		state := w.state(a)
		switch k {
		case Type:
			value, from = w.typeAnswer()
		case Business:
			if a.Version == 0 && w.f.Organisation.Name != "" {
				value, state = w.f.Organisation.Name, w.t("state.known")
				if c := w.f.Organisation.Client; c != "" {
					value += "\n" + w.t("items.client", "client", c)
				}
				from = []Source{{Kind: FromProfile, Text: w.t("source.profile")}}
			}
		case DiscoveredAt:
			value, from = w.discovered()
		case Course:
			if a.Version == 0 && len(w.f.Timeline) > 0 {
				value, state = w.t("items.course", "n", strconv.Itoa(len(w.f.Timeline))), w.t("state.known")
				from = []Source{w.ledger(w.f.Timeline[0].LedgerIdx)}
			}
		}
		if gone := goneOf(from); len(gone) > 0 {
			value, state = w.t("gone", "numbers", strings.Join(gone, ", ")), w.t("state.unknown")
		}
		if value == "" {
			value, state = w.t("unknown"), w.t("state.unknown")
		} else if a.Version == 0 && (k == Type || k == DiscoveredAt) {
			state = w.t("state.known")
		}
		t.row(strconv.Itoa(i+1), w.t("item."+string(k)), value, state, textsOf(from))
	}
}

func textsOf(from []Source) string {
	var out []string
	for _, s := range from {
		out = append(out, s.Text)
	}
	return strings.Join(out, "\n")
}

func (w *writer) state(a Answer) string {
	switch a.State {
	case Known, Estimated:
		return w.t("state." + string(a.State))
	}
	return w.t("state.unknown")
}

func (w *writer) none(what string) { w.unknown(w.t("none."+what), w.gap(what)) }

func (w *writer) decisions() {
	if len(w.f.Decisions) == 0 {
		w.none("decisions")
		return
	}
	t := w.table(Column{"decision", 26}, Column{"known", 24}, Column{"reason", 24}, Column{"decider", 16}, Column{"ledger", 8})
	for _, d := range w.f.Decisions {
		choice := w.t("decision.waits", "by", w.moment(d.By))
		if !d.At.IsZero() {
			choice = d.Choice
		}
		known := d.Known
		if d.Options != "" {
			known = strings.TrimSpace(w.t("decision.options", "options", d.Options) + "\n" + known)
		}
		who := w.orUnknown(d.Decider)
		if !d.At.IsZero() {
			who += "\n" + w.moment(d.At)
		}
		t.row(w.question(d)+"\n→ "+w.orUnknown(choice), w.orUnknown(known), w.orUnknown(d.Reason), who, index(d.LedgerIdx))
	}
}

// index writes the index of an entry of the ledger.
func index(n int64) string {
	if n < 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func (w *writer) deadlines() {
	if len(w.f.Deadlines) == 0 {
		w.none("deadlines")
		return
	}
	t := w.table(Column{"deadline", 26}, Column{"from", 18}, Column{"until", 18}, Column{"rule", 26}, Column{"done", 16})
	for _, d := range w.f.Deadlines {
		done := w.t("deadline.waits")
		if !d.DoneAt.IsZero() {
			done = strings.TrimSpace(w.moment(d.DoneAt) + "\n" + d.DoneNote)
		}
		t.row(w.deadlineName(d), w.moment(d.From), w.moment(d.Until), strings.TrimSpace(w.orUnknown(d.Rule)+"\n"+d.Basis), done)
	}
}

func (w *writer) timeline() {
	if len(w.f.Timeline) == 0 {
		w.none("timeline")
		return
	}
	t := w.table(Column{"when", 19}, Column{"what", 50}, Column{"who", 15}, Column{"ledger", 8})
	for _, l := range w.f.Timeline {
		when := w.second(l)
		t.row(when, l.Text, w.orUnknown(l.Actor), index(l.LedgerIdx))
	}
}

// second writes when a line was recorded, and the PC's own clock where it took part.
func (w *writer) second(l Line) string {
	at := func(t time.Time) string {
		const date, clock = "2006-01-02", "15:04:05"
		t = t.In(Zone())
		if w.o.Era && w.o.Language == i18n.Japanese {
			return Era(t) + " " + t.Format(clock)
		}
		return t.Format(date + " " + clock)
	}
	s := at(l.At)
	if !l.AgentAt.IsZero() {
		s += "\n" + w.t("timeline.agent", "at", at(l.AgentAt))
	}
	return s
}

func (w *writer) evidenceList() {
	if len(w.f.Evidence) == 0 {
		w.none("evidence")
		return
	}
	t := w.table(Column{"number", 20}, Column{"from_host", 18}, Column{"content", 20}, Column{"sha256", 30}, Column{"ledger", 7})
	for _, e := range w.f.Evidence {
		content := w.t("evidence.content", "pieces", strconv.Itoa(e.Pieces), "records", strconv.FormatInt(e.Records, 10), "outcome", w.word("outcome", e.Outcome))
		if e.Gone {
			content = w.t("evidence.gone")
		}
		t.row(w.orUnknown(e.Number), w.orUnknown(e.Host)+"\n"+w.moment(e.ReceivedAt), w.word("profile", e.Profile)+"\n"+content, w.orUnknown(e.SHA256), index(e.LedgerIdx))
	}
}

func (w *writer) custody() {
	if len(w.f.Exhibits) == 0 {
		w.none("exhibits")
		return
	}
	t := w.table(Column{"number", 20}, Column{"content", 28}, Column{"holder", 22}, Column{"gaps", 12}, Column{"ledger", 7})
	for _, e := range w.f.Exhibits {
		gaps := w.t("custody.no_gap", "n", strconv.Itoa(e.Events))
		if e.Gaps > 0 {
			gaps = w.t("custody.gaps", "n", strconv.Itoa(e.Events), "gaps", strconv.Itoa(e.Gaps))
		}
		holder := w.orUnknown(e.Holder)
		if e.Gone {
			holder = w.t("evidence.gone")
		}
		t.row(e.Number, strings.TrimSpace(w.word("exhibit.kind", e.Kind)+"\n"+e.Description), holder, gaps, index(e.LedgerIdx))
	}
}
