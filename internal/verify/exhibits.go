package verify

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What is said of exhibits, and how the entries of the ledger about them are called.
const (
	fileExhibits = "data/custody/exhibits.json"
	formatThings = "hozen-exhibits/1"
	actCustody   = "custody."
	actAdd       = "custody.add"
	actDescribe  = "custody.describe"
	actDispose   = "custody.dispose"
)

// ofExhibit is the number of an artifact within its exhibit. Evidence that was accepted before
// there were exhibits has a plain one.
var ofExhibit = regexp.MustCompile(`^(.+-E[0-9]{2,})-[0-9]{2,}$`)

// toldAct reports whether entries of that act about an exhibit or the incident stand in
// exhibits.json. There are others whose names begin so, such as custody.disposed.
func toldAct(act string) bool {
	kind, ok := strings.CutPrefix(act, actCustody)
	switch kind {
	case "add", "describe", "collect", "seal", "receive", "verify", "view", "copy", "export", "hand_over", "ship", "return", "store", "dispose", "hold", "release_hold", "note":
		return ok
	}
	return false
}

// toldDetail reports whether a detail of such an entry stands there too.
func toldDetail(name string) bool {
	switch name {
	case "incident_id", "kind", "parent", "acquisition_id", "endpoint_id", "field", "value", "seq", "at", "clock",
		"from_person", "from_organisation", "to_person", "to_organisation", "place", "medium_type", "medium_serial", "seal_no", "carrier", "tracking_no",
		"purpose", "hash_before", "hash_after", "result", "witness", "text":
		return true
	}
	return strings.HasPrefix(name, "field_")
}

// ledgerView is the entries of the ledger as exhibits are held against them.
type ledgerView struct {
	at    map[int64]*ledgerEntry
	about map[string][]*ledgerEntry // by subject, in the order of the ledger
	added []*ledgerEntry            // custody.add of this incident, likewise
	// uploaded are the entries of files that people sent to this incident, likewise.
	uploaded []*ledgerEntry
}

func viewOf(entries map[int64]*ledgerEntry, incidentID string) *ledgerView {
	v := &ledgerView{at: entries, about: map[string][]*ledgerEntry{}}
	for _, index := range slices.Sorted(maps.Keys(entries)) {
		e := entries[index]
		v.about[e.subject] = append(v.about[e.subject], e)
		if e.act == actAdd && e.details["incident_id"] == incidentID {
			v.added = append(v.added, e)
		}
		if e.act == actUpload && e.details["incident_id"] == incidentID {
			v.uploaded = append(v.uploaded, e)
		}
	}
	return v
}

// exhibits holds what is said of exhibits against the entries of the ledger: all of it stands
// there, and nothing of what stands there is left out.
func (p *pack) exhibits(v *ledgerView) {
	p.numbered(v)
	due := p.due(v)
	f, _, why := p.tree.open(fileExhibits)
	if why != nil && why.Code == codeMissing {
		for _, e := range due {
			p.problem(partLedger, codeMissing, fileExhibits, "entry %d of the ledger adds the exhibit %s", e.index, e.details["number"])
		}
		return
	}
	if why == nil {
		_ = f.Close()
	}
	b := p.small(partLedger, fileExhibits, maxDocument)
	if b == nil {
		return
	}
	p.told = map[int64]bool{}
	about := map[string]bool{}
	doc, err := parseJSON(b)
	if err == nil {
		d := newFields(doc, &err)
		oneOf(d, "format", d.text("format", true), []string{formatThings})
		for _, x := range d.list("exhibits", maxZipNames) {
			id := p.exhibit(x, v)
			if about[id] {
				p.problem(partLedger, codeLedger, fileExhibits, "the exhibit %.60q stands twice", id)
			}
			about[id] = true
		}
		p.facts(d, "events", p.doc.incidentID, v)
		d.done()
	}
	if err != nil {
		p.problem(partLedger, codeLedger, fileExhibits, "%v", err)
		return
	}
	for _, e := range due {
		if !about[e.subject] {
			p.problem(partLedger, codeLedger, fileExhibits, "it leaves out the exhibit %s, which entry %d adds", e.details["number"], e.index)
		}
	}
	about[p.doc.incidentID] = true
	for _, subject := range slices.Sorted(maps.Keys(about)) {
		for _, e := range v.about[subject] {
			if toldAct(e.act) && !p.told[e.index] {
				p.problem(partLedger, codeLedger, fileExhibits, "it leaves out entry %d, %s", e.index, e.act)
			}
		}
	}
}

// due are the entries whose exhibits are in the package: those of its acquisitions, and things
// that no agent acquired, of a host in scope or of none.
func (p *pack) due(v *ledgerView) []*ledgerEntry {
	packed := map[string]bool{}
	for _, h := range p.doc.hosts {
		for _, a := range h.acquisitions {
			packed[a.id] = true
		}
	}
	var due []*ledgerEntry
	for _, e := range v.added {
		acquisition, endpoint := e.details["acquisition_id"], e.details["endpoint_id"]
		if packed[acquisition] || acquisition == "" && (endpoint == "" || len(p.doc.scopeHosts) == 0 || slices.Contains(p.doc.scopeHosts, endpoint)) {
			due = append(due, e)
		}
	}
	return due
}

// numbered looks for the exhibit of every acquisition whose evidence is numbered within one,
// so that nobody takes its entries away together with the file.
func (p *pack) numbered(v *ledgerView) {
	exhibit := map[string]string{} // its number, by acquisition
	for _, e := range v.added {
		exhibit[e.details["acquisition_id"]] = e.details["number"]
	}
	for _, h := range p.doc.hosts {
		for _, a := range h.acquisitions {
			for _, x := range a.evidence {
				if m := ofExhibit.FindStringSubmatch(x.number); m != nil && exhibit[a.id] != m[1] {
					p.problem(partLedger, codeLedger, fileEntries, "no entry of the ledger adds the exhibit %s for %s", m[1], a.id)
					break
				}
			}
		}
	}
}

// exhibit checks one exhibit and returns its identifier.
func (p *pack) exhibit(x *fields, v *ledgerView) string {
	about := x.text("id", true)
	number, kind, acquisition := x.text("number", true), x.text("kind", true), x.text("acquisition_id", false)
	parent, endpoint := x.text("parent", false), x.text("endpoint_id", false)
	custodian := x.text("custodian", false)
	gaps := readGaps(x)
	said := map[string]string{}
	added := false
	for _, e := range p.facts(x, "said", about, v) {
		switch d := e.details; e.act {
		case actAdd:
			added = d["number"] == number && d["kind"] == kind && d["acquisition_id"] == acquisition && d["parent"] == parent && d["endpoint_id"] == endpoint
			for name, value := range d {
				if field, ok := strings.CutPrefix(name, "field_"); ok {
					said[field] = value
				}
			}
		case actDescribe:
			said[d["field"]] = d["value"]
		}
	}
	fields := x.sub("fields")
	for name := range fields.o {
		if fields.text(name, true) != said[name] {
			p.problem(partLedger, codeLedger, fileExhibits, "the ledger says something else of %s %s", number, name)
		}
		delete(said, name)
	}
	for name, value := range said {
		if value != "" {
			p.problem(partLedger, codeLedger, fileExhibits, "it leaves out %s of %s", name, number)
		}
	}
	if !added {
		p.problem(partLedger, codeLedger, fileExhibits, "no entry of the ledger adds the exhibit %s so", number)
	}
	p.facts(x, "events", about, v)
	if what := follow(v.about[about]).differs(custodian, gaps); what != "" {
		p.problem(partLedger, codeLedger, fileExhibits, "the %s of %s: other than what follows from its events", what, number)
	}
	x.done()
	return about
}

func readGaps(x *fields) []custodyGap {
	var gaps []custodyGap
	for _, g := range x.list("gaps", maxZipNames) {
		gap := custodyGap{code: g.text("code", true), seq: g.number("seq", true)}
		if _, there := g.o["from"]; there {
			gap.from = g.time("from")
		}
		if _, there := g.o["to"]; there {
			gap.to = g.time("to")
		}
		g.done()
		gaps = append(gaps, gap)
	}
	return gaps
}

// facts holds a list of what is said against the entries that it is said to be, whose subject
// is about, and returns these.
func (p *pack) facts(f *fields, name, about string, v *ledgerView) []*ledgerEntry {
	var out []*ledgerEntry
	last := int64(-1)
	for _, x := range f.list(name, maxZipNames) {
		e := p.fact(x, about, v)
		if e == nil {
			continue
		}
		if e.index <= last {
			p.problem(partLedger, codeLedger, fileExhibits, "entry %d does not come after entry %d", e.index, last)
		}
		last = e.index
		out = append(out, e)
	}
	return out
}

// fact returns the entry that is meant, nil where what is said of it is something else.
func (p *pack) fact(f *fields, about string, v *ledgerView) *ledgerEntry {
	index, subject, act := f.number("ledger_index", true), f.text("subject", true), f.text("act", true)
	d := f.sub("details")
	e := v.at[index]
	ok := e != nil && e.act == act && e.subject == subject && subject == about
	for name := range d.o {
		said := d.text(name, true)
		ok = ok && e.details[name] == said
	}
	f.done()
	p.told[index] = true
	if !ok {
		p.problem(partLedger, codeLedger, fileExhibits, "entry %d of the ledger is not what is said of it", index)
		return nil
	}
	for name := range e.details {
		if _, there := d.o[name]; !there && toldDetail(name) {
			p.problem(partLedger, codeLedger, fileExhibits, "it leaves out %s of entry %d", name, index)
		}
	}
	return e
}

// disposal is an acquisition whose bytes went, by that entry of the ledger.
type disposal struct {
	by    int64
	files []string
}

// disposed looks for the entry of the ledger by which the bytes of an acquisition went. It
// names every artifact.
func (p *pack) disposed(folder string, a docAcquisition, s *sealedFacts, numbers map[string]string, entries map[int64]*ledgerEntry) {
	e := entries[a.disposedBy]
	if e == nil || e.act != actDispose {
		p.problem(partLedger, codeLedger, folder, "entry %d of the ledger does not say that its bytes were disposed of", a.disposedBy)
		return
	}
	lines := strings.Split(e.details["acquisition_blobs"], "\n")
	if lines[0] != a.id {
		p.problem(partLedger, codeLedger, folder, "entry %d of the ledger is of another acquisition", a.disposedBy)
		return
	}
	gone := disposal{by: a.disposedBy}
	for _, m := range s.manifest.artifacts {
		want := m.stored.sha256 + " " + strconv.FormatInt(m.stored.size, 10) + " " + numbers[m.name] + " " + m.name
		if !slices.Contains(lines[1:], want) {
			p.problem(partLedger, codeLedger, folder+"/"+m.name, "entry %d of the ledger does not say that it was disposed of", a.disposedBy)
		} else {
			gone.files = append(gone.files, folder+"/"+m.name)
		}
	}
	p.disposals = append(p.disposals, gone)
}

// vouched says of what was disposed of whether an anchor reaches the entry that says so: one
// behind the newest anchored receipt could be anybody's who made the package.
func (p *pack) vouched() {
	slices.SortFunc(p.disposals, func(a, b disposal) int { return cmp.Compare(a.by, b.by) })
	for _, d := range p.disposals {
		why := "disposed"
		if d.by >= p.received && !p.signed && p.report.Anchor != "package" {
			why = "disposed_unanchored"
			p.unanchored++
		}
		for _, f := range d.files {
			p.unchecked(f, why)
		}
	}
}
