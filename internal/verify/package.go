package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// PackageAnchor is what the caller knows of a package from outside it.
type PackageAnchor struct {
	Anchor
	// PackageSHA256 is of the whole zip, 64 hexadecimal digits. Optional.
	PackageSHA256 string
	// CheckpointKey is the verifier key of the ledger's checkpoints (C2SP signed-note).
	// Optional.
	CheckpointKey string
}

// Outcome is what came of one part of a check.
type Outcome string

// The outcomes.
const (
	Fits       Outcome = "fits"
	Wrong      Outcome = "wrong"
	NotChecked Outcome = "not_checked" // could not be, for the reason that is given
	Absent     Outcome = "absent"      // the package has none
)

// Part is one part of the check of a package.
type Part struct {
	Name    string  `json:"name"` // see [Parts]
	Outcome Outcome `json:"outcome"`
	Count   int     `json:"count"` // of what was looked at
	Detail  string  `json:"detail,omitempty"`
}

// The parts of a package's check.
const (
	partZip          = "zip"          // the zip itself
	partBag          = "bag"          // every file is listed and has its SHA-256
	partAcquisitions = "acquisitions" // the sealed evidence
	partReceipts     = "receipts"     // the collector's receipts
	partDecoded      = "decoded"      // readable copies against the sealed evidence
	partUploads      = "uploads"      // files that people sent against the ledger
	partEntries      = "entries"      // entries of the ledger and their proofs
	partLedger       = "ledger"       // receipts and evidence against the ledger
	partCheckpoint   = "checkpoint"   // the signed checkpoint
	partStamp        = "timestamp"    // the time stamp of the checkpoint
	partDerived      = "derived"      // files that are made of the rest and cannot be held against it
)

// Parts lists every [Part].Name, in the order in which they are told.
func Parts() []string {
	return []string{partZip, partBag, partAcquisitions, partReceipts, partDecoded, partUploads, partEntries, partLedger, partCheckpoint, partStamp, partDerived}
}

// PackageReport is everything that was found about a package.
type PackageReport struct {
	Verdict      Verdict         `json:"verdict"`
	ID           string          `json:"id,omitempty"`
	Number       string          `json:"number,omitempty"`
	Incident     string          `json:"incident_number,omitempty"`
	OrderedAt    time.Time       `json:"ordered_at,omitzero"`
	Recipient    string          `json:"recipient,omitempty"`
	Purpose      string          `json:"purpose,omitempty"`
	Tool         string          `json:"tool,omitempty"`
	LedgerSize   int64           `json:"ledger_size"`
	LedgerRoot   string          `json:"ledger_root_sha256,omitempty"`
	SHA256       string          `json:"sha256,omitempty"` // of the zip; only where one was given to compare with
	Anchor       string          `json:"anchor,omitempty"` // "ca", "key", "package" or "checkpoint" when it fitted
	Files        int             `json:"files"`
	Bytes        int64           `json:"bytes"`
	Parts        []Part          `json:"parts"`
	Acquisitions []PackedReport  `json:"acquisitions"`
	Unchecked    []PackedProblem `json:"not_checked"` // files that nothing could be held against
	Problems     []Problem       `json:"problems"`
}

// PackedReport is the report of one acquisition and where it lies.
type PackedReport struct {
	Folder string `json:"folder"`
	Report
}

// PackedProblem names a file and says why it was not checked beyond its digest.
type PackedProblem struct {
	File string `json:"file"`
	Why  string `json:"why"` // stable: "derived", "not_decoded", "odd_lines", "own_words", "behind_receipts", "disposed", "disposed_unanchored", "upload_unanchored", "stamp_signature", "cosignatures", "unknown", "one_time_key"
	// Count is of the entries of the ledger that "behind_receipts" speaks of.
	Count int `json:"count,omitempty"`
}

// maxReported bounds the lists of a report.
const maxReported = 2000

// pack is the check of a package under way.
type pack struct {
	tree    tree
	anchor  PackageAnchor
	report  PackageReport
	doc     *packageDoc
	sealed  map[string]*sealedFacts // by folder
	digests map[string]string       // proven so far, by name
	parts   map[string]*Part
	odd     map[string]bool // artifacts whose lines are not in the form, by name
	planned []planned       // readable copies, in the order of package.json
	copied  map[string]bool // their names, and those of what else is made of evidence
	// originalSums are the SHA-256 that files of PCs must have, by name.
	originalSums map[string]string
	told         map[int64]bool // entries of the ledger that exhibits.json tells
	// What the anchors reach. unanchored counts acquisitions that none reached.
	unanchored int
	signed     bool  // the checkpoint is by the key that was given
	received   int64 // size of the newest tree of the ledger that an anchored receipt names
	behind     int   // entries that came after it
	disposals  []disposal
	sent       []sentFile
}

// sealedFacts is what the rest of the package is held against.
type sealedFacts struct {
	report   Report
	manifest *manifest
	receipt  *receiptFacts
	check    *check
	jobs     []*job
}

// IsPackage reports whether path is a package: a zip, the first piece of a zip that was cut
// (.001), or a folder of the BagIt form or with one such folder in it.
func IsPackage(path string) bool {
	fi, err := os.Stat(path)
	if err != nil {
		return false
	}
	if !fi.IsDir() {
		return true
	}
	_, err = bagFolder(path)
	return err == nil
}

// bagFolder finds the folder that holds bagit.txt: dir or its only folder.
func bagFolder(dir string) (string, error) {
	if fi, err := os.Lstat(path.Join(dir, fileBagit)); err == nil && fi.Mode().IsRegular() {
		return dir, nil
	}
	list, err := os.ReadDir(dir)
	if err == nil && len(list) == 1 && list[0].IsDir() {
		inner := path.Join(dir, list[0].Name())
		if fi, err := os.Lstat(path.Join(inner, fileBagit)); err == nil && fi.Mode().IsRegular() {
			return inner, nil
		}
	}
	return "", fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
}

// Package checks the package at name: a zip or its unpacked folder. The error is of the
// caller's making or ctx's; trouble with the package is in the report.
func Package(ctx context.Context, name string, anchor PackageAnchor) (PackageReport, error) {
	var err error
	if anchor.Anchor, err = anchor.normal(); err != nil {
		return PackageReport{}, err
	}
	if anchor.ReceiptCode != "" {
		return PackageReport{}, errors.New("a receipt code is for the folder of one acquisition")
	}
	if anchor.PackageSHA256, err = normalSHA256(anchor.PackageSHA256); err != nil {
		return PackageReport{}, err
	}
	if anchor.CheckpointKey != "" {
		if _, err := readVerifierKey(anchor.CheckpointKey); err != nil {
			return PackageReport{}, err
		}
	}
	p := &pack{anchor: anchor, sealed: map[string]*sealedFacts{}, digests: map[string]string{}, parts: map[string]*Part{}, odd: map[string]bool{}, copied: map[string]bool{}, originalSums: map[string]string{}}
	p.report = PackageReport{Parts: []Part{}, Acquisitions: []PackedReport{}, Unchecked: []PackedProblem{}, Problems: []Problem{}}
	for _, n := range Parts() {
		p.parts[n] = &Part{Name: n, Outcome: NotChecked}
	}
	fi, err := os.Stat(name)
	if err != nil {
		return PackageReport{}, fmt.Errorf("open package: %w", err)
	}
	if fi.IsDir() {
		err = p.unpacked(ctx, name)
	} else {
		err = p.zipped(ctx, name)
	}
	if err != nil {
		return PackageReport{}, err
	}
	p.conclude()
	return p.report, nil
}

func normalSHA256(s string) (string, error) {
	if s = strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(s)); s != "" && !isHexSHA256(s) {
		return "", errors.New("SHA-256: want 64 hexadecimal digits")
	}
	return s, nil
}

func (p *pack) unpacked(ctx context.Context, dir string) error {
	if p.anchor.PackageSHA256 != "" {
		return errors.New("the SHA-256 of a package is that of its zip; this is a folder")
	}
	bag, err := bagFolder(dir)
	if err != nil {
		return fmt.Errorf("open package: %w", err)
	}
	root, err := os.OpenRoot(bag)
	if err != nil {
		return fmt.Errorf("open package: %w", err)
	}
	defer root.Close()
	p.parts[partZip].Outcome, p.parts[partZip].Detail = Absent, "a folder was given"
	p.tree = p.walk(root)
	return p.run(ctx)
}

func (p *pack) zipped(ctx context.Context, name string) error {
	f, err := openPieces(name)
	if err != nil {
		return fmt.Errorf("open package: %w", err)
	}
	defer f.Close()
	if p.anchor.PackageSHA256 != "" {
		if p.report.SHA256, err = f.sha256(ctx); err != nil {
			return err
		}
		if p.report.SHA256 != p.anchor.PackageSHA256 {
			p.problem(partZip, codeAnchor, "", "the zip has the SHA-256 %s, not the one that was given", p.report.SHA256)
		} else {
			p.report.Anchor = "package"
		}
	}
	list, err := readZip(f, f.size)
	var base string
	var a *archive
	if err == nil {
		a, base, err = newArchive(f, list)
	}
	if z, ok := errors.AsType[*zipError](err); ok {
		p.problem(partZip, z.code, z.file, "%s", z.detail)
		return nil
	}
	if err != nil {
		return err
	}
	p.parts[partZip].Outcome, p.parts[partZip].Count = Fits, len(list)
	p.tree = a
	if err := p.run(ctx); err != nil {
		return err
	}
	if p.report.Number != "" && base != p.report.Number {
		p.problem(partZip, codePackage, base, "the folder is not called %s", p.report.Number)
	}
	return nil
}

// problem notes what is wrong in one part.
func (p *pack) problem(part, code, file, format string, args ...any) {
	p.parts[part].Outcome = Wrong
	if len(p.report.Problems) < maxProblems {
		p.report.Problems = append(p.report.Problems, Problem{code, file, fmt.Sprintf(format, args...)})
	}
}

// small reads a small file of the package whole, or reports why not.
func (p *pack) small(part, name string, limit int64) []byte {
	f, size, why := p.tree.open(name)
	if why != nil {
		p.problem(part, why.Code, name, "%s", why.Detail)
		return nil
	}
	defer f.Close()
	if size > limit {
		p.problem(part, codeTooLarge, name, "%d bytes, at most %d", size, limit)
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		p.problem(part, codeZipData, name, "%v", err)
		return nil
	}
	return b
}

// run checks everything; the parts follow each other because each leans on the one before.
func (p *pack) run(ctx context.Context) error {
	list, ok := p.lists()
	if !ok {
		return nil
	}
	p.document()
	for _, step := range []func(context.Context) error{p.acquisitions, func(ctx context.Context) error { return p.hash(ctx, list) }, p.custody} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	p.derived(list)
	return nil
}

// acquisitions checks each sealed acquisition as it would be checked alone.
func (p *pack) acquisitions(ctx context.Context) error {
	part := p.parts[partAcquisitions]
	receipts := p.parts[partReceipts]
	if p.doc == nil {
		return nil
	}
	part.Outcome, receipts.Outcome = Fits, Absent
	var all []*sealedFacts
	var jobs []*job
	for _, h := range p.doc.hosts {
		base := "data/hosts/" + h.folder + "/"
		for _, a := range h.acquisitions {
			facts := p.acquisition(base+"sealed/"+a.id, a.gone)
			p.sealed[base+"sealed/"+a.id] = facts
			if facts.manifest != nil {
				p.plan(base, a, facts)
			}
			all, jobs = append(all, facts), append(jobs, facts.jobs...)
		}
	}
	if err := work(ctx, jobs); err != nil {
		return err
	}
	for _, h := range p.doc.hosts {
		for _, a := range h.acquisitions {
			folder := "data/hosts/" + h.folder + "/sealed/" + a.id
			facts := all[part.Count]
			part.Count++
			p.concluded(folder, facts)
			p.belongs(folder, h, a, facts)
			if facts.receipt != nil {
				receipts.Count++
				if receipts.Outcome == Absent {
					receipts.Outcome = Fits
				}
			}
		}
	}
	if err := p.remade(ctx); err != nil {
		return err
	}
	p.decoded()
	for _, f := range p.tree.files() {
		parts := strings.Split(f.name, "/")
		if len(parts) > 5 && parts[1] == "hosts" && parts[3] == "sealed" && p.sealed[strings.Join(parts[:5], "/")] == nil {
			p.problem(partAcquisitions, codePackage, f.name, "package.json does not know it")
		}
	}
	return nil
}

// acquisition reads what speaks for the artifacts of an acquisition.
func (p *pack) acquisition(folder string, gone bool) *sealedFacts {
	c := &check{packed: true, gone: gone, src: below{p.tree, folder + "/"}, anchor: p.anchor.Anchor, report: Report{Artifacts: []Artifact{}, Probes: []Probe{}, Problems: []Problem{}}}
	jobs := c.read()
	for _, j := range jobs {
		j.gone = gone
	}
	return &sealedFacts{check: c, jobs: jobs, manifest: c.manifest, receipt: c.receiptFacts}
}

// concluded reports an acquisition whose artifacts were checked.
func (p *pack) concluded(folder string, s *sealedFacts) {
	c := s.check
	c.end(s.jobs)
	c.conclude()
	s.report = c.report
	if c.report.Anchor == "" && (c.manifest == nil || !c.viaReceipt(c.manifest)) {
		p.unanchored++
	}
	if c.report.OneTimeKey {
		p.report.Unchecked = append(p.report.Unchecked, PackedProblem{File: folder + "/" + fileSigner, Why: "one_time_key"})
	}
	for _, name := range c.odd {
		p.odd[folder+"/"+name] = true
	}
	if len(p.report.Acquisitions) < maxReported {
		p.report.Acquisitions = append(p.report.Acquisitions, PackedReport{folder, c.report})
	}
	for _, x := range c.report.Problems {
		part := partAcquisitions
		if x.Code == codeReceipt {
			part = partReceipts
		}
		p.problem(part, x.Code, folder+"/"+x.File, "%s", x.Detail)
	}
	for _, a := range c.report.Artifacts {
		if a.OK {
			p.digests[folder+"/"+a.Name] = a.Stored
		}
	}
}

// belongs holds an acquisition against what package.json says of it.
func (p *pack) belongs(folder string, h docHost, a docAcquisition, s *sealedFacts) {
	if s.manifest == nil {
		return
	}
	switch {
	case s.report.AcquisitionID != a.id:
		p.problem(partAcquisitions, codePackage, folder, "it holds the acquisition %s", s.report.AcquisitionID)
	case s.report.OneTimeKey && s.receipt != nil && s.receipt.endpointID != h.endpointID:
		p.problem(partReceipts, codePackage, folder, "it was received for the endpoint %s, not for %s", s.receipt.endpointID, h.endpointID)
	case s.report.EndpointID != h.endpointID && !s.report.OneTimeKey:
		p.problem(partAcquisitions, codePackage, folder, "it is of the endpoint %s, not of %s", s.report.EndpointID, h.endpointID)
	case s.report.CASHA256 != "" && s.report.CASHA256 != p.doc.caSHA256:
		p.problem(partAcquisitions, codePackage, folder, "its certificate is of another CA than the package names")
	}
	if s.receipt == nil {
		p.problem(partReceipts, codeMissing, folder+"/"+fileReceipt, "a collector has a receipt for everything that it packs")
		return
	}
	if n := s.report.Receipt; n != nil && n.IncidentNumber != "" && n.IncidentNumber != p.doc.incident {
		p.problem(partReceipts, codePackage, folder, "it was received for %s", n.IncidentNumber)
	}
}

// reach says what the given anchors leave open. The CA's receipts show the ledger up to the
// newest of them; that the package holds every acquisition, to whom it went and what was done
// last, they don't.
func (p *pack) reach() {
	if p.report.Anchor == "package" {
		return
	}
	open := []PackedProblem{{File: fileDocument, Why: "own_words"}}
	if !p.signed {
		if part := p.parts[partCheckpoint]; part.Outcome == Fits {
			part.Outcome = NotChecked
		}
		if p.behind > 0 {
			open = append(open, PackedProblem{File: fileEntries, Why: "behind_receipts", Count: p.behind})
		}
	}
	p.report.Unchecked = append(open, p.report.Unchecked...)
}

// conclude draws the verdict.
func (p *pack) conclude() {
	r := &p.report
	if p.doc != nil {
		p.reach()
	}
	for _, n := range Parts() {
		r.Parts = append(r.Parts, *p.parts[n])
	}
	if r.Anchor == "" && len(r.Acquisitions) > 0 && p.unanchored == 0 {
		r.Anchor = r.Acquisitions[0].Anchor
		if r.Anchor == "" { // by its receipt
			r.Anchor = "ca"
		}
	}
	switch {
	case len(r.Problems) > 0:
		r.Verdict = NotVerified
	case r.Anchor != "":
		r.Verdict = Verified
	default:
		r.Verdict = Consistent
	}
}
