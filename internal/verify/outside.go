package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Files of what others say of the ledger, and of what is said of exhibits.
const (
	fileStamp    = "data/custody/checkpoint.tsr"
	fileStampCA  = "data/custody/timestamp-ca.pem"
	fileCosigned = "data/custody/cosigned.txt"
	fileExhibits = "data/custody/exhibits.json"
	formatThings = "hozen-exhibits/1"
	maxStamp     = 256 << 10
)

// stamp holds the time stamp against the checkpoint: it is of exactly these bytes. Who signed
// it, and whether that authority is to be trusted, is not looked at here.
func (p *pack) stamp() {
	part := p.parts[partStamp]
	if !p.doc.timestamp {
		part.Outcome = Absent
		if _, _, why := p.tree.open(fileStamp); why == nil {
			p.problem(partStamp, codeStamp, fileStamp, "package.json says that there is none")
		}
		return
	}
	b, note := p.small(partStamp, fileStamp, maxStamp), p.small(partStamp, fileSigned, maxSmall)
	if b == nil || note == nil {
		return
	}
	at, err := readStamp(b, sha256.Sum256(note))
	if err != nil {
		p.problem(partStamp, codeStamp, fileStamp, "%v", err)
		return
	}
	part.Count, part.Detail = 1, at.UTC().Format(time.RFC3339)
	p.unchecked(fileStamp, "stamp_signature")
}

// The structures of RFC 3161 and RFC 5652 as far as they are read.
type (
	stampResponse struct {
		Status asn1.RawValue
		Token  contentInfo `asn1:"optional"`
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	signedData struct {
		Version    int
		Algorithms asn1.RawValue `asn1:"set"`
		Content    contentInfo
	}
	stampInfo struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint struct {
			Algorithm struct {
				ID         asn1.ObjectIdentifier
				Parameters asn1.RawValue `asn1:"optional"`
			}
			Hash []byte
		}
		Serial asn1.RawValue
		At     time.Time `asn1:"generalized"`
	}
)

// readStamp reads a TimeStampResp (RFC 3161, 2.4.2) that must be over a SHA-256, and returns
// its time.
func readStamp(der []byte, of [sha256.Size]byte) (time.Time, error) {
	var r stampResponse
	if rest, err := asn1.Unmarshal(der, &r); err != nil || len(rest) > 0 {
		return time.Time{}, fmt.Errorf("it is no answer of a time stamping authority: %v", err)
	}
	status := 0
	if _, err := asn1.Unmarshal(r.Status.Bytes, &status); err != nil || status > 1 {
		return time.Time{}, fmt.Errorf("the authority refused: status %d", status)
	}
	if !r.Token.Type.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}) {
		return time.Time{}, errors.New("it holds no signed data")
	}
	var d signedData
	if _, err := asn1.Unmarshal(explicit(r.Token.Content), &d); err != nil {
		return time.Time{}, fmt.Errorf("signed data: %w", err)
	}
	if !d.Content.Type.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}) {
		return time.Time{}, errors.New("what was signed is no time stamp")
	}
	var text []byte
	if _, err := asn1.Unmarshal(explicit(d.Content.Content), &text); err != nil {
		return time.Time{}, fmt.Errorf("time stamp: %w", err)
	}
	var t stampInfo
	if _, err := asn1.Unmarshal(text, &t); err != nil {
		return time.Time{}, fmt.Errorf("time stamp: %w", err)
	}
	if !t.Imprint.Algorithm.ID.Equal(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}) || !bytes.Equal(t.Imprint.Hash, of[:]) {
		return time.Time{}, fmt.Errorf("it is of the hash %x, the checkpoint has the SHA-256 %s", t.Imprint.Hash, hex.EncodeToString(of[:]))
	}
	return t.At, nil
}

// explicit is what stands inside an explicit tag.
func explicit(v asn1.RawValue) []byte {
	if v.Class == asn1.ClassContextSpecific {
		return v.Bytes
	}
	return v.FullBytes
}

// cosigned holds the checkpoint with the signatures of witnesses against the checkpoint. Their
// keys are not in the package, so the signatures are not checked.
func (p *pack) cosigned() {
	b := p.optional(partCheckpoint, fileCosigned, p.doc.cosigned)
	if b == nil {
		return
	}
	note := p.small(partCheckpoint, fileSigned, maxSmall)
	lines, ok := bytes.CutPrefix(b, note)
	if note == nil || !ok || len(lines) == 0 {
		p.problem(partCheckpoint, codeCheckpoint, fileCosigned, "it is not the checkpoint with more signatures")
		return
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(lines), "\n"), "\n") {
		if !strings.HasPrefix(line, "— ") {
			p.problem(partCheckpoint, codeCheckpoint, fileCosigned, "something else than signatures follows the checkpoint")
			return
		}
	}
	p.unchecked(fileCosigned, "cosignatures")
}

// optional reads a small file that is there exactly when it is said to be.
func (p *pack) optional(part, name string, said bool) []byte {
	if _, _, why := p.tree.open(name); !said {
		if why == nil {
			p.problem(part, codePackage, name, "package.json says that there is none")
		}
		return nil
	}
	return p.small(part, name, maxSmall)
}

// exhibits holds what is said of exhibits against the entries of the ledger.
func (p *pack) exhibits(entries map[int64]*ledgerEntry) {
	f, _, why := p.tree.open(fileExhibits)
	if why != nil && why.Code == codeMissing {
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
	about := map[string]bool{p.doc.incidentID: true}
	v, err := parseJSON(b)
	if err == nil {
		d := newFields(v, &err)
		oneOf(d, "format", d.text("format", true), []string{formatThings})
		for _, x := range d.list("exhibits", maxZipNames) {
			about[p.exhibit(x, entries)] = true
		}
		for _, e := range d.list("events", maxZipNames) {
			p.fact(e, p.doc.incidentID, entries)
		}
		d.done()
	}
	if err != nil {
		p.problem(partLedger, codeLedger, fileExhibits, "%v", err)
		return
	}
	for index, e := range entries {
		if strings.HasPrefix(e.act, "custody.") && e.act != "custody.disposed" && about[e.subject] && !p.told[index] {
			p.problem(partLedger, codeLedger, fileExhibits, "it leaves out entry %d, %s", index, e.act)
		}
	}
}

// exhibit checks one exhibit and returns its identifier. Who holds it now, and gaps, follow from
// its events and are not made again.
func (p *pack) exhibit(x *fields, entries map[int64]*ledgerEntry) string {
	about := x.text("id", true)
	number, kind, acquisition := x.text("number", true), x.text("kind", true), x.text("acquisition_id", false)
	parent, endpoint := x.text("parent", false), x.text("endpoint_id", false)
	x.text("custodian", false)
	for _, g := range x.list("gaps", maxZipNames) {
		g.text("code", true)
		g.number("seq", true)
		for _, n := range []string{"from", "to"} {
			if _, there := g.o[n]; there {
				g.time(n)
			}
		}
		g.done()
	}
	said := map[string]string{}
	added := false
	for _, s := range x.list("said", maxZipNames) {
		details, act := p.fact(s, about, entries)
		switch act {
		case "custody.add":
			added = details["number"] == number && details["kind"] == kind && details["acquisition_id"] == acquisition && details["parent"] == parent && details["endpoint_id"] == endpoint
			for name, v := range details {
				if field, ok := strings.CutPrefix(name, "field_"); ok {
					said[field] = v
				}
			}
		case "custody.describe":
			said[details["field"]] = details["value"]
		}
	}
	fields := x.sub("fields")
	for name := range fields.o {
		if fields.text(name, true) != said[name] {
			p.problem(partLedger, codeLedger, fileExhibits, "the ledger says something else of %s %s", number, name)
		}
		delete(said, name)
	}
	for name, v := range said {
		if v != "" {
			p.problem(partLedger, codeLedger, fileExhibits, "it leaves out %s of %s", name, number)
		}
	}
	if !added {
		p.problem(partLedger, codeLedger, fileExhibits, "no entry of the ledger adds the exhibit %s so", number)
	}
	for _, e := range x.list("events", maxZipNames) {
		p.fact(e, about, entries)
	}
	x.done()
	return about
}

// fact holds what is said against the entry that it is said to be, whose subject is about.
func (p *pack) fact(f *fields, about string, entries map[int64]*ledgerEntry) (details map[string]string, act string) {
	index, subject := f.number("ledger_index", true), f.text("subject", true)
	act = f.text("act", true)
	d := f.sub("details")
	details = map[string]string{}
	for name := range d.o {
		details[name] = d.text(name, true)
	}
	f.done()
	p.told[index] = true
	e := entries[index]
	ok := e != nil && e.act == act && e.subject == subject && subject == about
	for name, v := range details {
		ok = ok && e.details[name] == v
	}
	if !ok {
		p.problem(partLedger, codeLedger, fileExhibits, "entry %d of the ledger is not what is said of it", index)
	}
	return details, act
}

// disposed looks for the entry of the ledger by which the bytes of an acquisition went. It
// names every artifact.
func (p *pack) disposed(folder string, a docAcquisition, s *sealedFacts, numbers map[string]string, entries map[int64]*ledgerEntry) {
	e := entries[a.disposedBy]
	if e == nil || e.act != "custody.dispose" {
		p.problem(partLedger, codeLedger, folder, "entry %d of the ledger does not say that its bytes were disposed of", a.disposedBy)
		return
	}
	lines := strings.Split(e.details["acquisition_blobs"], "\n")
	if lines[0] != a.id {
		p.problem(partLedger, codeLedger, folder, "entry %d of the ledger is of another acquisition", a.disposedBy)
		return
	}
	for _, m := range s.manifest.artifacts {
		want := m.stored.sha256 + " " + strconv.FormatInt(m.stored.size, 10) + " " + numbers[m.name] + " " + m.name
		if !slices.Contains(lines[1:], want) {
			p.problem(partLedger, codeLedger, folder+"/"+m.name, "entry %d of the ledger does not say that it was disposed of", a.disposedBy)
		} else {
			p.unchecked(folder+"/"+m.name, "disposed")
		}
	}
}
