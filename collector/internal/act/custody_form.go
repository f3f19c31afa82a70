package act

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/export"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/pdf"
	"hozen/internal/artifact"
)

// CustodyForm writes the custody form (PDF) of all exhibits of an incident as they are now.
// That somebody took one is in the ledger, before the first byte.
func (s *Acts) CustodyForm(ctx context.Context, a Actor, incidentID string, w io.Writer) error {
	var f pdf.Form
	err := s.write(ctx, a, mayExport, func(ctx context.Context, d *deed) error {
		inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, incidentID)
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
		if _, err := d.record(ctx, "custody.form", inc.ID, map[string]string{"number": inc.Number, "exhibits": strconv.Itoa(len(items))}); err != nil {
			return err
		}
		head, err := ledger.HeadOf(ctx, d.tx, inc.OrganisationID)
		if err != nil {
			return err
		}
		own, err := organisationName(ctx, d.tx, inc.OrganisationID)
		if err != nil {
			return err
		}
		f = pdf.Form{CaseNumber: inc.Number, CaseTitle: inc.Title, Organisation: own, OrderedBy: cmp.Or(d.actor.Name, string(d.actor.Kind)), At: d.now, Zone: time.Local,
			LedgerSize: head.Size, LedgerRoot: fmt.Sprintf("%x", head.Root[:])}
		hosts := map[string]export.Host{}
		for _, i := range items {
			if i.EndpointID == "" || hosts[i.EndpointID].EndpointID != "" {
				continue
			}
			e, err := endpoint.ByID(ctx, d.tx, i.EndpointID)
			if err != nil {
				return err
			}
			hosts[e.ID] = export.Host{EndpointID: e.ID, Hostname: e.Hostname, Label: e.Label, OS: e.OS, Arch: e.Arch, Platform: e.Platform, ClockOffsetNS: int64(e.ClockOffset), ClockAt: e.LastSeenAt}
		}
		events, err := exhibit.Events(ctx, d.tx, inc.ID)
		if err != nil {
			return err
		}
		f.Exhibits, err = s.formExhibits(ctx, inc.OrganisationID, items, events, hosts)
		return err
	})
	if err != nil {
		return err
	}
	return pdf.CustodyForm(w, f)
}

// formExhibits makes the pages of a form.
func (s *Acts) formExhibits(ctx context.Context, organisationID string, items []exhibit.Item, events []exhibit.Event, hosts map[string]export.Host) ([]pdf.Exhibit, error) {
	out := make([]pdf.Exhibit, 0, len(items))
	for _, i := range items {
		own := exhibit.Of(events, i.ID)
		x := pageOf(i, own)
		host, known := hosts[i.EndpointID]
		if known {
			x.Source.Host = cmp.Or(x.Source.Host, host.Hostname)
			x.Source.OS = cmp.Or(x.Source.OS, strings.TrimSpace(host.Platform+" "+host.OS+" "+host.Arch))
			if !host.ClockAt.IsZero() {
				x.Clock.UTC = host.ClockAt
				x.Clock.Offset = fmt.Sprintf("%+d ms", time.Duration(host.ClockOffsetNS).Milliseconds())
			}
		}
		if i.AcquisitionID != "" {
			if err := s.acquiredPage(ctx, organisationID, i.AcquisitionID, &x); err != nil {
				return nil, err
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// pageOf is what people and events say of an exhibit.
func pageOf(i exhibit.Item, events []exhibit.Event) pdf.Exhibit {
	x := pdf.Exhibit{Number: i.Number, ParentNumber: i.Parent, Kind: string(i.Kind), Description: i.Get(exhibit.Description), Witness: i.Get(exhibit.Witness), Reason: i.Get(exhibit.Reason),
		LedgerIndex: strconv.FormatInt(i.LedgerIdx, 10)}
	x.Source.Host, x.Source.AssetNumber, x.Source.Maker, x.Source.Model = i.Get(exhibit.Host), i.Get(exhibit.AssetNo), i.Get(exhibit.Maker), i.Get(exhibit.Model)
	x.Source.Serial, x.Source.OS, x.Source.User, x.Source.Location = i.Get(exhibit.Serial), i.Get(exhibit.OS), i.Get(exhibit.User), i.Get(exhibit.Location)
	if owner := i.Get(exhibit.Owner); owner != "" {
		x.Source.User = strings.TrimSpace(x.Source.User + " (所有者 owner: " + owner + ")")
	}
	x.AcquiredBy.Name, x.AcquiredBy.Organisation, x.AcquiredBy.Role = i.Get(exhibit.AcquiredBy), i.Get(exhibit.AcquiredByOrg), i.Get(exhibit.AcquiredByRole)
	x.Authorised.Name, x.Authorised.Role, x.Authorised.Basis = i.Get(exhibit.AuthorisedBy), i.Get(exhibit.AuthorisedByRole), i.Get(exhibit.AuthorisedBasis)
	t := exhibit.Follow(events)
	switch {
	case t.Disposed:
		x.Custodian = pdf.Word(string(exhibit.Dispose))
	case !t.To.Empty():
		x.Custodian = t.Carrier + " → " + t.To.String()
	default:
		x.Custodian = t.Holder.String()
	}
	for _, g := range t.Gaps {
		to := "…"
		if !g.To.IsZero() {
			to = g.To.UTC().Format(time.DateTime) + " UTC"
		}
		if x.Gap != "" {
			x.Gap += "\n"
		}
		x.Gap += g.From.UTC().Format(time.DateTime) + " – " + to + ": " + pdf.Word(string(g.Code))
	}
	for _, e := range events {
		v := pdf.Event{Sequence: e.Seq, At: e.At, Type: string(e.Type), From: e.From.String(), To: e.To.String(), Place: e.Place, Medium: strings.TrimSpace(e.Medium.Type + " " + e.Medium.Serial),
			Seal: e.Medium.SealNo, Tracking: strings.TrimSpace(e.Carrier + " " + e.TrackingNo), Purpose: e.Purpose, Result: e.Result, Text: e.Text, Before: e.HashBefore, After: e.HashAfter,
			Actor: cmp.Or(e.ActorName, e.ActorKind), Entry: "台帳 ledger " + strconv.FormatInt(e.LedgerIdx, 10)}
		if e.Clock == exhibit.ClockEndpoint {
			v.Clock = "端末の時計 endpoint's clock"
		}
		x.Events = append(x.Events, v)
	}
	return x
}

// acquiredPage adds what the endpoint signed of an acquisition.
func (s *Acts) acquiredPage(ctx context.Context, organisationID, acquisitionID string, x *pdf.Exhibit) error {
	a, err := s.evidence.Acquisition(ctx, organisationID, acquisitionID)
	if err != nil {
		return err
	}
	sealed, err := s.evidence.Sealed(ctx, organisationID, acquisitionID)
	if err != nil {
		return err
	}
	m, err := evidence.DecodeManifest(sealed.Manifest)
	if err != nil {
		return fmt.Errorf("manifest of %s: %w", acquisitionID, err)
	}
	x.Files, x.Size = strconv.Itoa(a.Items)+" files", strconv.FormatInt(a.StoredBytes, 10)+" bytes"
	q := &x.Acquisition
	q.Method, q.Profile = "hozen-agent, live ("+string(a.Trigger)+")", a.Profile
	q.Tool, q.ToolVersion, q.ToolSHA256 = m.Tool.Name, m.Tool.Version, m.Tool.SHA256
	q.Started, q.Ended, q.Outcome = a.StartedAt, a.FinishedAt, string(a.Outcome)
	for _, p := range m.Probes {
		if p.Outcome == artifact.Complete || p.Outcome == artifact.Empty {
			continue
		}
		if q.Errors != "" {
			q.Errors += "; "
		}
		q.Errors += string(p.Kind) + ": " + pdf.Word(string(p.Outcome))
	}
	x.ManifestSHA256, x.SHA256 = a.ManifestSHA256, ""
	x.Signature = "ECDSA P-256, SHA-256 (" + a.EndpointID + ")"
	if !m.StartedAt.Wall.IsZero() && m.StartedAt.BootNS > 0 {
		x.Clock.BootTime = m.StartedAt.Wall.Add(-time.Duration(m.StartedAt.BootNS))
	}
	x.LedgerIndex += " / " + strconv.FormatInt(a.LedgerIdx, 10)
	return nil
}
