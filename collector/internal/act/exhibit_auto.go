package act

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/export"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/organisation"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// exhibitOf makes an accepted acquisition an exhibit of its incident, with the two events
// that its acceptance shows: that it was acquired, and that it was received.
func (s *Acts) exhibitOf(ctx context.Context, d *deed, a evidence.Acquisition, inc incident.Incident, e endpoint.Endpoint) error {
	own, err := organisationName(ctx, d.tx, inc.OrganisationID)
	if err != nil {
		return err
	}
	fields := map[exhibit.Field]string{exhibit.Host: cmp.Or(e.Hostname, display(e)), exhibit.OS: cmp.Or(e.Platform, e.OS), exhibit.Location: e.Site,
		exhibit.AcquiredByOrg: own, exhibit.Description: a.Profile}
	if a.CommandID != "" {
		c, err := dispatch.ByID(ctx, d.tx, a.CommandID)
		if err != nil && !errors.Is(err, dispatch.ErrNotFound) {
			return err
		}
		if err == nil && c.EndpointID == e.ID {
			fields[exhibit.AcquiredBy], fields[exhibit.Reason] = c.Issuer, c.Reason
		}
	}
	stick, err := stickOf(ctx, d.tx, a.ID, fields)
	if err != nil {
		return err
	}
	i, err := s.addExhibit(ctx, d, inc, exhibit.Item{Kind: kindOf(a.Profile), AcquisitionID: a.ID, EndpointID: e.ID}, fields)
	if err != nil {
		return err
	}
	host := exhibitHost(e, own)
	if stick.AcquiredBy != "" { // it left the PC with a person
		host = exhibit.Party{Person: cutName(stick.AcquiredBy), Organisation: own}
	}
	began := exhibit.Event{Type: exhibit.Collect, At: sane(a.StartedAt), Clock: exhibit.ClockEndpoint, To: host, Place: cutName(stick.Place), HashAfter: a.ManifestSHA256}
	if began.At.IsZero() {
		began.Clock = exhibit.ClockCollector // it is not known when; d.now is the latest that it can be
	}
	if _, err := d.happened(ctx, i, began, nil); err != nil {
		return err
	}
	_, err = d.happened(ctx, i, exhibit.Event{Type: exhibit.Receive, At: a.ReceivedAt, From: host, To: exhibit.Party{Organisation: own},
		HashBefore: a.ManifestSHA256, HashAfter: a.ManifestSHA256, Result: exhibit.ResultMatch}, nil)
	return err
}

// kindOf is what sort of exhibit an acquisition of a profile is.
func kindOf(profile string) exhibit.Kind {
	switch profile {
	case "memory":
		return exhibit.Memory
	case "triage", "ransom", "files":
		return exhibit.Files
	}
	return exhibit.Volatile
}

// AdoptExhibits gives every acquisition of an incident that has no exhibit one. Those that
// were accepted by a version without exhibits have none. It is called at the start.
func (s *Acts) AdoptExhibits(ctx context.Context) (int, error) {
	n := 0
	all, err := organisation.All(ctx, s.db.Read())
	if err != nil {
		return 0, err
	}
	for _, o := range all {
		have, err := exhibit.Acquisitions(ctx, s.db.Read(), o.ID)
		if err != nil {
			return n, err
		}
		lacking, err := s.evidence.TiedExcept(ctx, o.ID, have)
		if err != nil {
			return n, err
		}
		for _, a := range lacking {
			err := s.transact(ctx, func(ctx context.Context, d *deed) error {
				d.actor = Actor{Kind: BySystem, OrganisationID: o.ID}
				if _, err := exhibit.OfAcquisition(ctx, d.tx, a.ID); !errors.Is(err, exhibit.ErrNotFound) {
					return err
				}
				inc, err := incident.FindBare(ctx, d.tx, o.ID, a.IncidentID)
				if err != nil {
					return err
				}
				e, err := endpoint.ByID(ctx, d.tx, a.EndpointID)
				if err != nil {
					return err
				}
				return s.exhibitOf(ctx, d, a, inc, e)
			})
			if err != nil {
				return n, fmt.Errorf("make an exhibit of %s: %w", a.ID, err)
			}
			n++
		}
	}
	return n, nil
}

// lookedAgain is how long one person's looking at one exhibit is one line of the timeline.
const lookedAgain = 24 * time.Hour

// looked records that somebody saw or copied a piece of an exhibit. Each has its event; the
// timeline has a line for every copy, and one a day for what one person looks at in an exhibit.
func (s *Acts) looked(ctx context.Context, d *deed, it evidence.Item, p Purpose) error {
	i, err := exhibit.OfAcquisition(ctx, d.tx, it.AcquisitionID)
	if errors.Is(err, exhibit.ErrNotFound) {
		return nil // it belongs to no incident
	}
	if err != nil {
		return err
	}
	e := exhibit.Event{Type: exhibit.View, To: exhibit.Party{Person: d.actor.Name}, Text: it.Number, HashBefore: it.StoredSHA256}
	if p == ToDownload {
		e.Type = exhibit.Copy
	}
	before := false
	if e.Type == exhibit.View {
		if before, err = exhibit.Viewed(ctx, d.tx, i, d.actor.ID, d.now.Add(-lookedAgain)); err != nil {
			return err
		}
	}
	if e, err = d.happened(ctx, i, e, nil); err != nil || before {
		return err
	}
	inc, err := incident.FindBare(ctx, d.tx, i.OrganisationID, i.IncidentID)
	if err != nil {
		return err
	}
	return s.custodyLine(ctx, d, inc, i.Number, e)
}

// exported records that somebody took a package that these exhibits are in.
func (s *Acts) exported(ctx context.Context, d *deed, r export.Record) error {
	all, err := s.evidence.AcceptedBefore(ctx, r.OrganisationID, r.IncidentID, r.LedgerSize)
	if err != nil {
		return err
	}
	for _, a := range all {
		if !inScope(r, a) {
			continue
		}
		i, err := exhibit.OfAcquisition(ctx, d.tx, a.ID)
		if errors.Is(err, exhibit.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := d.happened(ctx, i, exhibit.Event{Type: exhibit.Export, To: exhibit.Party{Person: r.Recipient}, Purpose: r.Purpose,
			HashBefore: a.ManifestSHA256, Text: r.Number}, nil); err != nil {
			return err
		}
	}
	return d.exportedUploads(ctx, r)
}

// Verified is what came of [Acts.VerifyExhibit].
type Verified struct {
	Event exhibit.Event
	Files int
	Bytes int64
	Wrong []string // numbers of the evidence whose bytes are others, or not there
}

// VerifyExhibit reads every byte of an exhibit again and holds it against what its endpoint
// signed. That it was done, and what came of it, is recorded, whatever it was.
func (s *Acts) VerifyExhibit(ctx context.Context, a Actor, idOrNumber, purpose string) (Verified, error) {
	var v Verified
	if err := text("purpose", purpose, exhibit.MaxText, false); err != nil {
		return v, err
	}
	a, err := s.identify(ctx, s.db.Read(), a, mayKeepCustody)
	if err != nil {
		return v, err
	}
	x, e, err := s.readAgain(ctx, a, idOrNumber, &v)
	if err != nil {
		return v, known(err)
	}
	e.Purpose = strings.TrimSpace(purpose)
	if len(v.Wrong) > 0 {
		e.Result, e.Text = exhibit.ResultMismatch, strings.Join(v.Wrong, " ")
		if len(e.Text) > exhibit.MaxText {
			e.Text = e.Text[:exhibit.MaxText]
		}
	}
	err = s.write(ctx, a, mayKeepCustody, func(ctx context.Context, d *deed) error {
		now, c, err := s.exhibit(ctx, d.tx, d.actor.OrganisationID, x.ID)
		if err != nil {
			return err
		}
		if err := verifiable(now); err != nil { // disposed of since
			return err
		}
		if v.Event, err = d.happened(ctx, x.Item, e, nil); err != nil {
			return err
		}
		return s.custodyLine(ctx, d, c.Incident, x.Number, v.Event)
	})
	return v, err
}

// verifiable is why the bytes of an exhibit cannot be read again, or nil.
func verifiable(x Exhibit) error {
	switch {
	case x.Upload != nil && !x.Upload.DisposedAt.IsZero():
		return fmt.Errorf("%s: %w", x.Number, ErrDisposed)
	case x.Upload != nil:
		return nil
	case x.Acquisition == nil:
		return fmt.Errorf("%w: %s is not kept in the collector; record what somebody verified instead", ErrConflict, x.Number)
	case !x.Acquisition.DisposedAt.IsZero():
		return fmt.Errorf("%s: %w", x.Number, ErrDisposed)
	}
	return nil
}

// readAgain reads the bytes of an exhibit while none are disposed of, and notes in v what
// differs. An error is about not being able to read; nothing is then said of the bytes.
func (s *Acts) readAgain(ctx context.Context, a Actor, idOrNumber string, v *Verified) (Exhibit, exhibit.Event, error) {
	s.kept.RLock()
	defer s.kept.RUnlock()
	var e exhibit.Event
	x, _, err := s.exhibit(ctx, s.db.Read(), a.OrganisationID, idOrNumber)
	if err == nil {
		err = verifiable(x)
	}
	if err != nil {
		return x, e, err
	}
	if x.Upload != nil {
		e = exhibit.Event{Type: exhibit.Verify, HashBefore: x.Upload.SHA256, Result: exhibit.ResultMatch}
		n, ok, err := s.sameUpload(ctx, *x.Upload)
		if v.Files, v.Bytes = 1, n; err == nil && ok {
			e.HashAfter = x.Upload.SHA256
		} else if err == nil {
			v.Wrong = append(v.Wrong, x.Number)
		}
		return x, e, err
	}
	items, err := s.evidence.Items(ctx, evidence.ItemFilter{OrganisationID: a.OrganisationID, AcquisitionID: x.AcquisitionID})
	if err != nil {
		return x, e, err
	}
	e = exhibit.Event{Type: exhibit.Verify, HashBefore: x.Acquisition.ManifestSHA256, Result: exhibit.ResultMatch}
	switch sealed, err := s.evidence.Sealed(ctx, a.OrganisationID, x.AcquisitionID); {
	case err == nil:
		e.HashAfter = digest.Of(sealed.Manifest).String()
	case otherBytes(err):
		v.Wrong = append(v.Wrong, x.Number)
	default:
		return x, e, err
	}
	for _, it := range items {
		n, ok, err := s.sameBytes(ctx, it)
		if err != nil {
			return x, e, err
		}
		v.Files, v.Bytes = v.Files+1, v.Bytes+n
		if !ok {
			v.Wrong = append(v.Wrong, it.Number)
		}
	}
	return x, e, nil
}

// otherBytes reports whether an error of reading says that the bytes are others, or not
// there; any other says nothing of them.
func otherBytes(err error) bool {
	return errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrCorrupt)
}

// sameBytes reads evidence and reports whether it is what was accepted.
func (s *Acts) sameBytes(ctx context.Context, it evidence.Item) (int64, bool, error) {
	r, err := s.evidence.Open(ctx, it)
	if err == nil {
		w := digest.NewWriter(io.Discard)
		_, err = io.Copy(w, r)
		_ = r.Close() // it was only read
		if err == nil {
			return w.Size(), w.Sum().String() == it.StoredSHA256 && w.Size() == it.StoredSize, ctx.Err()
		}
	}
	if otherBytes(err) {
		return 0, false, ctx.Err()
	}
	return 0, false, fmt.Errorf("read %s again: %w", it.Number, err)
}

// rechecked records in every incident that the check of everything went over its exhibits,
// and for those that something is wrong with, what.
func (s *Acts) rechecked(ctx context.Context, d *deed, r fsck.Report) error {
	items, err := exhibit.OfOrganisation(ctx, d.tx, d.actor.OrganisationID)
	if err != nil {
		return err
	}
	wrong := map[string]string{} // acquisition to code
	for _, p := range r.Problems {
		acquisition := p.Subject
		if id.Check(id.Evidence, acquisition) == nil {
			if it, err := s.evidence.Item(ctx, d.actor.OrganisationID, acquisition); err == nil {
				acquisition = it.AcquisitionID
			}
		}
		wrong[acquisition] = string(p.Code)
	}
	result := map[string]string{} // by incident
	for _, i := range items {
		if i.AcquisitionID == "" {
			continue
		}
		if result[i.IncidentID] == "" {
			result[i.IncidentID] = exhibit.ResultMatch
		}
		if code, bad := wrong[i.AcquisitionID]; bad {
			result[i.IncidentID] = exhibit.ResultMismatch
			e, err := d.happened(ctx, i, exhibit.Event{Type: exhibit.Verify, Result: exhibit.ResultMismatch, Text: "fsck: " + code}, nil)
			if err != nil {
				return err
			}
			inc, err := incident.FindBare(ctx, d.tx, i.OrganisationID, i.IncidentID)
			if err != nil {
				return err
			}
			if err := s.custodyLine(ctx, d, inc, i.Number, e); err != nil {
				return err
			}
		}
	}
	for _, incidentID := range slices.Sorted(maps.Keys(result)) {
		if _, err := d.happened(ctx, exhibit.Item{IncidentID: incidentID}, exhibit.Event{Type: exhibit.Verify, Result: result[incidentID], Text: "fsck"}, nil); err != nil {
			return err
		}
	}
	return nil
}
