// Package verify checks the folder of an acquisition against the published format
// (internal/docs/design/evidence-format.md). It reads everything with its own readers
// and knows nothing of the code that writes evidence.
//
// Everything in the folder counts as hostile: names, links, sizes, JSON, compression.
package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Verdict is what came of a check.
type Verdict string

// The verdicts.
const (
	// Verified: everything fits together and the signing key is the one that somebody
	// knew from elsewhere.
	Verified Verdict = "verified"
	// Consistent: everything fits together, but nothing shows who made it: whoever
	// swapped all files would have been able to sign them too.
	Consistent Verdict = "consistent_origin_not_shown"
	// NotVerified: something does not fit.
	NotVerified Verdict = "not_verified"
)

// Anchor is what the caller knows from outside the folder. At most one field is set.
type Anchor struct {
	CASHA256    string // of the collector's CA certificate, DER, 64 hexadecimal digits
	KeySHA256   string // of the signer's SubjectPublicKeyInfo, DER, 64 hexadecimal digits
	ReceiptCode string // as hozen-agent acquire printed it
}

func (a Anchor) empty() bool { return a == Anchor{} }

// Problem is one reason why a folder is not verified.
type Problem struct {
	Code   string `json:"code"`             // stable; see [Codes]
	File   string `json:"file,omitempty"`   // name in the folder
	Detail string `json:"detail,omitempty"` // English, for experts
}

// Codes lists every [Problem].Code.
func Codes() []string {
	return []string{
		codeFolder, codeMissing, codeExtra, codeNotRegular, codeTooLarge, codeUnreadable, codeManifest, codeSignature,
		codeSigner, codeCertificate, codeAnchor, codeStored, codePlain, codeSize, codeRecords, codeCompression,
		codeLine, codeReceipt,
		codeZip, codeZipTail, codeZipName, codeZipTwice, codeZipCase, codeZipLink, codeZipEncrypted, codeZipMethod, codeZipBomb, codeZipOverlap, codeZipData,
		codeBag, codeDigest, codePackage, codeDecoded, codeEntry, codeLedger, codeCheckpoint, codeStamp,
	}
}

const (
	codeFolder      = "folder"      // the folder itself
	codeMissing     = "missing"     // a file is not there
	codeExtra       = "extra"       // a file that nothing speaks of
	codeNotRegular  = "not_regular" // a link, pipe or device in place of a file
	codeTooLarge    = "too_large"   // larger than the format allows
	codeUnreadable  = "unreadable"  // the system would not let it be read
	codeManifest    = "manifest"    // the manifest is not in the format
	codeSignature   = "signature"   // the signature is not over this manifest by this key
	codeSigner      = "signer"      // the key is not the one that the manifest names
	codeCertificate = "certificate" // the certificate is not for this key, endpoint or CA
	codeAnchor      = "anchor"      // not what was known from outside
	codeStored      = "stored"      // stored bytes have another digest
	codePlain       = "plain"       // decompressed bytes have another digest
	codeSize        = "size"        // another number of bytes
	codeRecords     = "records"     // another number of records
	codeCompression = "compression" // cannot be decompressed
	codeLine        = "line"        // a line is not one JSON object
	codeReceipt     = "receipt"     // the collector's receipt is not right
)

// Problems of packages.
const (
	codeZip          = "zip"           // the zip is cut off or not in the form
	codeZipTail      = "zip_tail"      // something lies before, behind or between the files
	codeZipName      = "zip_name"      // a name that could lead out of the folder, or that systems read differently
	codeZipTwice     = "zip_twice"     // a name stands twice
	codeZipCase      = "zip_case"      // two names differ in the case of letters alone
	codeZipLink      = "zip_link"      // a link or device
	codeZipEncrypted = "zip_encrypted" // an encrypted file
	codeZipMethod    = "zip_method"    // a compression that the format does not have
	codeZipBomb      = "zip_bomb"      // more than the format allows
	codeZipOverlap   = "zip_overlap"   // two files share bytes
	codeZipData      = "zip_data"      // a file cannot be unpacked to what the zip says of it
	codeBag          = "bag"           // the lists of the BagIt folder are not in the form
	codeDigest       = "digest"        // a file has another SHA-256 than the list says
	codePackage      = "package"       // package.json is not in the format or contradicts the files
	codeDecoded      = "decoded"       // a readable copy is not what the sealed evidence holds
	codeEntry        = "entry"         // an entry of the ledger is not what was hashed, or its proof is wrong
	codeLedger       = "ledger"        // the ledger contradicts receipts, evidence or itself
	codeCheckpoint   = "checkpoint"    // the signed checkpoint is not right
	codeStamp        = "timestamp"     // the time stamp is not of the checkpoint
)

// Report is everything that was found.
type Report struct {
	Verdict        Verdict    `json:"verdict"`
	AcquisitionID  string     `json:"acquisition_id,omitempty"`
	EndpointID     string     `json:"endpoint_id,omitempty"`
	Hostname       string     `json:"hostname,omitempty"`
	StartedAt      time.Time  `json:"started_at,omitzero"`
	FinishedAt     time.Time  `json:"finished_at,omitzero"`
	Outcome        string     `json:"outcome,omitempty"`
	Tool           string     `json:"tool,omitempty"`
	ManifestSHA256 string     `json:"manifest_sha256,omitempty"`
	KeySHA256      string     `json:"key_sha256,omitempty"`   // of signer.pem
	ReceiptCode    string     `json:"receipt_code,omitempty"` // of signer.pem
	OneTimeKey     bool       `json:"one_time_key"`
	CASHA256       string     `json:"ca_sha256,omitempty"` // of the issuer in signer-cert.pem
	Anchor         string     `json:"anchor,omitempty"`    // "ca", "key" or "receipt_code" when it fitted
	Artifacts      []Artifact `json:"artifacts"`
	Probes         []Probe    `json:"probes"`
	Receipt        *Receipt   `json:"receipt,omitempty"`
	Problems       []Problem  `json:"problems"`
}

// Artifact is one file of evidence.
type Artifact struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Records int64  `json:"records"` // as counted
	Stored  string `json:"stored_sha256"`
	OK      bool   `json:"ok"`
}

// Probe is what the manifest says of one probe.
type Probe struct {
	Kind    string `json:"kind"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"`
	Records int64  `json:"records"`
}

// Receipt is what the collector confirmed.
type Receipt struct {
	IncidentNumber string    `json:"incident_number,omitempty"`
	ReceivedAt     time.Time `json:"received_at"`
	LedgerIndex    int64     `json:"ledger_index"`
	Collector      string    `json:"collector"`
	Anchored       bool      `json:"anchored"` // its CA is the one that was known from outside
}

// Limits on what is read, in bytes. They are part of the format.
const (
	maxManifest  = 4 << 20
	maxSmall     = 64 << 10
	maxReceipt   = 512 << 10
	maxArtifacts = 256
	maxPlain     = 4 << 30  // of one artifact of lines
	maxBytes     = 16 << 40 // of one artifact of another form, of which nothing is held
	maxLine      = 64 << 20
	maxProblems  = 200
)

// check is one check under way.
type check struct {
	src    source
	anchor Anchor
	report Report
	// What further checks lean on: the manifest once it was read, the receipt once it was
	// found right.
	manifest     *manifest
	receiptFacts *receiptFacts
	named        *manifest // the manifest, or an empty one
	// In a package, lines that are not in the form are the endpoint's doing and change
	// nothing of what was signed and received: they are told, not held against it.
	packed bool
	odd    []string // such artifacts
	gone   bool     // the artifacts were disposed of
}

// Folder checks the folder dir. The error is of the caller's making (a folder that
// does not exist, an anchor that is none) or ctx's; trouble with the evidence is in
// the report.
func Folder(ctx context.Context, dir string, anchor Anchor) (Report, error) {
	anchor, err := anchor.normal()
	if err != nil {
		return Report{}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Report{}, fmt.Errorf("open folder: %w", err)
	}
	defer root.Close()
	return folder(ctx, disk{root}, anchor)
}

// folder checks one acquisition wherever its files lie.
func folder(ctx context.Context, src source, anchor Anchor) (Report, error) {
	c := &check{src: src, anchor: anchor, report: Report{Artifacts: []Artifact{}, Probes: []Probe{}, Problems: []Problem{}}}
	if err := c.run(ctx); err != nil {
		return Report{}, err
	}
	c.conclude()
	return c.report, nil
}

// conclude draws the verdict.
func (c *check) conclude() {
	switch {
	case len(c.report.Problems) > 0:
		c.report.Verdict = NotVerified
	case c.report.Anchor != "":
		c.report.Verdict = Verified
	default:
		c.report.Verdict = Consistent
	}
}

func (c *check) problem(code, file, format string, args ...any) {
	if len(c.report.Problems) < maxProblems {
		c.report.Problems = append(c.report.Problems, Problem{code, file, fmt.Sprintf(format, args...)})
	}
}

func (c *check) run(ctx context.Context) error {
	jobs := c.read()
	if err := work(ctx, jobs); err != nil {
		return err
	}
	c.end(jobs)
	return nil
}

// read checks everything but the artifacts and returns what is to be done with these.
func (c *check) read() []*job {
	raw := c.file(fileManifest, maxManifest, false)
	sig := c.file(fileSignature, maxSmall, false)
	signerPEM := c.file(fileSigner, maxSmall, false)
	certPEM := c.file(fileCert, maxSmall, true)
	receipt := c.file(fileReceipt, maxReceipt, true)

	key := c.signer(signerPEM)
	if raw != nil {
		c.report.ManifestSHA256 = hexSHA256(raw)
	}
	if key != nil && raw != nil && sig != nil {
		c.signature(key, raw, sig)
	}
	var m *manifest
	if raw != nil {
		var err error
		if m, err = readManifest(raw); err != nil {
			c.problem(codeManifest, fileManifest, "%v", err)
		}
	}
	if m == nil {
		m = &manifest{} // what follows needs none, or says that it is missing
	} else {
		c.manifest = m
		c.tell(m)
		c.bindSigner(m)
	}
	ca := c.certificate(m, certPEM)
	ca = c.receiptCA(m, ca, receipt)
	c.anchors(m, ca)
	if receipt != nil {
		c.receipt(m, ca, receipt)
	}
	c.named = m
	var jobs []*job
	for i := range m.artifacts {
		jobs = append(jobs, &job{c: c, e: &m.artifacts[i]})
	}
	return jobs
}

// end reports what came of the artifacts, and what else lies there.
func (c *check) end(jobs []*job) {
	for _, j := range jobs {
		if !j.gone {
			c.report.Artifacts = append(c.report.Artifacts, j.got)
		}
		for _, p := range j.problems {
			c.problem(p.Code, p.File, "%s", p.Detail)
		}
		if j.odd {
			c.odd = append(c.odd, j.e.name)
		}
	}
	c.extra(c.named)
}

// tell copies what the manifest says into the report.
func (c *check) tell(m *manifest) {
	r := &c.report
	r.AcquisitionID, r.EndpointID, r.Hostname, r.Outcome = m.acquisitionID, m.endpointID, m.hostname, m.outcome
	r.StartedAt, r.FinishedAt, r.OneTimeKey = m.startedAt, m.finishedAt, m.oneTime
	r.Tool = strings.TrimSpace(m.toolName + " " + m.toolVersion)
	r.Probes = slices.Clone(m.probes)
	if r.Probes == nil {
		r.Probes = []Probe{}
	}
}

// normal spells an anchor as it is compared, and refuses what is none.
func (a Anchor) normal() (Anchor, error) {
	n := 0
	for _, s := range []*string{&a.CASHA256, &a.KeySHA256} {
		if *s == "" {
			continue
		}
		n++
		*s = strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(*s)) // as openssl prints it
		if !isHexSHA256(*s) {
			return Anchor{}, errors.New("fingerprint: want 64 hexadecimal digits")
		}
	}
	if a.ReceiptCode != "" {
		n++
		code, err := normalCode(a.ReceiptCode)
		if err != nil {
			return Anchor{}, err
		}
		a.ReceiptCode = code
	}
	if n > 1 {
		return Anchor{}, errors.New("give one anchor only")
	}
	return a, nil
}
