package evidence

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	"hozen/internal/custody"
	"hozen/internal/digest"
)

// Fault says what is wrong with kept evidence.
type Fault string

// The faults.
const (
	BlobMissing    Fault = "blob_missing"    // bytes are not there
	BlobCorrupt    Fault = "blob_corrupt"    // bytes are others than were accepted
	RowEdited      Fault = "row_edited"      // the database says other things than was signed
	RowMissing     Fault = "row_missing"     // the ledger knows of evidence that the database doesn't
	SignatureWrong Fault = "signature_wrong" // the manifest was not signed by that endpoint
	ReceiptWrong   Fault = "receipt_wrong"   // the receipt is not what the collector signed, or says other things
	LedgerWrong    Fault = "ledger_wrong"    // the ledger entry of the evidence is not about it
	DisposalWrong  Fault = "disposal_wrong"  // it is said to be disposed of, and the ledger does not say so
)

// Finding is one thing that is wrong.
type Finding struct {
	OrganisationID string
	Subject        string // identifier of the acquisition or item, or digest of the blob
	Fault          Fault
	Detail         string // English, for experts
}

// Auditor proves again everything that was accepted, from bytes.
type Auditor struct {
	Query    sqldb.Queryer // one unchanging view
	Blobs    blob.Store
	CA       *x509.Certificate // Optional; without it receipts are checked against the certificate that they carry
	Verifier Verifier          // Optional; without it manifests are checked against the certificate that they came with
	// Progress is optional; it hears how many acquisitions of how many are done.
	Progress func(done, total int)

	used     map[digest.Digest]bool
	proven   map[string]proof
	findings []Finding
	stats    AuditStats
}

// AuditStats counts what was proven again.
type AuditStats struct {
	Acquisitions, Items int
	Disposed            int   // acquisitions whose bytes were disposed of
	Bytes               int64 // of stored artifacts, each blob once
}

// Run proves everything and returns what is wrong. The error is only about not
// being able to look.
func (a *Auditor) Run(ctx context.Context) ([]Finding, AuditStats, error) {
	a.used, a.proven = map[digest.Digest]bool{}, map[string]proof{}
	var total int
	if err := a.Query.QueryRowContext(ctx, `SELECT COUNT(*) FROM evidence_acquisitions`).Scan(&total); err != nil {
		return nil, AuditStats{}, fmt.Errorf("audit evidence: %w", err)
	}
	present := map[string]bool{}
	for after := ""; ; {
		page, err := a.page(ctx, after)
		if err != nil {
			return nil, AuditStats{}, fmt.Errorf("audit evidence: %w", err)
		}
		if len(page) == 0 {
			break
		}
		for _, acq := range page {
			if err := a.acquisition(ctx, acq); err != nil {
				return nil, AuditStats{}, fmt.Errorf("audit acquisition %s: %w", acq.ID, err)
			}
			after, present[acq.ID] = acq.ID, true
			a.stats.Acquisitions++
			if a.Progress != nil {
				a.Progress(a.stats.Acquisitions, total)
			}
		}
	}
	if err := a.rowsOfLedger(ctx, present); err != nil {
		return nil, AuditStats{}, fmt.Errorf("audit evidence: %w", err)
	}
	if err := a.strayItems(ctx); err != nil {
		return nil, AuditStats{}, fmt.Errorf("audit evidence: %w", err)
	}
	return a.findings, a.stats, nil
}

// Used returns the digests of all blobs that rows speak of; valid after Run.
func (a *Auditor) Used() map[digest.Digest]bool { return a.used }

func (a *Auditor) page(ctx context.Context, after string) ([]Acquisition, error) {
	rows, err := a.Query.QueryContext(ctx, `SELECT `+acquisitionColumns+` FROM evidence_acquisitions WHERE id > $1 ORDER BY id LIMIT 500`, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Acquisition
	for rows.Next() {
		acq, err := scanAcquisition(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, acq)
	}
	return out, rows.Err()
}

func (a *Auditor) find(acq Acquisition, subject string, f Fault, format string, args ...any) {
	a.findings = append(a.findings, Finding{acq.OrganisationID, subject, f, fmt.Sprintf(format, args...)})
}

func (a *Auditor) acquisition(ctx context.Context, acq Acquisition) error {
	if d, err := digest.Parse(acq.ManifestSHA256); err == nil {
		a.used[d] = true
	}
	s, err := readSealed(ctx, a.Query, a.Blobs, acq.OrganisationID, acq.ID)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		a.find(acq, acq.ID, BlobMissing, "its manifest is not there")
	case errors.Is(err, blob.ErrCorrupt):
		a.find(acq, acq.ID, BlobCorrupt, "its manifest is not the one that was accepted")
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		a.find(acq, acq.ID, RowEdited, "%v", err)
	}
	items, ierr := queryItems(ctx, a.Query, "acquisition_id = $1", []any{acq.ID})
	if ierr != nil {
		return ierr
	}
	a.stats.Items += len(items)
	disposed, derr := a.disposal(ctx, acq, items)
	if derr != nil {
		return derr
	}
	for _, it := range items {
		if d, err := digest.Parse(it.StoredSHA256); err == nil && !disposed {
			a.used[d] = true
		}
	}
	if err := a.receipt(ctx, acq, items, s); err != nil {
		return err
	}
	if err != nil {
		return nil // nothing to hold rows and bytes against
	}
	if err := a.signature(ctx, acq, s); err != nil {
		return err
	}
	m, err := DecodeManifest(s.Manifest)
	if err != nil {
		a.find(acq, acq.ID, BlobCorrupt, "%v", err)
		return nil
	}
	a.rows(acq, items, &m, s)
	if err := a.entries(ctx, acq, items); err != nil {
		return err
	}
	if disposed {
		return nil // there are no bytes to read
	}
	for n, e := range m.Artifacts {
		subject := acq.ID
		if n < len(items) {
			subject = items[n].ID
		}
		if err := a.bytes(ctx, acq, subject, e); err != nil {
			return err
		}
	}
	return nil
}

func (a *Auditor) signature(ctx context.Context, acq Acquisition, s Sealed) error {
	signer, err := readCredential(s.Certificate)
	if err != nil {
		a.find(acq, acq.ID, RowEdited, "the signer's certificate: %v", err)
		return nil
	}
	if a.Verifier != nil {
		var key *ecdsa.PublicKey
		key, err = a.Verifier.SignerKey(ctx, acq.EndpointID, s.Certificate)
		if errors.Is(err, ErrNotIssued) {
			a.find(acq, acq.ID, SignatureWrong, "%v", err)
			return nil
		}
		if err != nil {
			return err
		}
		if !key.Equal(signer.key) {
			a.find(acq, acq.ID, SignatureWrong, "the endpoint's key is another one")
		}
	}
	if err := signer.verify(s.Manifest, s.Signature); err != nil {
		a.find(acq, acq.ID, SignatureWrong, "the manifest's signature is not by the key of the certificate")
	}
	return nil
}

// rows holds the rows against what the endpoint signed.
func (a *Auditor) rows(acq Acquisition, items []Item, m *artifact.Manifest, s Sealed) {
	want := acquisitionOf(&sealed{Manifest: s.Manifest, m: *m}, Tied{OrganisationID: acq.OrganisationID, IncidentID: acq.IncidentID})
	want.ReceivedAt, want.LedgerIdx, want.DisposedAt = acq.ReceivedAt, acq.LedgerIdx, acq.DisposedAt
	want.StartedAt, want.FinishedAt = want.StartedAt.UTC(), want.FinishedAt.UTC()
	if m.Signer.OneTime {
		want.EndpointID = acq.EndpointID // its manifest names none; the receipt says it
	}
	if acq != want {
		a.find(acq, acq.ID, RowEdited, "its row does not say what its manifest says")
	}
	if len(items) != len(m.Artifacts) {
		a.find(acq, acq.ID, RowMissing, "it has %d items, its manifest names %d", len(items), len(m.Artifacts))
		return
	}
	outcomes := map[artifact.Kind]artifact.Outcome{}
	for _, p := range m.Probes {
		outcomes[p.Kind] = p.Outcome
	}
	for n, it := range items {
		e := m.Artifacts[n]
		w := Item{
			ID: it.ID, Number: it.Number, LedgerIdx: it.LedgerIdx, OrganisationID: acq.OrganisationID, AcquisitionID: acq.ID, EndpointID: acq.EndpointID,
			IncidentID: acq.IncidentID, Name: e.Name, Kind: e.Kind, Schema: e.Schema, Outcome: outcomes[e.Kind], Records: e.Records,
			PlainSHA256: e.Plain.SHA256, PlainSize: e.Plain.Size, StoredSHA256: e.Stored.SHA256, StoredSize: e.Stored.Size, ReceivedAt: acq.ReceivedAt, DisposedAt: acq.DisposedAt,
		}
		if it != w {
			a.find(acq, it.ID, RowEdited, "the row of %s does not say what the manifest says", e.Name)
		}
	}
}

// bytes reads an artifact whole.
func (a *Auditor) bytes(ctx context.Context, acq Acquisition, subject string, e artifact.Entry) error {
	key := e.Stored.SHA256 + e.Compression
	p, ok := a.proven[key]
	if !ok {
		d, err := digest.Parse(e.Stored.SHA256)
		if err != nil {
			return err // DecodeManifest has checked it
		}
		r, err := a.Blobs.Open(ctx, d)
		if errors.Is(err, blob.ErrNotFound) {
			a.find(acq, subject, BlobMissing, "%s (%s) is not there", e.Name, e.Stored.SHA256)
			return nil
		}
		if err == nil {
			p, err = proveReader(r, e.Compression)
			err = errors.Join(err, r.Close())
		}
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		if err != nil {
			a.find(acq, subject, BlobCorrupt, "%s cannot be read: %v", e.Name, err)
			return nil
		}
		a.proven[key] = p
		a.stats.Bytes += p.size
	}
	var r *Refusal
	if err := compare(e, &p); errors.As(err, &r) {
		a.find(acq, subject, BlobCorrupt, "%s: %s", e.Name, r.Detail)
	}
	return nil
}

// receipt checks the collector's own word: that it signed it, and that rows and
// ledger still say the same.
func (a *Auditor) receipt(ctx context.Context, acq Acquisition, items []Item, s Sealed) error {
	wrong := func(format string, args ...any) { a.find(acq, acq.ID, ReceiptWrong, format, args...) }
	signed := custody.Signed{Payload: s.Receipt.Payload, Signature: s.Receipt.Signature, Certificate: s.Receipt.Certificate}
	var r custody.Receipt
	var err error
	if a.CA != nil {
		r, err = custody.Verify(signed, a.CA)
	} else if r, err = custody.Decode(signed.Payload); err == nil {
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(signed.Certificate); err == nil {
			err = custody.CheckSignature(cert, signed.Payload, signed.Signature)
		}
	}
	if err != nil {
		wrong("%v", err)
		return nil
	}
	if r.AcquisitionID != acq.ID || r.EndpointID != acq.EndpointID || r.ManifestSHA256 != acq.ManifestSHA256 ||
		!r.ReceivedAt.Equal(acq.ReceivedAt) || r.Ledger.Index != acq.LedgerIdx || len(r.Evidence) != len(items) {
		wrong("it does not say what the row says")
	} else {
		for n, e := range r.Evidence {
			if it := items[n]; e.Number != it.Number || e.Name != it.Name || e.Kind != string(it.Kind) || e.StoredSHA256 != it.StoredSHA256 {
				wrong("it does not say of %s what the row says", e.Name)
			}
		}
	}
	leaf, err := ledger.LeafAt(ctx, a.Query, acq.OrganisationID, r.Ledger.Index)
	if err == nil && digest.Digest(leaf).String() != r.Ledger.LeafSHA256 {
		wrong("entry %d of the ledger is another one than it names", r.Ledger.Index)
	}
	if err == nil {
		root, rerr := ledger.RootAt(ctx, a.Query, acq.OrganisationID, r.Ledger.TreeSize)
		if err = rerr; err == nil && digest.Digest(root).String() != r.Ledger.RootSHA256 {
			wrong("the ledger is not the one that it names: its first %d entries have another root", r.Ledger.TreeSize)
		}
	}
	if errors.Is(err, ledger.ErrBroken) {
		wrong("the ledger does not reach as far as it names: %v", err)
		return nil
	}
	return err
}

// entries holds the ledger entries of an acquisition and its items against the rows.
func (a *Auditor) entries(ctx context.Context, acq Acquisition, items []Item) error {
	check := func(subject, act string, idx int64, facts map[string]string) error {
		found, err := ledger.Entries(ctx, a.Query, ledger.Filter{OrganisationID: acq.OrganisationID, Subject: subject, Act: act})
		if errors.Is(err, ledger.ErrBroken) {
			return nil // the ledger's own verification names it
		}
		if err != nil {
			return err
		}
		if len(found) != 1 || found[0].Index != idx {
			a.find(acq, subject, LedgerWrong, "the ledger has %d entries %q about it, none or another than number %d", len(found), act, idx)
			return nil
		}
		for k, v := range facts {
			if found[0].Details[k] != v {
				a.find(acq, subject, LedgerWrong, "the ledger says of it %s %q, the row %q", k, found[0].Details[k], v)
			}
		}
		return nil
	}
	for _, it := range items {
		if err := check(it.ID, ActNumbered, it.LedgerIdx, map[string]string{
			"number": it.Number, "acquisition_id": it.AcquisitionID, "stored_sha256": it.StoredSHA256,
		}); err != nil {
			return err
		}
	}
	return check(acq.ID, ActAccepted, acq.LedgerIdx, map[string]string{
		"incident_id": acq.IncidentID, "manifest_sha256": acq.ManifestSHA256, "items": strconv.Itoa(acq.Items),
	})
}

// rowsOfLedger finds acquisitions that the ledger knows and the database doesn't.
func (a *Auditor) rowsOfLedger(ctx context.Context, present map[string]bool) error {
	heads, err := ledger.Heads(ctx, a.Query)
	if errors.Is(err, ledger.ErrBroken) {
		return nil // the ledger's own verification names it
	}
	if err != nil {
		return err
	}
	for _, h := range heads {
		f := ledger.Filter{OrganisationID: h.OrganisationID, Act: ActAccepted}
		for {
			page, err := ledger.Entries(ctx, a.Query, f)
			if errors.Is(err, ledger.ErrBroken) || err == nil && len(page) == 0 {
				break
			}
			if err != nil {
				return err
			}
			for _, e := range page {
				if !present[e.Subject] {
					a.find(Acquisition{OrganisationID: h.OrganisationID}, e.Subject, RowMissing, "entry %d of the ledger says that it was accepted", e.Index)
				}
			}
			if f.Before = page[len(page)-1].Index; f.Before == 0 {
				break
			}
		}
	}
	return nil
}

// strayItems finds items without their acquisition.
func (a *Auditor) strayItems(ctx context.Context) error {
	items, err := queryItems(ctx, a.Query, "acquisition_id NOT IN (SELECT id FROM evidence_acquisitions)", nil)
	if err != nil {
		return err
	}
	for _, it := range items {
		if d, err := digest.Parse(it.StoredSHA256); err == nil {
			a.used[d] = true
		}
		a.find(Acquisition{OrganisationID: it.OrganisationID}, it.ID, RowMissing, "its acquisition %s is not there", it.AcquisitionID)
	}
	return nil
}
