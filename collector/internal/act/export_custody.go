package act

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hozen/collector/internal/cosign"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/export"
	"hozen/collector/internal/pdf"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/timestamp"
)

// addCustody adds the exhibits of a package as they were when it was ordered, with every
// event of their custody, and what was disposed of. about gets what their entries of the
// ledger are about.
func (s *Acts) addCustody(ctx context.Context, q sqldb.Queryer, p *export.Package, accepted []evidence.Acquisition, about subjects) error {
	items, err := exhibit.Items(ctx, q, p.IncidentID)
	if err != nil {
		return err
	}
	events, err := exhibit.Events(ctx, q, p.IncidentID)
	if err != nil {
		return err
	}
	items, events = exhibit.AsOf(items, events, p.LedgerSize)
	disposed := map[string]*int64{}
	for _, i := range items {
		if i.AcquisitionID != "" && !slices.ContainsFunc(p.Acquisitions, func(a export.Acquisition) bool { return a.ID == i.AcquisitionID }) ||
			i.EndpointID != "" && len(p.Hosts) > 0 && !slices.Contains(p.Hosts, i.EndpointID) {
			continue
		}
		about.add(i.ID)
		own := exhibit.Of(events, i.ID)
		trail := exhibit.Follow(own)
		x := export.Exhibit{ID: i.ID, Number: i.Number, Kind: string(i.Kind), Parent: i.Parent, AcquisitionID: i.AcquisitionID, EndpointID: i.EndpointID, Custodian: trail.Holder.String(), Keeper: keeper(trail),
			Fields: map[string]string{}, Gaps: []export.Gap{}, Events: []export.Fact{}, Said: []export.Fact{{Index: i.LedgerIdx, Act: exhibit.ActAdd, Subject: i.ID, Details: i.Details()}}}
		for _, f := range exhibit.Fields() {
			if v := i.Get(f); v != "" {
				x.Fields[string(f)] = v
			}
		}
		for _, c := range i.Changes {
			if c.LedgerIdx != i.LedgerIdx {
				x.Said = append(x.Said, export.Fact{Index: c.LedgerIdx, Act: exhibit.ActDescribe, Subject: i.ID, Details: c.Details(i.Number)})
			}
		}
		for _, g := range trail.Gaps {
			x.Gaps = append(x.Gaps, export.Gap{Code: string(g.Code), From: g.From, To: g.To, Seq: g.Seq})
		}
		for _, e := range own {
			if e.ItemID != "" {
				x.Events = append(x.Events, factOf(e, i.Number))
			}
			if e.Type == exhibit.Dispose && e.ItemID != "" {
				disposed[i.AcquisitionID] = &e.LedgerIdx
			}
		}
		p.Exhibits = append(p.Exhibits, x)
	}
	for _, e := range events {
		if e.ItemID == "" {
			p.Custody = append(p.Custody, factOf(e, ""))
		}
	}
	for n := range p.Acquisitions {
		a := &p.Acquisitions[n]
		a.DisposedBy = disposed[a.ID]
		for _, g := range accepted {
			if g.ID == a.ID && !g.DisposedAt.IsZero() && a.DisposedBy == nil {
				return fmt.Errorf("%w: the bytes of %s were disposed of after this package was ordered; order another one", ErrConflict, a.ID)
			}
		}
	}
	return nil
}

// keeper is who has an exhibit now, in words.
func keeper(t exhibit.Trail) string {
	switch {
	case t.Disposed:
		return pdf.Word(string(exhibit.Dispose))
	case !t.To.Empty():
		return strings.TrimSpace(t.Carrier + " → " + t.To.String())
	}
	return t.Holder.String()
}

func factOf(e exhibit.Event, number string) export.Fact {
	actor := e.ActorName
	if actor == "" {
		actor = e.ActorKind
	}
	return export.Fact{Index: e.LedgerIdx, Act: e.Type.Act(), Subject: e.Subject(), Details: e.Details(number), Actor: actor}
}

// addOutside adds what others said of the checkpoint by the time when the package was
// first written.
func (s *Acts) addOutside(ctx context.Context, q sqldb.Queryer, p *export.Package) error {
	if p.Checkpoint == "" {
		return nil
	}
	t, ok, err := timestamp.Of(ctx, q, p.OrganisationID, p.Checkpoint)
	if err != nil {
		return err
	}
	if ok && (p.FinishedAt.IsZero() || !t.ReceivedAt.After(p.FinishedAt)) {
		p.Stamp, p.StampCA = t.Response, t.ChainPEM
	}
	all, err := cosign.Of(ctx, q, p.OrganisationID, p.Checkpoint)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(c cosign.Signature) bool { return !p.FinishedAt.IsZero() && c.ReceivedAt.After(p.FinishedAt) })
	if len(all) > 0 {
		p.Cosigned = cosign.Join(p.Checkpoint, all)
	}
	return nil
}
