package verify

import (
	"regexp"
	"strings"
	"time"
)

// The formats of this version.
const (
	formatPackage = "hozen-package/1"
	formatCustody = "hozen-custody/1"
	fileDocument  = "data/package.json"
	fileCustody   = "data/custody/ledger.json"
	fileEntries   = "data/custody/entries.jsonl"
	fileSigned    = "data/custody/checkpoint.txt"
	maxDocument   = 64 << 20
	maxHosts      = 100_000
)

// packageDoc is what package.json says.
type packageDoc struct {
	id, number           string
	incidentID, incident string
	organisationID       string
	ledgerSize           int64
	ledgerRoot           string
	checkpoint           bool
	timestamp, cosigned  bool
	caSHA256             string
	hosts                []docHost
	uploads              []docUpload
	// what the package is limited to; empty: to nothing
	scopeHosts, scopeProfiles []string
}

type docHost struct {
	endpointID, folder string
	acquisitions       []docAcquisition
}

type docAcquisition struct {
	id       string
	evidence []docEvidence
	// gone: its bytes were disposed of, by that entry of the ledger.
	gone       bool
	disposedBy int64
}

type docEvidence struct {
	number, name, lines, table, bytes, why string
}

var (
	hostFolder    = regexp.MustCompile(`^[^/\\]{1,200}$`)
	decodedFile   = regexp.MustCompile(`^decoded/acq_[0-9a-hjkmnp-tv-z]{26}/[a-z0-9._-]{1,80}\.(jsonl|csv|lime|raw)$`)
	packageNumber = regexp.MustCompile(`^[A-Za-z0-9-]{1,60}$`)
)

// document reads package.json.
func (p *pack) document() {
	b := p.small(partAcquisitions, fileDocument, maxDocument)
	if b == nil {
		return
	}
	doc, at, recipient, purpose, tool, err := readDocument(b)
	if err != nil {
		p.problem(partAcquisitions, codePackage, fileDocument, "%v", err)
		return
	}
	p.doc = doc
	r := &p.report
	r.ID, r.Number, r.Incident, r.OrderedAt, r.Recipient, r.Purpose, r.Tool = doc.id, doc.number, doc.incident, at, recipient, purpose, tool
	r.LedgerSize, r.LedgerRoot = doc.ledgerSize, doc.ledgerRoot
}

func readDocument(b []byte) (d *packageDoc, at time.Time, recipient, purpose, tool string, err error) {
	v, err := parseJSON(b)
	if err != nil {
		return nil, at, "", "", "", err
	}
	f := newFields(v, &err)
	oneOf(f, "format", f.text("format", true), []string{formatPackage})
	d = &packageDoc{id: f.text("id", true), number: f.text("number", true), incidentID: f.text("incident_id", true), incident: f.text("incident_number", true),
		organisationID: f.text("organisation_id", true), caSHA256: f.sha256("ca_sha256", true)}
	checkID(f, "id", "exp", d.id)
	checkID(f, "incident_id", "inc", d.incidentID)
	checkID(f, "organisation_id", "org", d.organisationID)
	if !packageNumber.MatchString(d.number) || !strings.HasPrefix(d.number, d.incident+"-P") {
		f.fail("number %.60q is not one of %.60q", d.number, d.incident)
	}
	at, recipient, purpose = f.time("ordered_at"), f.text("recipient", true), f.text("purpose", true)
	by := f.sub("ordered_by")
	for _, n := range []string{"kind", "id", "name"} {
		by.text(n, true)
	}
	by.done()
	s := f.sub("scope")
	d.scopeHosts, d.scopeProfiles = s.texts("hosts"), s.texts("profiles")
	left := s.sub("left_out")
	left.texts("hosts")
	left.number("acquisitions", true)
	left.done()
	s.done()
	l := f.sub("ledger")
	d.ledgerSize, d.ledgerRoot, d.checkpoint = l.number("size", true), l.sha256("root_sha256", true), l.flag("checkpoint")
	d.timestamp, d.cosigned = l.flag("timestamp"), l.flag("cosigned")
	if d.ledgerSize < 1 {
		l.fail("ledger.size is 0, but the order of the package is an entry")
	}
	l.done()
	t := f.sub("tool")
	tool = strings.TrimSpace(t.text("name", true) + " " + t.text("version", true))
	t.text("commit", true)
	t.done()
	folders := map[string]bool{}
	for _, h := range f.list("hosts", maxHosts) {
		d.hosts = append(d.hosts, readHost(h, folders))
	}
	if _, there := f.o["uploads"]; there {
		known := map[string]bool{}
		for _, u := range f.list("uploads", maxZipNames) {
			d.uploads = append(d.uploads, readUpload(u, known))
		}
	}
	f.done()
	return d, at, recipient, purpose, tool, err
}

func readHost(h *fields, folders map[string]bool) docHost {
	host := docHost{endpointID: h.text("endpoint_id", true), folder: h.text("folder", true)}
	checkID(h, "endpoint_id", "end", host.endpointID)
	if why := zipName(host.folder, 1<<11); why != "" || !hostFolder.MatchString(host.folder) || folders[host.folder] {
		h.fail("%sfolder %.80q is no name of a folder, or stands twice %s", h.at, host.folder, why)
	}
	folders[host.folder] = true
	for _, n := range []string{"hostname", "label", "os", "arch", "platform", "agent_version"} {
		h.text(n, true)
	}
	h.whole("clock_offset_ns")
	for _, n := range []string{"enrolled_at", "clock_at"} {
		if _, there := h.o[n]; there {
			h.time(n)
		}
	}
	known := map[string]bool{}
	for _, a := range h.list("acquisitions", maxZipNames) {
		acq := docAcquisition{id: a.text("id", true)}
		checkID(a, "id", "acq", acq.id)
		if known[acq.id] {
			a.fail("%sid %s stands twice", a.at, acq.id)
		}
		known[acq.id] = true
		if _, acq.gone = a.o["disposed_by"]; acq.gone {
			acq.disposedBy = a.number("disposed_by", true)
		}
		for _, e := range a.list("evidence", maxArtifacts) {
			x := docEvidence{number: e.text("number", true), name: e.text("name", true), lines: e.text("lines", false), table: e.text("table", false), bytes: e.text("bytes", false), why: e.text("not_decoded", false)}
			for _, n := range []string{x.lines, x.table, x.bytes} {
				if n != "" && (!decodedFile.MatchString(n) || !strings.HasPrefix(n, "decoded/"+acq.id+"/")) {
					e.fail("%s%.80q is no name of a readable copy", e.at, n)
				}
			}
			e.done()
			acq.evidence = append(acq.evidence, x)
		}
		a.done()
		host.acquisitions = append(host.acquisitions, acq)
	}
	h.done()
	return host
}

// texts reads a list of texts.
func (f *fields) texts(name string) []string {
	v, ok := f.take(name, true)
	list, isList := v.([]any)
	if ok && !isList {
		f.fail("%s%s is not a list", f.at, name)
	}
	var out []string
	for _, x := range list {
		s, isText := x.(string)
		if !isText {
			f.fail("%s%s holds something that is no text", f.at, name)
		}
		out = append(out, s)
	}
	return out
}

// hashes reads a list of SHA-256.
func (f *fields) hashes(name string, required bool) []node {
	if _, there := f.o[name]; !there && !required {
		f.taken[name] = true
		return nil
	}
	var out []node
	for _, s := range f.texts(name) {
		h, ok := parseHash(s)
		if !ok {
			f.fail("%s%s holds %.80q, which is no SHA-256", f.at, name, s)
		}
		out = append(out, h)
	}
	if len(out) > 130 {
		f.fail("%s%s is longer than any proof", f.at, name)
	}
	return out
}
