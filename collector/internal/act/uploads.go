package act

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/transfer"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// uploadLife is how long a file is waited for to which nothing is added.
const uploadLife = 7 * 24 * time.Hour

// uploadQuiet is how long nothing was added to a file without a row before it is removed. A
// piece that is still arriving when its file is given up leaves one.
const uploadQuiet = time.Hour

// maxUpload is the longest file that is taken, in bytes.
const maxUpload = 16 << 40

var errNoUploads = fmt.Errorf("uploads: %w", errors.ErrUnsupported)

// UseUploads gives the acts the folder of arriving files; without it uploads are
// unsupported. It is called before anybody acts.
func (s *Acts) UseUploads(f *transfer.Folder) { s.arrivals = f }

// NewUpload is a file that somebody is about to send.
type NewUpload struct {
	record.File
	IncidentID string // identifier or number
	Size       int64  // bytes; negative: not known
}

func (s *Acts) checkUpload(n *NewUpload) error {
	f := &n.File
	// Only the last part of a path: where it lay on somebody's PC is nobody's business.
	if i := strings.LastIndexAny(f.Name, `/\`); i >= 0 {
		f.Name = f.Name[i+1:]
	}
	f.Name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, f.Name)
	cleaned(&f.Name, &f.Device, &f.Description, &f.Person, &f.ClockNote)
	if !f.Source.Valid() {
		return &Invalid{Field: "source", Code: "unknown", Err: fmt.Errorf("there is no source %.40q", f.Source)}
	}
	for _, w := range []struct {
		name, value string
		most        int
		required    bool
	}{{"name", f.Name, record.MaxFileName, false}, {"device", f.Device, record.MaxName, false}, {"person", f.Person, record.MaxName, true}, {"clock_note", f.ClockNote, record.MaxName, false}, {"description", f.Description, record.MaxText, false}} {
		if err := text(w.name, w.value, w.most, w.required); err != nil {
			return err
		}
	}
	if err := s.past("taken_at", f.TakenAt); err != nil {
		return err
	}
	if !f.TakenAt.IsZero() {
		f.TakenAt = f.TakenAt.UTC().Round(0)
	}
	if !f.ClockKnown {
		f.ClockOffset = 0
	}
	if f.ClockOffset.Abs() > 100*365*24*time.Hour {
		return &Invalid{Field: "clock_offset", Code: "range", Err: errors.New("no clock is that wrong")}
	}
	if n.Size > maxUpload {
		return &Invalid{Field: "size", Code: "range", Err: fmt.Errorf("at most %d bytes are taken", int64(maxUpload))}
	}
	return nil
}

// BeginUpload begins to receive a file that no agent acquired, such as the log of a router.
// Its bytes follow in pieces, see [Acts.AppendUpload], until [Acts.FinishUpload].
func (s *Acts) BeginUpload(ctx context.Context, a Actor, n NewUpload) (u record.Upload, err error) {
	if s.arrivals == nil {
		return u, errNoUploads
	}
	n.Link = "" // that is not a person's to say
	if err := s.checkUpload(&n); err != nil {
		return u, err
	}
	err = s.write(ctx, a, mayKeepCustody, func(ctx context.Context, d *deed) error {
		inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, n.IncidentID)
		if err != nil {
			return err
		}
		u, err = d.beginUpload(ctx, inc, n)
		return err
	})
	return u, err
}

// beginUpload makes the row of a file that begins to come.
func (d *deed) beginUpload(ctx context.Context, inc incident.Incident, n NewUpload) (record.Upload, error) {
	u := record.Upload{File: n.File, ID: id.New(id.Upload), OrganisationID: inc.OrganisationID, IncidentID: inc.ID, Announced: max(n.Size, -1), BegunID: d.actor.ID,
		BegunBy: sqldb.CleanText(d.actor.Name), BegunAt: d.now.UTC().Round(0)}
	if err := record.InsertUpload(ctx, d.tx, u); err != nil {
		return u, err
	}
	_, err := d.record(ctx, record.ActBegin, u.ID, map[string]string{"incident_id": inc.ID, "announced": strconv.FormatInt(u.Announced, 10), "file": u.Encode()})
	return u, err
}

// arriving finds a file that its sender may go on with.
func (s *Acts) arriving(ctx context.Context, a Actor, uploadID string) (record.Upload, error) {
	if s.arrivals == nil {
		return record.Upload{}, errNoUploads
	}
	a, err := s.identify(ctx, s.db.Read(), a, mayKeepCustody)
	if err != nil {
		return record.Upload{}, err
	}
	u, err := record.FindUpload(ctx, s.db.Read(), a.OrganisationID, uploadID)
	return u, known(err)
}

// UploadState returns a file with how many of its bytes are there.
func (s *Acts) UploadState(ctx context.Context, a Actor, uploadID string) (record.Upload, int64, error) {
	u, err := s.arriving(ctx, a, uploadID)
	if err != nil || !u.ReceivedAt.IsZero() {
		return u, u.Size, err
	}
	n, err := s.arrivals.Size(ctx, u.ID)
	if err == nil && n == 0 {
		n = u.Size // its bytes are stored, and only the row is missing, see [Acts.FinishUpload]
	}
	return u, n, err
}

// AppendUpload takes the next piece of a file and returns how many bytes are there. One that
// does not begin there is [ErrConflict], with the number. What came before an error is kept.
func (s *Acts) AppendUpload(ctx context.Context, a Actor, uploadID string, offset int64, piece io.Reader) (int64, error) {
	u, err := s.arriving(ctx, a, uploadID)
	if err != nil {
		return 0, err
	}
	if !u.ReceivedAt.IsZero() {
		return u.Size, fmt.Errorf("%w: it was received already", ErrConflict)
	}
	most := u.Announced
	if most < 0 {
		most = maxUpload
	}
	n, err := s.arrivals.Append(ctx, u.ID, offset, piece, most)
	if _, wrong := errors.AsType[*transfer.OffsetError](err); wrong {
		return n, fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return n, uploadError(err)
}

// uploadError turns what package transfer says into what the edges know.
func uploadError(err error) error {
	switch {
	case errors.Is(err, transfer.ErrNoSpace):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case errors.Is(err, transfer.ErrTooLarge):
		return &Invalid{Field: "size", Code: "range", Err: err}
	}
	return known(err)
}

// FinishUpload makes a file whose bytes are all there an exhibit of its incident: numbered,
// hashed, with the events that it was taken and received. Again is no error.
func (s *Acts) FinishUpload(ctx context.Context, a Actor, uploadID string) (record.Upload, error) {
	u, err := s.arriving(ctx, a, uploadID)
	if err != nil || !u.ReceivedAt.IsZero() {
		return u, err
	}
	if u.Source == record.Stick {
		return u, fmt.Errorf("%w: it is what came of a USB kit; see ImportStick", ErrConflict)
	}
	return s.finishUpload(ctx, u, func(ctx context.Context) (record.Upload, error) {
		return s.arriving(ctx, a, uploadID)
	}, func(ctx context.Context, fn func(ctx context.Context, d *deed) (record.Upload, error)) error {
		return s.write(ctx, a, mayKeepCustody, func(ctx context.Context, d *deed) error {
			_, err := fn(ctx, d)
			return err
		})
	})
}

// finishUpload is [Acts.FinishUpload] by whoever write acts for. again finds the row anew.
func (s *Acts) finishUpload(ctx context.Context, u record.Upload, again func(ctx context.Context) (record.Upload, error), write func(ctx context.Context, fn func(ctx context.Context, d *deed) (record.Upload, error)) error) (record.Upload, error) {
	receive := func(ctx context.Context, sum digest.Digest, size int64) error {
		return write(ctx, func(ctx context.Context, d *deed) (got record.Upload, err error) {
			got, err = s.received(ctx, d, u.ID, sum, size)
			if err == nil {
				u = got
			}
			return got, err
		})
	}
	err := s.arrivals.Finish(ctx, u.ID, func(d digest.Digest, size int64, path string) error {
		if size == 0 {
			return &Invalid{Field: "file", Code: "required", Err: errors.New("it is empty")}
		}
		if u.Announced >= 0 && size != u.Announced {
			return fmt.Errorf("%w: %d of %d bytes are there", ErrConflict, size, u.Announced)
		}
		// Between the folder of uploads and the row nothing may be lost: that the browser went
		// away is no reason to stop here, and if the collector stops, the row says which bytes
		// in the store are this file.
		ctx := context.WithoutCancel(ctx)
		if err := s.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			return record.StageUpload(ctx, tx, u.ID, d.String(), size)
		}); err != nil {
			return err
		}
		if err := s.evidence.Blobs.Adopt(ctx, d, size, path); err != nil {
			return err
		}
		return receive(ctx, d, size)
	})
	if errors.Is(err, transfer.ErrGone) {
		now, aerr := again(ctx)
		switch sum, perr := digest.Parse(now.SHA256); {
		case aerr == nil && !now.ReceivedAt.IsZero(): // another request was faster
			return now, nil
		case aerr == nil && perr == nil: // it was stored before, and its row could not be written then
			err := receive(ctx, sum, now.Size)
			return u, known(err)
		}
		return u, &Invalid{Field: "file", Code: "required", Err: err} // nothing ever came
	}
	return u, known(err)
}

// received makes the row of a file whose bytes are stored an exhibit.
func (s *Acts) received(ctx context.Context, d *deed, uploadID string, sum digest.Digest, size int64) (record.Upload, error) {
	u, err := record.FindUpload(ctx, d.tx, d.actor.OrganisationID, uploadID)
	if err != nil || !u.ReceivedAt.IsZero() {
		return u, err
	}
	// While this transaction is open nothing is removed from the store. Until it began, the last
	// exhibit that had the same bytes may have been disposed of.
	if _, err := s.evidence.Blobs.Stat(ctx, sum); err != nil {
		return u, fmt.Errorf("look for the stored file: %w", err)
	}
	inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, u.IncidentID)
	if err == nil {
		inc, err = incident.GoesOn(ctx, d.tx, inc) // it may have been merged while the file came
	}
	if err != nil {
		return u, err
	}
	u.IncidentID = inc.ID
	own, err := organisationName(ctx, d.tx, inc.OrganisationID)
	if err != nil {
		return u, err
	}
	what := u.Description
	if u.Name != "" {
		what = strings.TrimSpace(u.Name + "\n" + what)
	}
	offset := ""
	if u.ClockKnown {
		offset = cutName(strings.TrimSpace(u.ClockOffset.String() + " " + seen(u.ClockNote)))
	}
	i, err := s.addExhibit(ctx, d, inc, exhibit.Item{Kind: uploadKind(u.Source)}, map[exhibit.Field]string{exhibit.Description: cutText(what, exhibit.MaxText), exhibit.Host: u.Device,
		exhibit.AcquiredBy: u.Person, exhibit.ClockOffset: offset})
	if err != nil {
		return u, err
	}
	u.ExhibitID, u.Exhibit, u.Size, u.SHA256, u.ReceivedAt = i.ID, i.Number, size, sum.String(), d.now.UTC().Round(0)
	if u.LedgerIdx, err = d.record(ctx, record.ActUpload, u.ID, u.Details()); err != nil {
		return u, err
	}
	if err := record.EndUpload(ctx, d.tx, u); err != nil {
		return u, err
	}
	person := exhibit.Party{Person: u.Person}
	taken := exhibit.Event{Type: exhibit.Collect, At: u.TakenAt, To: person, Purpose: "", HashAfter: u.SHA256}
	if taken.At.IsZero() {
		taken.At = u.BegunAt // it is not known when; that is the latest that it can be
	}
	if _, err := d.happened(ctx, i, taken, nil); err != nil {
		return u, err
	}
	e, err := d.happened(ctx, i, exhibit.Event{Type: exhibit.Receive, At: u.ReceivedAt, From: person, To: exhibit.Party{Organisation: own}, HashAfter: u.SHA256}, nil)
	if err != nil {
		return u, err
	}
	return u, s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryUpload, Text: u.Name, LedgerIdx: e.LedgerIdx, Params: map[string]string{
		"exhibit": i.Number, "source": string(u.Source), "giver": u.Person, "sha256": u.SHA256, "size": strconv.FormatInt(u.Size, 10), "link": u.Link}})
}

// cutText cuts a text to so many bytes.
func cutText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "…"
}

// uploadKind is what sort of exhibit a file of a source is.
func uploadKind(s record.Source) exhibit.Kind {
	switch s {
	case record.Photo:
		return exhibit.Photo
	case record.Paper:
		return exhibit.Paper
	case record.DiskImage, record.Otherwise:
		return exhibit.Files
	}
	return exhibit.Log
}

// Uploads returns the files that people sent to an incident, received or not, but for those
// that come of a USB kit ([Acts.Sticks]).
func (s *Acts) Uploads(ctx context.Context, a Actor, incidentID string) ([]record.Upload, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]record.Upload, error) {
		inc, err := incident.FindBare(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return nil, err
		}
		list, err := record.Uploads(ctx, q, inc.ID)
		return slices.DeleteFunc(list, func(u record.Upload) bool { return u.Source == record.Stick }), err
	})
}

// OpenUpload opens the bytes of an exhibit that a person sent. Who opened it is in the ledger
// and in its custody before the first byte is read. The caller closes it.
func (s *Acts) OpenUpload(ctx context.Context, a Actor, uploadID string) (u record.Upload, r io.ReadCloser, err error) {
	err = s.write(ctx, a, mayOpenEvidence, func(ctx context.Context, d *deed) error {
		if u, err = record.FindUpload(ctx, d.tx, d.actor.OrganisationID, uploadID); err != nil {
			return err
		}
		if err := d.reach(u.IncidentID); err != nil {
			return err
		}
		switch {
		case u.ReceivedAt.IsZero():
			return record.ErrNotFound
		case !u.DisposedAt.IsZero():
			return ErrDisposed
		}
		i, err := exhibit.Find(ctx, d.tx, d.actor.OrganisationID, u.ExhibitID)
		if err != nil {
			return err
		}
		inc, err := incident.FindBare(ctx, d.tx, i.OrganisationID, i.IncidentID)
		if err != nil {
			return err
		}
		e, err := d.happened(ctx, i, exhibit.Event{Type: exhibit.Copy, To: exhibit.Party{Person: d.actor.Name}, HashBefore: u.SHA256}, nil)
		if err != nil {
			return err
		}
		return s.custodyLine(ctx, d, inc, i.Number, e)
	})
	if err != nil {
		return u, nil, err
	}
	sum, err := digest.Parse(u.SHA256)
	if err == nil {
		r, err = s.evidence.Blobs.Open(ctx, sum)
	}
	if err != nil {
		return u, nil, fmt.Errorf("open %s: %w", u.Exhibit, err)
	}
	return u, r, nil
}

// sameUpload reads a received file again and reports whether it is what was received.
func (s *Acts) sameUpload(ctx context.Context, u record.Upload) (int64, bool, error) {
	sum, err := digest.Parse(u.SHA256)
	if err != nil {
		return 0, false, err
	}
	r, err := s.evidence.Blobs.Open(ctx, sum)
	if err == nil {
		w := digest.NewWriter(io.Discard)
		_, err = io.Copy(w, r)
		_ = r.Close() // it was only read
		if err == nil {
			return w.Size(), w.Sum() == sum && w.Size() == u.Size, ctx.Err()
		}
	}
	if otherBytes(err) {
		return 0, false, ctx.Err()
	}
	return 0, false, fmt.Errorf("read %s again: %w", u.Exhibit, err)
}

// DropUpload gives up a file of which not all bytes came. One that was received is [ErrConflict].
func (s *Acts) DropUpload(ctx context.Context, a Actor, uploadID string) error {
	u, err := s.arriving(ctx, a, uploadID)
	if err != nil {
		return err
	}
	if s.arrivals.Lent(u.ID) {
		return fmt.Errorf("%w: it is being taken in", ErrConflict)
	}
	n, err := s.arrivals.Size(ctx, u.ID)
	if err != nil {
		return err
	}
	err = s.write(ctx, a, mayKeepCustody, func(ctx context.Context, d *deed) error {
		if u, err = record.FindUpload(ctx, d.tx, d.actor.OrganisationID, u.ID); err != nil {
			return err
		}
		if !u.ReceivedAt.IsZero() {
			return fmt.Errorf("%w: it was received", ErrConflict)
		}
		return forgetUpload(ctx, d, u, n)
	})
	if err != nil {
		return err
	}
	return s.arrivals.Drop(ctx, u.ID)
}

// forgetUpload removes the row of a file of which n bytes came.
func forgetUpload(ctx context.Context, d *deed, u record.Upload, n int64) error {
	if err := record.ForgetUpload(ctx, d.tx, u.ID); err != nil {
		return err
	}
	_, err := d.record(ctx, record.ActForget, u.ID, map[string]string{"incident_id": u.IncidentID, "bytes": strconv.FormatInt(n, 10)})
	return err
}

// DropOldUploads gives up files to which nothing was added for a week, and removes what is in
// the folder of files that nobody knows of any more. It is called at the start and each day.
func (s *Acts) DropOldUploads(ctx context.Context) error {
	if s.arrivals == nil {
		return nil
	}
	before := s.now().Add(-uploadLife)
	// The folder is read before the rows: who sends a file makes the row first.
	there, err := s.arrivals.Untouched(s.now().Add(-uploadQuiet))
	if err != nil {
		return err
	}
	list, err := record.BeginningUploads(ctx, s.db.Read())
	if err != nil {
		return err
	}
	fresh, err := s.arrivals.Untouched(before)
	if err != nil {
		return err
	}
	old := map[string]bool{}
	for _, name := range fresh {
		old[name] = true
	}
	var errs []error
	for _, name := range there {
		if !s.arrivals.Lent(name) && !slices.ContainsFunc(list, func(u record.Upload) bool { return u.ID == name }) {
			s.log.InfoContext(ctx, "what is left of an upload that was given up is removed", slog.String("upload", name))
			errs = append(errs, s.arrivals.Drop(ctx, name))
		}
	}
	for _, u := range list {
		if s.arrivals.Lent(u.ID) {
			continue
		}
		n, err := s.arrivals.Size(ctx, u.ID)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !u.BegunAt.Before(before) || n > 0 && !old[u.ID] {
			continue
		}
		s.log.InfoContext(ctx, "an upload that nobody went on with is given up", slog.String("upload", u.ID), slog.Int64("bytes", n))
		err = s.transact(ctx, func(ctx context.Context, d *deed) error {
			d.actor = Actor{Kind: BySystem, OrganisationID: u.OrganisationID}
			return forgetUpload(ctx, d, u, n)
		})
		errs = append(errs, err)
		if err == nil {
			errs = append(errs, s.arrivals.Drop(ctx, u.ID))
		}
	}
	return errors.Join(errs...)
}

// WatchUploads is [Acts.DropOldUploads] each day, until ctx ends.
func (s *Acts) WatchUploads(ctx context.Context) {
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-day.C:
			if err := s.DropOldUploads(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "what is left of files that were being sent", slog.Any("error", err))
			}
		}
	}
}

// seen is a text without the characters that nobody sees, for a field that a person edits.
func seen(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Cc) {
			return -1
		}
		return r
	}, s)
}
