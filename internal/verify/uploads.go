package verify

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Files that people sent: nobody signed them, and what speaks for them is the ledger.
const (
	uploadsFolder = "data/uploads/"
	actUpload     = "record.upload"
)

// docUpload is what package.json says of a file that a person sent.
type docUpload struct {
	id, exhibit, exhibitID string
	file                   string // below data/; empty where gone
	name, source, sha256   string
	size                   int64
	// gone: its bytes were disposed of, by that entry of the ledger.
	gone       bool
	disposedBy int64
}

var uploadFile = regexp.MustCompile(`^uploads/([A-Za-z0-9-]{1,60})\.[a-z0-9]{1,8}$`)

func readUpload(f *fields, known map[string]bool) docUpload {
	u := docUpload{id: f.text("upload_id", true), exhibit: f.text("exhibit", true), exhibitID: f.text("exhibit_id", true), file: f.text("file", false),
		name: f.text("name", true), source: f.text("source", true), size: f.number("size", true), sha256: f.sha256("sha256", true)}
	checkID(f, "upload_id", "upl", u.id)
	checkID(f, "exhibit_id", "exh", u.exhibitID)
	if _, u.gone = f.o["disposed_by"]; u.gone {
		u.disposedBy = f.number("disposed_by", true)
	}
	if !packageNumber.MatchString(u.exhibit) {
		f.fail("%sexhibit %.80q is no number", f.at, u.exhibit)
	}
	if m := uploadFile.FindStringSubmatch(u.file); u.gone && u.file != "" || !u.gone && (m == nil || m[1] != u.exhibit) {
		f.fail("%sfile %.80q is not what %.60q is called", f.at, u.file, u.exhibit)
	}
	if known[u.id] || known[u.exhibit] {
		f.fail("%sexhibit %.60q or its file stands twice", f.at, u.exhibit)
	}
	known[u.id], known[u.exhibit] = true, true
	f.done()
	return u
}

// where is the file that problems of it name.
func (u docUpload) where() string {
	if u.gone {
		return uploadsFolder + u.exhibit
	}
	return "data/" + u.file
}

// uploads holds the files that people sent against the ledger: each is what was received, none
// that the ledger's entries here tell of is left out, and there is no other.
func (p *pack) uploads(v *ledgerView) {
	part := p.parts[partUploads]
	switch {
	case part.Outcome == Wrong: // the order was for another number of them
	case len(p.doc.uploads) > 0:
		part.Outcome = Fits
	default:
		part.Outcome = Absent
	}
	entries, exhibits, sizes := map[string]*ledgerEntry{}, map[string]string{}, map[string]int64{}
	for _, e := range v.uploaded {
		entries[e.subject] = e
	}
	for _, e := range v.added {
		exhibits[e.subject] = e.details["number"]
	}
	for _, f := range p.tree.files() {
		if strings.HasPrefix(f.name, uploadsFolder) {
			sizes[f.name] = f.size
		}
	}
	listed := map[string]bool{}
	for _, u := range p.doc.uploads {
		part.Count++
		listed[u.where()], listed[u.id] = true, true
		e := entries[u.id]
		if e == nil || e.details["exhibit"] != u.exhibit || e.details["exhibit_id"] != u.exhibitID || e.details["sha256"] != u.sha256 || e.details["size"] != strconv.FormatInt(u.size, 10) {
			p.problem(partUploads, codeLedger, u.where(), "no entry of the ledger says that %.60s was received so", u.exhibit)
			continue
		}
		if exhibits[u.exhibitID] != u.exhibit {
			p.problem(partUploads, codeLedger, u.where(), "no entry of the ledger adds the exhibit %.60s", u.exhibit)
		}
		if name, source, err := readUploadWords(e.details["file"]); err != nil || name != u.name || source != u.source {
			p.problem(partUploads, codeLedger, u.where(), "entry %d of the ledger has another name or source of it", e.index)
		}
		if u.gone {
			p.uploadGone(u, v)
			continue
		}
		p.uploadBytes(u, sizes)
		p.sent = append(p.sent, sentFile{e.index, u.where()})
	}
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		if !listed[name] {
			p.problem(partUploads, codePackage, name, "package.json does not know it")
		}
	}
	for _, e := range v.uploaded {
		if !listed[e.subject] {
			p.problem(partUploads, codeLedger, fileDocument, "it leaves out the file of entry %d, %.60s", e.index, e.details["exhibit"])
		}
	}
}

// uploadBytes holds a file against what was received; sizes are of the files that are there.
func (p *pack) uploadBytes(u docUpload, sizes map[string]int64) {
	file := u.where()
	size, there := sizes[file]
	switch sum := p.digests[file]; {
	case !there:
		p.problem(partUploads, codeMissing, file, "")
	case size != u.size:
		p.problem(partUploads, codeSize, file, "%d bytes, received were %d", size, u.size)
	case sum != "" && sum != u.sha256: // without one its problem was told with the lists
		p.problem(partUploads, codeStored, file, "received was %s, it has %s", u.sha256, sum)
	}
}

// readUploadWords reads what a person said of a file, as the ledger has it. Of the rest of it
// nothing stands in packages.
func readUploadWords(text string) (name, source string, err error) {
	v, err := parseJSON([]byte(text))
	if err != nil {
		return "", "", err
	}
	o, ok := v.(object)
	if !ok {
		return "", "", errors.New("not an object")
	}
	name, _ = o["name"].(string)
	source, _ = o["source"].(string)
	return name, source, nil
}

// uploadGone looks for the entry of the ledger by which the bytes of a file went.
func (p *pack) uploadGone(u docUpload, v *ledgerView) {
	e := v.at[u.disposedBy]
	if e == nil || e.act != actDispose || e.subject != u.exhibitID || e.details["hash_before"] != u.sha256 {
		p.problem(partUploads, codeLedger, u.where(), "entry %d of the ledger does not say that it was disposed of", u.disposedBy)
		return
	}
	p.disposals = append(p.disposals, disposal{by: u.disposedBy, files: []string{u.where()}})
}

// sentFile is a file that a person sent, and the entry of the ledger that says so.
type sentFile struct {
	index int64
	file  string
}

// vouchedUploads says of the files that people sent whether an anchor reaches their entries: one
// behind the newest anchored receipt could be anybody's who made the package.
func (p *pack) vouchedUploads() {
	for _, s := range p.sent {
		if s.index >= p.received && !p.signed && p.report.Anchor != "package" {
			p.unchecked(s.file, "upload_unanchored")
			p.unanchored++
		}
	}
}
