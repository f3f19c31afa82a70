package act

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
)

// ErrDisposed is the [ErrConflict] of wanting bytes that were disposed of.
var ErrDisposed = fmt.Errorf("%w: its bytes were disposed of; digests, signature and receipt are kept", ErrConflict)

// ErrHeld is the [ErrConflict] of disposing of what is held.
var ErrHeld = fmt.Errorf("%w: the incident is under legal hold; nothing of it is disposed of", ErrConflict)

// ErrRetained is the [ErrConflict] of disposing of what is kept longer: of an incident that is
// open, or whose period has not ended.
var ErrRetained = fmt.Errorf("%w: the period for which evidence is kept has not ended", ErrConflict)

// HoldIncident puts an incident under legal hold: nothing of it is disposed of until it is
// released, and no byte goes of a disposal that was ordered before and is not finished
// ([Custody.Unfinished]). One that is held already is [ErrConflict].
func (s *Acts) HoldIncident(ctx context.Context, a Actor, incidentID, reason string) error {
	return s.hold(ctx, a, incidentID, reason, exhibit.Hold)
}

// ReleaseHold ends a legal hold. An incident that is not held is [ErrConflict]. Disposals that
// it stopped are finished at the next start, or by asking again.
func (s *Acts) ReleaseHold(ctx context.Context, a Actor, incidentID, reason string) error {
	return s.hold(ctx, a, incidentID, reason, exhibit.ReleaseHold)
}

func (s *Acts) hold(ctx context.Context, a Actor, incidentID, reason string, t exhibit.EventType) error {
	reason = strings.TrimSpace(reason)
	if err := text("reason", reason, exhibit.MaxText, true); err != nil {
		return err
	}
	return s.write(ctx, a, mayHold, func(ctx context.Context, d *deed) error {
		inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		events, err := exhibit.Events(ctx, d.tx, inc.ID)
		if err != nil {
			return err
		}
		switch _, held := exhibit.Held(events); {
		case held && t == exhibit.Hold:
			return fmt.Errorf("%w: %s is under legal hold already", ErrConflict, inc.Number)
		case !held && t == exhibit.ReleaseHold:
			return fmt.Errorf("%w: %s is not under legal hold", ErrConflict, inc.Number)
		}
		e, err := d.happened(ctx, exhibit.Item{IncidentID: inc.ID}, exhibit.Event{Type: t, Purpose: reason}, nil)
		if err != nil {
			return err
		}
		return s.custodyLine(ctx, d, inc, inc.Number, e)
	})
}

// maxRetention bounds how long can be asked for: 100 years.
const maxRetention = 36525

// Retention returns how many days after its closing the evidence of an incident is kept; 0:
// no period is set, so that a person decides once it is closed.
func (s *Acts) Retention(ctx context.Context, a Actor) (int, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (int, error) {
		days, _, err := exhibit.FindRetention(ctx, q, a.OrganisationID)
		return days, err
	})
}

// SetRetention sets it. Nothing is disposed of by itself when the days have passed.
func (s *Acts) SetRetention(ctx context.Context, a Actor, days int) error {
	if days < 0 || days > maxRetention {
		return &Invalid{Field: "days", Code: "range", Err: fmt.Errorf("want 0 (no period) to %d", maxRetention)}
	}
	return s.write(ctx, a, mayDispose, func(ctx context.Context, d *deed) error {
		idx, err := d.record(ctx, exhibit.ActRetention, d.actor.OrganisationID, map[string]string{"days": strconv.Itoa(days)})
		if err != nil {
			return err
		}
		return exhibit.SetRetention(ctx, d.tx, d.actor.OrganisationID, exhibit.Change{At: d.now, By: d.actor.Name, LedgerIdx: idx}, days)
	})
}

// Disposal is what somebody must know before bytes are disposed of.
type Disposal struct {
	Exhibit Exhibit
	Custody Custody // of its incident
	Files   int
	Bytes   int64 // stored
	// Shared counts the files whose bytes other evidence has too; those stay.
	Shared int
	// Unfinished means that it was ordered before and some bytes are still there.
	Unfinished bool
	items      []evidence.Item
}

// Fingerprint names what somebody decides by: who confirms it has seen this and nothing else.
func (g Disposal) Fingerprint() string {
	f := map[string]string{
		"exhibit": g.Exhibit.ID, "files": strconv.Itoa(g.Files), "bytes": strconv.FormatInt(g.Bytes, 10),
		"holder": g.Exhibit.Trail.Holder.String(), "gaps": strconv.Itoa(len(g.Exhibit.Trail.Gaps)),
		"closed": sqldb.FormatTime(g.Custody.GoesOn.ClosedAt), "days": strconv.Itoa(g.Custody.Days), "set": sqldb.FormatTime(g.Custody.DaysSet),
	}
	var b []byte
	for _, k := range slices.Sorted(maps.Keys(f)) {
		b = fmt.Appendf(b, "%s=%q\n", k, f[k])
	}
	return digest.Of(b).String()[:16]
}

// refusal is why it may not be disposed of now, or nil.
func (g Disposal) refusal(now time.Time) error {
	switch {
	case g.Exhibit.Trail.Disposed && !g.Unfinished:
		return fmt.Errorf("%w: %s was disposed of already", ErrConflict, g.Exhibit.Number)
	case g.Custody.Held:
		return ErrHeld
	case g.Custody.GoesOn.ClosedAt.IsZero():
		return fmt.Errorf("%w: %s is still open", ErrRetained, g.Custody.GoesOn.Number)
	case g.Custody.Days > 0 && now.Before(g.Custody.Due):
		return ErrRetained
	}
	return nil
}

// DisposalOf tells what disposing of an exhibit would mean. With [ErrHeld], [ErrRetained] and
// [ErrConflict] it may not be disposed of now.
func (s *Acts) DisposalOf(ctx context.Context, a Actor, idOrNumber string) (Disposal, error) {
	g, err := read(ctx, s, a, mayDispose, func(q sqldb.Queryer, a Actor) (Disposal, error) {
		return s.disposal(ctx, q, a.OrganisationID, idOrNumber)
	})
	if err != nil {
		return g, err
	}
	return g, g.refusal(s.now())
}

func (s *Acts) disposal(ctx context.Context, q sqldb.Queryer, organisationID, idOrNumber string) (Disposal, error) {
	var g Disposal
	var err error
	if g.Exhibit, g.Custody, err = s.exhibit(ctx, q, organisationID, idOrNumber); err != nil {
		return g, err
	}
	if u := g.Exhibit.Upload; u != nil {
		_, shared, err := uploadGone(ctx, q, *u)
		g.Files, g.Bytes, g.Unfinished = 1, u.Size, slices.Contains(g.Custody.Unfinished, g.Exhibit.Number)
		if shared {
			g.Shared = 1
		}
		return g, err
	}
	if g.Exhibit.AcquisitionID == "" {
		return g, nil
	}
	if g.items, err = s.evidence.Items(ctx, evidence.ItemFilter{OrganisationID: organisationID, AcquisitionID: g.Exhibit.AcquisitionID}); err != nil {
		return g, err
	}
	open, err := evidence.UnfinishedDisposals(ctx, q)
	if err != nil {
		return g, err
	}
	_, shared, err := removable(ctx, q, g.Exhibit.AcquisitionID, open)
	if err != nil {
		return g, err
	}
	stays := map[string]bool{}
	for _, d := range shared {
		stays[d.String()] = true
	}
	for _, it := range g.items {
		g.Files, g.Bytes = g.Files+1, g.Bytes+it.StoredSize
		if stays[it.StoredSHA256] {
			g.Shared++
		}
	}
	g.Unfinished = slices.Contains(g.Custody.Unfinished, g.Exhibit.Number)
	return g, nil
}

// DisposeExhibit disposes of an exhibit: the bytes that the collector keeps of it are removed
// for ever. First an entry that names every one of them is committed to the ledger, then they
// are removed, then an entry confirms it; what is interrupted in between is finished at the
// next start, or by asking again. [ErrHeld] with the disposal recorded means that a legal hold
// came before the bytes were gone: they stay. confirmed is the [Disposal.Fingerprint] that the person saw.
// Of a thing that is kept elsewhere, such as a device, only the record is made.
func (s *Acts) DisposeExhibit(ctx context.Context, a Actor, idOrNumber, reason, confirmed string) (Disposal, error) {
	reason = strings.TrimSpace(reason)
	if err := text("reason", reason, exhibit.MaxText, true); err != nil {
		return Disposal{}, err
	}
	var g Disposal
	err := s.write(ctx, a, mayDispose, func(ctx context.Context, d *deed) error {
		var err error
		// In the transaction: nothing changes between the look and the deed.
		if g, err = s.disposal(ctx, d.tx, d.actor.OrganisationID, idOrNumber); err != nil {
			return err
		}
		if err := g.refusal(d.now); err != nil {
			return err
		}
		switch confirmed {
		case g.Fingerprint():
		case "":
			return &Invalid{Field: "confirmed", Code: "required", Err: errors.New("what goes must be confirmed")}
		default:
			return &Invalid{Field: "confirmed", Code: "changed", Err: errors.New("what goes has changed since it was confirmed")}
		}
		if g.Unfinished {
			return nil
		}
		return s.dispose(ctx, d, g, reason)
	})
	if err != nil || g.Exhibit.AcquisitionID == "" && g.Exhibit.Upload == nil {
		return g, err
	}
	err = s.FinishDisposals(ctx)
	if err == nil && g.Exhibit.Upload != nil {
		var u record.Upload
		if u, err = record.FindUpload(ctx, s.db.Read(), g.Exhibit.OrganisationID, g.Exhibit.Upload.ID); err == nil && u.RemovedAt.IsZero() {
			err = ErrHeld
		}
	} else if err == nil {
		var open []evidence.Disposal
		open, err = evidence.UnfinishedDisposals(ctx, s.db.Read())
		if err == nil && slices.ContainsFunc(open, func(d evidence.Disposal) bool { return d.AcquisitionID == g.Exhibit.AcquisitionID }) {
			err = ErrHeld
		}
	}
	if err != nil {
		return g, fmt.Errorf("the disposal of %s is recorded, but not all bytes are gone: %w", g.Exhibit.Number, err)
	}
	return g, nil
}

func (s *Acts) dispose(ctx context.Context, d *deed, g Disposal, reason string) error {
	e := exhibit.Event{Type: exhibit.Dispose, Purpose: reason}
	// Whoever sets another period just before can be seen to have done so.
	more := map[string]string{exhibit.RetentionDays: strconv.Itoa(g.Custody.Days), exhibit.ClosedAt: sqldb.FormatTime(g.Custody.GoesOn.ClosedAt)}
	if !g.Custody.DaysSet.IsZero() {
		more[exhibit.RetentionSetAt] = sqldb.FormatTime(g.Custody.DaysSet)
	}
	if g.Exhibit.AcquisitionID != "" {
		e.HashBefore = g.Exhibit.Acquisition.ManifestSHA256
		more[evidence.DisposalBlobs] = evidence.DisposalList(g.Exhibit.AcquisitionID, g.items)
	}
	if g.Exhibit.Upload != nil {
		e.HashBefore = g.Exhibit.Upload.SHA256
	}
	e, err := d.happened(ctx, g.Exhibit.Item, e, more)
	if err != nil {
		return err
	}
	if u := g.Exhibit.Upload; u != nil {
		if err := record.DisposeUpload(ctx, d.tx, u.ID, d.now); err != nil {
			return err
		}
	}
	if g.Exhibit.AcquisitionID != "" {
		if err := evidence.Dispose(ctx, d.tx, evidence.Disposal{AcquisitionID: g.Exhibit.AcquisitionID, OrganisationID: d.actor.OrganisationID,
			At: d.now, LedgerIdx: e.LedgerIdx}); err != nil {
			return err
		}
	}
	return s.custodyLine(ctx, d, g.Custody.Incident, g.Exhibit.Number, e)
}

// FinishDisposals removes the bytes of every disposal that was recorded and not finished, but
// of incidents under legal hold, which is logged. It is called at the start, and after each
// disposal.
func (s *Acts) FinishDisposals(ctx context.Context) error {
	open, err := evidence.UnfinishedDisposals(ctx, s.db.Read())
	if err != nil {
		return err
	}
	uploads, err := record.KeptUploads(ctx, s.db.Read())
	if err != nil {
		return err
	}
	uploads = slices.DeleteFunc(uploads, func(u record.Upload) bool { return u.DisposedAt.IsZero() })
	if len(open)+len(uploads) == 0 {
		return nil
	}
	store, ok := s.evidence.Blobs.(blob.Remover)
	if !ok {
		return fmt.Errorf("remove evidence: %w: this store never forgets", errors.ErrUnsupported)
	}
	s.kept.Lock()
	defer s.kept.Unlock()
	var errs []error
	for _, dis := range open {
		s.scans.dispose(dis.AcquisitionID)
		if err := s.remove(ctx, store, dis); err != nil {
			s.log.ErrorContext(ctx, "evidence that was disposed of is still there", slog.String("acquisition", dis.AcquisitionID), slog.Any("error", err))
			errs = append(errs, err)
		}
	}
	for _, u := range uploads {
		if err := s.removeUpload(ctx, store, u); err != nil {
			s.log.ErrorContext(ctx, "a file that was disposed of is still there", slog.String("exhibit", u.Exhibit), slog.Any("error", err))
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// holdOf returns the legal hold that an incident is under, and whose it is: its own, or that of
// one in which it goes on since it was merged.
func holdOf(ctx context.Context, q sqldb.Queryer, inc incident.Incident) (e exhibit.Event, in incident.Incident, held bool, err error) {
	course, err := incident.Course(ctx, q, inc)
	if err != nil {
		return e, in, false, err
	}
	for _, i := range course {
		events, err := exhibit.Events(ctx, q, i.ID)
		if err != nil {
			return e, in, false, err
		}
		if e, held := exhibit.Held(events); held {
			return e, i, true, nil
		}
	}
	return e, in, false, nil
}

// heldNow is [holdOf] by the identifier of the incident.
func heldNow(ctx context.Context, q sqldb.Queryer, organisationID, incidentID string) (bool, error) {
	inc, err := incident.FindBare(ctx, q, organisationID, incidentID)
	if err != nil {
		return false, err
	}
	_, _, held, err := holdOf(ctx, q, inc)
	return held, err
}

// underHold reports whether the incident of a disposal is held.
func underHold(ctx context.Context, q sqldb.Queryer, dis evidence.Disposal) (bool, exhibit.Item, error) {
	i, err := exhibit.OfAcquisition(ctx, q, dis.AcquisitionID)
	if err != nil {
		return false, i, err
	}
	held, err := heldNow(ctx, q, i.OrganisationID, i.IncidentID)
	return held, i, err
}

// removable is [evidence.Removable], but for bytes that a disposal has too which a legal hold
// stopped: those stay. open are all disposals that are not finished.
func removable(ctx context.Context, q sqldb.Queryer, acquisitionID string, open []evidence.Disposal) (gone, shared []digest.Digest, err error) {
	if gone, shared, err = evidence.Removable(ctx, q, acquisitionID); err != nil {
		return nil, nil, err
	}
	if gone, shared, err = exceptUploads(ctx, q, gone, shared); err != nil {
		return nil, nil, err
	}
	for _, dis := range open {
		if dis.AcquisitionID == acquisitionID || len(gone) == 0 {
			continue
		}
		held, _, err := underHold(ctx, q, dis)
		if err != nil {
			return nil, nil, err
		}
		if !held {
			continue
		}
		theirs, more, err := evidence.Removable(ctx, q, dis.AcquisitionID)
		if err != nil {
			return nil, nil, err
		}
		theirs = append(theirs, more...)
		gone = slices.DeleteFunc(gone, func(d digest.Digest) bool {
			stays := slices.Contains(theirs, d)
			if stays {
				shared = append(shared, d)
			}
			return stays
		})
	}
	return gone, shared, nil
}

// remove removes the bytes within the transaction that confirms it, so that no evidence with
// the same bytes is accepted meanwhile, and no hold begins. What was removed before a fault
// stays removed.
func (s *Acts) remove(ctx context.Context, store blob.Remover, dis evidence.Disposal) error {
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		d.actor = Actor{Kind: BySystem, OrganisationID: dis.OrganisationID}
		held, i, err := underHold(ctx, d.tx, dis)
		if err != nil {
			return err
		}
		if held { // it came after the order
			s.log.WarnContext(ctx, "a disposal waits for the end of a legal hold; what is left of the bytes stays",
				slog.String("exhibit", i.Number), slog.String("acquisition", dis.AcquisitionID))
			return nil
		}
		open, err := evidence.UnfinishedDisposals(ctx, d.tx)
		if err != nil {
			return err
		}
		gone, shared, err := removable(ctx, d.tx, dis.AcquisitionID, open)
		if err != nil {
			return err
		}
		for _, b := range gone {
			if err := store.Remove(ctx, b); err != nil {
				return err
			}
		}
		if dis.FinishedIdx, err = d.record(ctx, evidence.ActDisposed, i.ID, evidence.DisposalFacts(i.Number, dis, gone, shared)); err != nil {
			return err
		}
		dis.FinishedAt = d.now
		d.tell(s, Event{Kind: EventIncident, EndpointID: i.EndpointID, IncidentID: i.IncidentID})
		return evidence.FinishDisposal(ctx, d.tx, dis)
	})
}
