package act

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"hozen/collector/internal/phone"
	"hozen/collector/internal/record"
)

// LinkPhoto is what somebody without an account says of a photograph.
type LinkPhoto struct {
	Name   string // of the file on the phone
	Person string // who took it
	About  string // what it shows
}

// PhotoByLink takes a photograph by a link, exactly as it is, and makes it an exhibit of the
// incident like any other file that a person sends. Anything but an image of a kind that
// phones make is refused by its first bytes, before anything is stored.
func (s *Acts) PhotoByLink(ctx context.Context, token string, p LinkPhoto, body io.Reader, remoteAddr string) (u record.Upload, err error) {
	if s.arrivals == nil {
		return u, errNoUploads
	}
	head := make([]byte, phone.ImageHead)
	n, err := io.ReadFull(body, head)
	if head = head[:n]; err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return u, fmt.Errorf("read photograph: %w", err)
	}
	if phone.ImageType(head) == "" {
		return u, &Invalid{Field: "file", Code: "not_image", Err: errors.New("it is no image that a phone takes")}
	}
	up := NewUpload{File: record.File{Source: record.Photo, Name: p.Name, Person: p.Person, Description: p.About}, Size: -1}
	if err := s.checkUpload(&up); err != nil {
		return u, err
	}
	place := phone.Place(remoteAddr)
	var l phone.Link
	var seq int64
	err = s.transact(ctx, func(ctx context.Context, d *deed) error {
		link, inc, err := s.usableLink(ctx, d.tx, token, phone.Photos)
		if err == nil {
			err = d.byLink(ctx, link, place)
		}
		if err != nil {
			return err
		}
		up.Link, l = link.ID, link
		if u, err = d.beginUpload(ctx, inc, up); err != nil {
			return err
		}
		// What breaks off has its entries in the ledger too, and so it counts.
		seq, err = phone.InsertUse(ctx, d.tx, phone.Use{LinkID: link.ID, OrganisationID: link.OrganisationID, IncidentID: inc.ID, Place: place, At: d.now, LedgerIdx: phone.Coming})
		return err
	})
	if err != nil {
		return u, err
	}
	if _, err = s.arrivals.Append(ctx, u.ID, 0, io.MultiReader(bytes.NewReader(head), body), phone.MaxPhoto); err == nil {
		u, err = s.finishUpload(ctx, u, func(ctx context.Context) (record.Upload, error) {
			return record.FindUpload(ctx, s.db.Read(), l.OrganisationID, u.ID)
		}, func(ctx context.Context, fn func(ctx context.Context, d *deed) (record.Upload, error)) error {
			return s.transact(ctx, func(ctx context.Context, d *deed) error {
				d.actor = linkActor(l)
				done, err := fn(ctx, d)
				if err != nil {
					return err
				}
				return phone.EndUse(ctx, d.tx, seq, phone.Use{LinkID: l.ID, IncidentID: done.IncidentID, Size: done.Size, At: d.now, LedgerIdx: done.LedgerIdx})
			})
		})
	}
	if err != nil { // nobody can go on with it
		return u, errors.Join(uploadError(err), s.dropArriving(context.WithoutCancel(ctx), u))
	}
	return u, nil
}

// dropArriving gives up a file of which not all bytes came.
func (s *Acts) dropArriving(ctx context.Context, u record.Upload) error {
	n, err := s.arrivals.Size(ctx, u.ID)
	if err != nil {
		return err
	}
	err = s.transact(ctx, func(ctx context.Context, d *deed) error {
		d.actor = Actor{Kind: BySystem, OrganisationID: u.OrganisationID}
		return forgetUpload(ctx, d, u, n)
	})
	if err != nil {
		return err
	}
	return s.arrivals.Drop(ctx, u.ID)
}
