package act

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/transfer"
	"hozen/internal/id"
)

// NewStick is the zip of a stick that somebody is about to send.
type NewStick struct {
	Name       string // of the file; only shown
	IncidentID string // or number, of the page that it is sent from. Optional
	Size       int64  // bytes; negative: not known
}

// BeginStick begins to receive what is on a stick, as a zip. Its bytes follow in pieces
// ([Acts.AppendUpload]); then [Acts.ImportStick] takes in what is in it. Given up, or waiting
// for longer than a week, it goes like any file that was never received whole.
func (s *Acts) BeginStick(ctx context.Context, a Actor, n NewStick) (u record.Upload, err error) {
	if err := a.person(); err != nil {
		return u, err
	}
	if s.arrivals == nil {
		return u, errNoUploads
	}
	if s.kits == nil {
		return u, errNoKits
	}
	if n.Size > maxUpload {
		return u, &Invalid{Field: "file", Code: "range", Err: fmt.Errorf("at most %d bytes are taken", int64(maxUpload))}
	}
	if i := strings.LastIndexAny(n.Name, `/\`); i >= 0 {
		n.Name = n.Name[i+1:]
	}
	if err := text("name", n.Name, record.MaxName, false); err != nil {
		return u, err
	}
	err = s.write(ctx, a, mayAcquire, func(ctx context.Context, d *deed) error {
		var inc incident.Incident
		if n.IncidentID != "" {
			var err error
			if inc, err = incident.FindBare(ctx, d.tx, d.actor.OrganisationID, n.IncidentID); err != nil {
				return err
			}
		}
		u = record.Upload{File: record.File{Source: record.Stick, Name: sqldb.CleanText(n.Name), Person: sqldb.CleanText(d.actor.Name)}, ID: id.New(id.Upload), OrganisationID: d.actor.OrganisationID,
			IncidentID: inc.ID, Announced: max(n.Size, -1), BegunID: d.actor.ID, BegunBy: sqldb.CleanText(d.actor.Name), BegunAt: d.now.UTC().Round(0)}
		if err := record.InsertUpload(ctx, d.tx, u); err != nil {
			return err
		}
		_, err := d.record(ctx, record.ActBegin, u.ID, map[string]string{"incident_id": inc.ID, "announced": strconv.FormatInt(u.Announced, 10), "file": u.Encode()})
		return err
	})
	return u, err
}

// Sticks returns what is there of sticks that were sent and not given up, the newest first.
func (s *Acts) Sticks(ctx context.Context, a Actor) ([]record.Upload, error) {
	return read(ctx, s, a, mayAcquire, func(q sqldb.Queryer, a Actor) ([]record.Upload, error) {
		list, err := record.BeginningUploads(ctx, q)
		list = slices.DeleteFunc(list, func(u record.Upload) bool { return u.OrganisationID != a.OrganisationID || u.Source != record.Stick })
		slices.SortStableFunc(list, func(x, y record.Upload) int { return y.BegunAt.Compare(x.BegunAt) })
		return list, err
	})
}

// ImportStick is [Acts.ImportKit] of a stick that was sent ([Acts.BeginStick]). It stays, so
// that receipt codes can be compared later, until everything in it was taken in with its code,
// or somebody gives it up. While it is taken in, a second import of it is [ErrConflict].
func (s *Acts) ImportStick(ctx context.Context, a Actor, uploadID string, o ImportOrder) (Imported, error) {
	var out Imported
	u, err := s.arriving(ctx, a, uploadID)
	if err == nil && u.Source != record.Stick {
		err = record.ErrNotFound
	}
	if err != nil {
		return out, known(err)
	}
	err = s.arrivals.Lend(ctx, u.ID, func(r io.Reader, size int64) error {
		if u.Announced >= 0 && size != u.Announced {
			return fmt.Errorf("%w: %d of %d bytes are there", ErrConflict, size, u.Announced)
		}
		out, err = s.ImportKit(ctx, a, o, r)
		return err
	})
	if errors.Is(err, transfer.ErrBusy) {
		return out, fmt.Errorf("%w: it is being taken in", ErrConflict)
	}
	if err != nil {
		return out, known(err)
	}
	if open := slices.ContainsFunc(out.Results, func(r ImportedResult) bool { return !r.CodeCompared }); open || out.Wrong() || len(out.Results) == 0 {
		return out, nil
	}
	return out, s.DropUpload(ctx, a, u.ID)
}

// DropOldSticks removes what a crash left of sticks that were being read.
func (s *Acts) DropOldSticks() error {
	if s.kits == nil {
		return nil
	}
	list, err := os.ReadDir(s.kits.Dir)
	if err != nil {
		return fmt.Errorf("drop old sticks: %w", err)
	}
	var errs []error
	for _, e := range list {
		if strings.HasPrefix(e.Name(), "stick-") {
			errs = append(errs, os.RemoveAll(filepath.Join(s.kits.Dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
