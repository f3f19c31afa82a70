// Package fsck proves again, from bytes, everything that the collector keeps:
// ledger, evidence, receipts, blobs. It changes nothing, and knows nothing of how
// any of it came in.
package fsck

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/deadline"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/drill"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/enroll"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/export"
	"hozen/collector/internal/group"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/kit"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/phone"
	"hozen/collector/internal/playbook"
	"hozen/collector/internal/record"
	"hozen/collector/internal/report"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
)

// Code says what kind of thing is wrong: one of the codes of [ledger.Code] after
// "ledger_", one of [checkpoint.Code] after "checkpoint_", one of [evidence.Fault],
// [exhibit.Fault], [record.Fault] or [report.Fault], a code of [ledger.Difference] after
// the name of a [RowAudit], as in "deadline_edited", or one of those below.
type Code string

// Codes of the blob store.
const (
	// StrayFile means that something in the blob store is no blob.
	StrayFile Code = "stray_file"
	// OrphanBlob means that no row speaks of a blob. That is no problem but a note: an
	// upload that is arriving, or one that a crash cut off before its rows.
	OrphanBlob Code = "orphan_blob"
	// ClearBlob means that blobs lie there in the clear although the store encrypts: they
	// were stored before it did. That is a note; `storage encrypt` mends it.
	ClearBlob Code = "clear_blob"
	// UploadMissing means that the bytes of a file that a person sent are not there.
	UploadMissing Code = "upload_missing"
	// UploadCorrupt means that they are others.
	UploadCorrupt Code = "upload_corrupt"
)

// SessionForged means that a row passes for a sign-in that is in force and has not the collector's
// seal: somebody wrote or changed it in the database. Nobody is signed in by it.
const SessionForged Code = "session_forged"

// Problem is one thing that is wrong, by name.
type Problem struct {
	Code           Code
	OrganisationID string // empty when it belongs to none
	Subject        string // identifier, "ledger 17", or digest
	Detail         string // English, for experts
}

func (p Problem) String() string { return fmt.Sprintf("%s: %s: %s", p.Code, p.Subject, p.Detail) }

// Report is what was found.
type Report struct {
	Problems     []Problem
	Notes        []Problem // remarkable, but nothing is wrong
	Heads        []ledger.Head
	Entries      int64 // ledger entries verified
	Acquisitions int
	Items        int
	Blobs        int
	Bytes        int64 // read and hashed
	OrphanBytes  int64
	Disposed     int // acquisitions whose bytes were disposed of, as the ledger says
}

// Clean reports whether nothing is wrong.
func (r Report) Clean() bool { return len(r.Problems) == 0 }

// Config says what to look at.
type Config struct {
	DB    *sqldb.DB
	Blobs blob.Store
	// CA issued the collector's certificates. Optional: without it, receipts are checked
	// only against the certificates that they carry.
	CA *x509.Certificate
	// Verifier knows whose certificates are whose. Optional: without it, manifests are
	// checked only against the certificates that they came with.
	Verifier evidence.Verifier
	// Checkpoints holds the ledger against what was signed of it. Optional: without it a
	// ledger that was rewritten as a whole agrees with itself.
	Checkpoints *checkpoint.Log
	// Sessions are the seals of sessions. Optional: without them no session is looked at.
	Sessions *operator.Seals
	// Now is the clock, which says what has expired. Optional; default time.Now.
	Now func() time.Time
	// Kept are checkpoints that were kept elsewhere. Optional.
	Kept []checkpoint.Known
}

// The steps that progress hears of.
const (
	StepLedger   = "ledger"   // counts entries
	StepEvidence = "evidence" // counts acquisitions
	StepBlobs    = "blobs"    // counts blobs; the total is not known
)

// Run looks at everything. progress is optional. The collector may go on working
// meanwhile: rows are seen as they were at the beginning. The error is only about
// not being able to look.
func Run(ctx context.Context, cfg Config, progress func(step string, done, total int)) (Report, error) {
	if progress == nil {
		progress = func(string, int, int) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var r Report
	var files checkpoint.Files
	var err error
	if cfg.Checkpoints != nil { // before the view of the database, which must hold all that is signed there
		if files, err = cfg.Checkpoints.Files(); err != nil {
			return Report{}, fmt.Errorf("check the store: %w", err)
		}
	}
	err = cfg.DB.ReadTx(ctx, func(ctx context.Context, q sqldb.Queryer) error {
		if err := r.ledger(ctx, q, progress); err != nil {
			return err
		}
		if err := r.signed(ctx, q, cfg, files); err != nil {
			return err
		}
		a := &evidence.Auditor{Query: q, Blobs: cfg.Blobs, CA: cfg.CA, Verifier: cfg.Verifier,
			Progress: func(done, total int) { progress(StepEvidence, done, total) }}
		findings, stats, err := a.Run(ctx)
		if err != nil {
			return err
		}
		for _, f := range findings {
			r.Problems = append(r.Problems, Problem{Code(f.Fault), f.OrganisationID, f.Subject, f.Detail})
		}
		r.Acquisitions, r.Items, r.Disposed, r.Bytes = stats.Acquisitions, stats.Items, stats.Disposed, stats.Bytes
		custody, err := exhibit.Audit(ctx, q)
		if err != nil {
			return err
		}
		for _, f := range custody {
			r.Problems = append(r.Problems, Problem{Code(f.Fault), f.OrganisationID, f.Subject, f.Detail})
		}
		written, err := record.Audit(ctx, q)
		if err != nil {
			return err
		}
		for _, f := range written {
			r.Problems = append(r.Problems, Problem{Code(f.Fault), f.OrganisationID, f.Subject, f.Detail})
		}
		for _, a := range RowAudits() {
			found, err := a.Audit(ctx, q)
			if err != nil {
				return err
			}
			for _, org := range slices.Sorted(maps.Keys(found)) {
				for _, f := range found[org] {
					r.Problems = append(r.Problems, Problem{Code(a.Of + "_" + string(f.Code)), org, f.Subject, f.Detail})
				}
			}
		}
		if cfg.Sessions != nil {
			forged, err := operator.AuditSessions(ctx, q, *cfg.Sessions, cfg.Now())
			if err != nil {
				return err
			}
			for _, f := range forged {
				r.Problems = append(r.Problems, Problem{SessionForged, f.OrganisationID, f.Subject(), f.Detail()})
			}
		}
		strangers, err := Strangers(ctx, q, cfg.DB.Dialect())
		if err != nil {
			return err
		}
		r.Problems = append(r.Problems, strangers...)
		used := a.Used()
		documents, kept, err := report.Audit(ctx, q, cfg.Blobs)
		if err != nil {
			return err
		}
		for _, f := range documents {
			r.Problems = append(r.Problems, Problem{Code(f.Fault), f.OrganisationID, f.Subject, f.Detail})
		}
		for _, d := range kept {
			used[d] = true
		}
		if err := r.uploads(ctx, q, cfg.Blobs, used); err != nil {
			return err
		}
		return r.blobs(ctx, cfg.Blobs, used, progress)
	})
	if err != nil {
		return Report{}, fmt.Errorf("check the store: %w", err)
	}
	return r, nil
}

// RowAudit holds rows against the ledger. Its codes are "deadline_edited" and so on, see
// [ledger.Difference].
type RowAudit struct {
	Of    string
	Audit func(context.Context, sqldb.Queryer) (map[string][]ledger.Difference, error)
}

// RowAudits are the audits of rows that are not part of evidence, custody, record or reports.
func RowAudits() []RowAudit {
	return []RowAudit{
		{"deadline", deadline.Audit}, {"playbook", playbook.Audit}, {"steps", playbook.AuditOwn}, {"contact", contact.Audit},
		{"operator", operator.AuditPeople}, {"grant", operator.AuditGrants}, {"token", operator.AuditTokens},
		{"organisation", organisation.Audit}, {"channel", notify.Audit}, {"weekly", notify.AuditWeekly}, {"link", phone.Audit},
		{"retention", exhibit.AuditRetention}, {"package", export.Audit}, {"kit", kit.Audit}, {"drill", drill.Audit}, {"upload", record.AuditUploads},
		{"timeline", incident.AuditTimelines}, {"incident", incident.Audit}, {"endpoint", endpoint.Audit}, {"enroll", enroll.Audit},
		{"order", dispatch.Audit}, {"release", dispatch.AuditReleases}, {"group", group.Audit}, {"asked", group.AuditAsked},
	}
}

func (r *Report) ledger(ctx context.Context, q sqldb.Queryer, progress func(string, int, int)) error {
	heads, err := ledger.Heads(ctx, q)
	if err != nil {
		r.Problems = append(r.Problems, Problem{"ledger_head", "", "ledger", err.Error()})
		return ctx.Err()
	}
	r.Heads = heads
	problems, err := ledger.Verify(ctx, q, func(done, total int64) {
		r.Entries = done
		progress(StepLedger, int(done), int(total))
	})
	if err != nil {
		return err
	}
	for _, p := range problems {
		subject := "ledger"
		if p.Index >= 0 {
			subject = fmt.Sprintf("ledger %d", p.Index)
		}
		r.Problems = append(r.Problems, Problem{"ledger_" + Code(p.Code), p.OrganisationID, subject, p.Detail})
	}
	return nil
}

// signed holds the ledger against what was signed of it.
func (r *Report) signed(ctx context.Context, q sqldb.Queryer, cfg Config, files checkpoint.Files) error {
	if cfg.Checkpoints == nil {
		for _, k := range cfg.Kept {
			r.Problems = append(r.Problems, Problem{"checkpoint_" + Code(checkpoint.CodeKey), "", k.Name, "there is no key to check it with"})
		}
		return nil
	}
	findings, err := cfg.Checkpoints.Audit(ctx, q, files, cfg.Kept)
	if err != nil {
		return err
	}
	for _, f := range findings {
		p := Problem{"checkpoint_" + Code(f.Code), f.OrganisationID, f.Subject, f.Detail}
		if f.Note {
			r.Notes = append(r.Notes, p)
		} else {
			r.Problems = append(r.Problems, p)
		}
	}
	return nil
}

// uploads reads the files again that people sent, and marks their bytes as used.
func (r *Report) uploads(ctx context.Context, q sqldb.Queryer, blobs blob.Store, used map[digest.Digest]bool) error {
	list, err := record.KeptUploads(ctx, q)
	if err != nil {
		return err
	}
	for _, u := range list {
		find := func(c Code, err error) {
			r.Problems = append(r.Problems, Problem{c, u.OrganisationID, u.ExhibitID, fmt.Sprintf("%s: %v", u.Exhibit, err)})
		}
		d, err := digest.Parse(u.SHA256)
		if err != nil {
			find(UploadCorrupt, err)
			continue
		}
		used[d] = true
		if !u.DisposedAt.IsZero() {
			continue // its bytes go as soon as they may
		}
		f, err := blobs.Open(ctx, d)
		if errors.Is(err, blob.ErrNotFound) {
			find(UploadMissing, err)
			continue
		}
		if err != nil {
			return err
		}
		got, n, err := digest.OfReader(f)
		_ = f.Close() // it was only read
		r.Bytes += n
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			find(UploadCorrupt, err)
		case got != d || n != u.Size:
			find(UploadCorrupt, blob.ErrCorrupt)
		}
	}
	return nil
}

func (r *Report) blobs(ctx context.Context, blobs blob.Store, used map[digest.Digest]bool, progress func(string, int, int)) error {
	sealing, ok := blobs.(interface{ Vault() blob.Vault })
	encrypts := ok && sealing.Vault() != nil
	var clear int
	var clearBytes int64
	for info, err := range blobs.List(ctx) {
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		if err != nil {
			r.Problems = append(r.Problems, Problem{StrayFile, "", "blobs", err.Error()})
			continue
		}
		r.Blobs++
		if encrypts && !info.Sealed {
			clear, clearBytes = clear+1, clearBytes+info.Size
		}
		if !used[info.Digest] {
			r.OrphanBytes += info.Size
			r.Notes = append(r.Notes, Problem{OrphanBlob, "", info.Digest.String(), fmt.Sprintf("%d bytes that no row speaks of", info.Size)})
		}
		progress(StepBlobs, r.Blobs, 0)
	}
	if clear > 0 {
		r.Notes = append(r.Notes, Problem{ClearBlob, "", "blobs", fmt.Sprintf("%d blobs (%d bytes) are not encrypted: run storage encrypt", clear, clearBytes)})
	}
	return nil
}
