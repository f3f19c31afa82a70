package act

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/export"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/timestamp"
)

// CustodyForm writes the custody form (PDF) of all exhibits of an incident as they are now, the
// one that a package of all of it would hold. That somebody took one is in the ledger, before
// the first byte.
func (s *Acts) CustodyForm(ctx context.Context, a Actor, incidentID string, w io.Writer) error {
	var p *export.Package
	err := s.write(ctx, a, mayExport, func(ctx context.Context, d *deed) error {
		inc, err := incident.Find(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		items, err := exhibit.Items(ctx, d.tx, inc.ID)
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return fmt.Errorf("%w: %s has no exhibits", ErrNotFound, inc.Number)
		}
		idx, err := d.record(ctx, "export.form", inc.ID, map[string]string{"number": inc.Number, "exhibits": strconv.Itoa(len(items))})
		if err == nil {
			err = s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryExport, LedgerIdx: idx, Params: map[string]string{"event": "form", "n": strconv.Itoa(len(items))}})
		}
		if err != nil {
			return err
		}
		head, err := ledger.HeadOf(ctx, d.tx, inc.OrganisationID)
		if err != nil {
			return err
		}
		p = &export.Package{Record: export.Record{OrganisationID: inc.OrganisationID, IncidentID: inc.ID, At: d.now, ActorKind: string(d.actor.Kind), ActorName: d.actor.Name,
			LedgerSize: head.Size, LedgerRoot: fmt.Sprintf("%x", head.Root[:])}}
		stamps, err := timestamp.List(ctx, d.tx, inc.OrganisationID, 0, 1)
		if err != nil {
			return err
		}
		for _, t := range stamps {
			p.StampedSize = t.Size
			p.Stamped = fmt.Sprintf("RFC 3161, %s UTC, %s, 台帳 ledger %d", t.At.UTC().Format(time.DateTime), t.Authority, t.Size)
		}
		lines, err := incident.TimelineBefore(ctx, d.tx, inc.ID, head.Size)
		if err != nil {
			return err
		}
		p.Timeline = timelineOf(lines)
		if p.Frozen, err = s.freeze(ctx, d, inc, p.Record); err != nil {
			return err
		}
		accepted, err := s.addAcquisitions(ctx, p, subjects{})
		if err != nil {
			return err
		}
		return s.addCustody(ctx, d.tx, p, accepted, subjects{})
	})
	if err != nil {
		return err
	}
	return export.CustodyForm(ctx, w, p, sealedSource{s, p.OrganisationID})
}
